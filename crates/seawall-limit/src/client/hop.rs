//! One address as proxies write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::network::plain;

/// `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80`, with a zone id,
/// in quotes. Anything else, also `unknown` and `_hidden`, is nobody.
pub(crate) fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = hop.trim_ascii();
    if hop.len() > MAX_ENTRY {
        return None;
    }
    // By far the most.
    if let Some(address) = v4(hop) {
        return Some(address.into());
    }
    let text = std::str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        return (port.is_empty() || is_port(port)).then(|| v6(address)).flatten();
    }
    match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some((address, port)) if !port.contains(':') => is_port(text.strip_prefix(address)?)
            .then(|| address.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
            .flatten(),
        Some(_) => v6(text),
    }
}

/// What the standard library reads as well, without its detours.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut place, mut digits, mut value) = (0, 0, 0_u16);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || value > 0) => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && place < 3 => {
                octets[place] = u8::try_from(value).ok()?;
                (place, digits, value) = (place + 1, 0, 0);
            }
            _ => return None,
        }
    }
    octets[3] = u8::try_from(value).ok()?;
    (place == 3 && digits > 0).then(|| octets.into())
}

fn v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().ok().map(|address| plain(address.into()))
}

/// `:80`, or `:_hidden` as RFC 7239 allows.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return false };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    digits || (port.len() > 1 && port.starts_with('_') && port.bytes().all(name))
}

/// The longest address with brackets, a zone id and a port fits easily.
pub(crate) const MAX_ENTRY: usize = 128;

#[cfg(test)]
mod tests;
