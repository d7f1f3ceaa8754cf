//! `Forwarded` (RFC 7239), read from the right.
//!
//! Read from the left, a quote that a client opens and never closes would
//! swallow what the proxies add after it. From the right, the last elements,
//! which are the proxies', stand whatever lies before them.

use std::net::IpAddr;

use super::hop::{self, MAX_ENTRY};

/// The elements of one line, the last first.
pub(crate) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        match cut(line, b',') {
            Some(Some(comma)) => {
                rest = line.get(..comma);
                line.get(comma + 1..)
            }
            Some(None) => rest.take(),
            // A quote without its beginning: not an element, and the end.
            None => {
                rest = None;
                Some(&[])
            }
        }
    })
}

/// The address in an element's one `for`.
pub(crate) fn node(element: &[u8]) -> Option<IpAddr> {
    let mut rest = Some(element);
    let mut node = None;
    while let Some(element) = rest {
        let semicolon = cut(element, b';')?;
        let pair = semicolon.map_or(Some(element), |at| element.get(at + 1..))?;
        rest = semicolon.and_then(|at| element.get(..at));
        let equals = pair.iter().position(|byte| *byte == b'=');
        let Some(equals) = equals else {
            // Empty pairs are allowed by the grammar; others are not pairs.
            if pair.trim_ascii().is_empty() {
                continue;
            } else {
                return None;
            };
        };
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        if name.trim_ascii().eq_ignore_ascii_case(b"for") && node.replace(value).is_some() {
            return None; // said twice
        }
    }
    unquoted(node?.trim_ascii())
}

/// Where the last `mark` outside of quotes is; `None` if a quote has no beginning.
fn cut(text: &[u8], mark: u8) -> Option<Option<usize>> {
    let mut quoted = false;
    for (at, byte) in text.iter().enumerate().rev() {
        if *byte == b'"' && (!quoted || !escaped(text, at)) {
            quoted = !quoted;
        } else if *byte == mark && !quoted {
            return Some(Some(at));
        }
    }
    (!quoted).then_some(None)
}

/// Whether an odd number of backslashes stands before.
fn escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let backslashes = before.iter().rev().take(MAX_ENTRY).take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

fn unquoted(value: &[u8]) -> Option<IpAddr> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return hop::parse(value);
    };
    let mut text = [0; MAX_ENTRY];
    let mut length = 0;
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next()? } else { byte };
        *text.get_mut(length)? = *byte;
        length += 1;
    }
    hop::parse(text.get(..length)?)
}

#[cfg(test)]
mod tests;
