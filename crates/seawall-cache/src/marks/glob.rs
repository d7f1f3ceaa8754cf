//! Glob patterns with Redis's meaning: over bytes, case-sensitive.
//!
//! `*` any bytes, none too; `?` any one byte; `[abc]`, `[a-z]`, `[^a]` one byte of, or not of, a
//! class; `\` takes the special meaning from the next byte. A class that is not closed ends with
//! the pattern. Redis differs in one point: there `*` does not match the empty key.

/// Whether all of `text` matches `pattern`. In time proportional to the product of their lengths
/// at worst, without allocating.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if it does not match: after the last star, one byte further in the text.
    // Stars before the last need no second try, since all else matches single bytes.
    let mut retry = None;
    loop {
        match (&pattern[p..], &text[t..]) {
            ([b'*', ..], _) => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            ([], []) => return true,
            // What is left of the pattern asks for bytes that are not there.
            (_, []) => return false,
            (rest @ [_, ..], [byte, ..]) => {
                let (matched, length) = one(rest, *byte);
                if matched {
                    p += length;
                    t += 1;
                    continue;
                }
            }
            ([], _) => {}
        }
        let Some((after_star, from)) = retry else { return false };
        (p, t) = (after_star, from + 1);
        retry = Some((p, t));
    }
}

/// A pattern that matches `text` alone.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if SPECIAL.contains(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// A pattern over names as they stand in L2, where the key is percent-escaped, that matches the
/// names of all keys that match `pattern`. It may match more.
#[cfg(feature = "redis")]
pub(crate) fn relaxed(pattern: &str) -> String {
    let mut relaxed = Vec::with_capacity(pattern.len() + 8);
    let mut rest = pattern.as_bytes();
    while let [first, ..] = rest {
        let (_, length) = if *first == b'*' { (true, 1) } else { one(rest, 0) };
        match first {
            // One byte of the key may be three of its name.
            b'*' | b'?' | b'[' => relaxed.push(b'*'),
            _ => literal(rest[length - 1], &mut relaxed),
        }
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&relaxed).into_owned()
}

#[cfg(feature = "redis")]
fn literal(byte: u8, pattern: &mut Vec<u8>) {
    match byte {
        b'{' => pattern.extend_from_slice(b"%7B"),
        b'}' => pattern.extend_from_slice(b"%7D"),
        b'%' => pattern.extend_from_slice(b"%25"),
        _ => {
            if SPECIAL.as_bytes().contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
    }
}

/// Whether `byte` matches the first element of `pattern`, which is there and no star; and how long
/// that element is.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'[', class @ ..] => {
            let (matched, length) = one_of(class, byte);
            (matched, length + 1)
        }
        [b'\\', escaped, ..] => (*escaped == byte, 2),
        [literal, ..] => (*literal == byte, 1),
        [] => (false, 0),
    }
}

/// The same for what follows a `[`.
fn one_of(class: &[u8], byte: u8) -> (bool, usize) {
    let inverted = class.first() == Some(&b'^');
    let mut at = usize::from(inverted);
    let mut matched = false;
    loop {
        match &class[at..] {
            [b'\\', escaped, ..] => {
                matched |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                matched |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                matched |= *literal == byte;
                at += 1;
            }
            [] => break,
        }
    }
    (matched != inverted, at)
}

const SPECIAL: &str = "*?[\\";

#[cfg(test)]
mod tests;
