//! Statements that differ in their values only are one and the same.

use std::fmt;

/// What a statement is but for its values, in 64 bits: FNV-1a (Fowler, Noll and Vo) over its normalised tokens. Equal on all
/// nodes and in all processes, and stable between versions of this crate with the same first number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a statement; any text will do.
    ///
    /// Literals and parameters count as one and the same, as do lists of them after `IN` and rows of
    /// them after `VALUES`, however long; case, blanks and comments do not count outside of quotes. Linear in
    /// the text.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        normalise(sql).0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The fingerprint and a text without values, `?` in their place.
pub(super) fn normalise(sql: &str) -> (Fingerprint, String) {
    let tokens = squash(&tokens(sql));
    let mut hash = OFFSET;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    for token in &tokens {
        token.text.bytes().for_each(&mut eat);
        // Ends a token, and is in none.
        eat(0xff);
    }
    (Fingerprint(hash), render(&tokens))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    /// Whether nothing stood between it and the one before.
    close: bool,
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut close) = (sql, false);
    while let Some(first) = rest.chars().next() {
        let (text, length) = match first {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find(['\n', '\r']).unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, comment(rest)),
            '\'' => (Some(VALUE.to_owned()), quoted(rest, '\'', false)),
            '"' => {
                let length = quoted(rest, '"', false);
                (Some(rest[..length].to_owned()), length)
            }
            '$' => match dollar(rest) {
                Some(length) => (Some(VALUE.to_owned()), length),
                None => (Some("$".to_owned()), 1),
            },
            c if c.is_ascii_digit() => (Some(VALUE.to_owned()), number(rest)),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit())
                && !after_name(&tokens, close) =>
            {
                (Some(VALUE.to_owned()), number(rest))
            }
            c if is_word(c) => word(rest),
            c if OPERATORS.contains(c) => {
                let length = operator(rest);
                (Some(rest[..length].to_owned()), length)
            }
            c => (Some(c.to_string()), c.len_utf8()),
        };
        if let Some(text) = text {
            tokens.push(Token { text, close });
            close = true;
        } else {
            close = false;
        }
        rest = &rest[length..];
    }
    tokens
}

/// A word, or a string with letters before its quote such as `E'...'`.
fn word(text: &str) -> (Option<String>, usize) {
    let end = text.find(|c| !is_word(c) && !c.is_ascii_digit() && c != '$').unwrap_or(text.len());
    let word = text[..end].to_lowercase();
    let after = &text[end..];
    if ["e", "b", "x", "n"].contains(&&*word) && after.starts_with('\'') {
        return (Some(VALUE.to_owned()), end + quoted(after, '\'', word == "e"));
    }
    if word == "u" && after.starts_with("&'") {
        return (Some(VALUE.to_owned()), end + 1 + quoted(&after[1..], '\'', false));
    }
    (Some(word), end)
}

/// The length of what is between quotes, them included; two quotes are one that is meant.
fn quoted(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of `$1` or of `$tag$...$tag$`.
fn dollar(text: &str) -> Option<usize> {
    let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return Some(1 + digits);
    }
    let end = text[1..].find(|c| !is_word(c) && !c.is_ascii_digit())? + 1;
    let tag = text.get(..=end).filter(|tag| tag.ends_with('$'))?;
    let close = text[tag.len()..].find(tag);
    Some(close.map_or(text.len(), |at| 2 * tag.len() + at))
}

fn number(text: &str) -> usize {
    let mut end = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(end) {
        let signed =
            matches!(byte, b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E');
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || signed) {
            break;
        }
        end += 1;
    }
    end
}

fn operator(text: &str) -> usize {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let comment = text[at..].starts_with("--") || text[at..].starts_with("/*");
        if !OPERATORS.contains(c) || (comment && at > 0) {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

/// The length of a comment; they nest.
fn comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn after_name(tokens: &[Token], close: bool) -> bool {
    close && tokens.last().is_some_and(|token| token.text.ends_with(|c| is_word(c) || c == '"'))
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Makes one value of a list of values after `IN`, and one row of many after `VALUES`.
fn squash(tokens: &[Token]) -> Vec<Token> {
    let mut squashed: Vec<Token> = Vec::with_capacity(tokens.len());
    let (mut rest, mut open) = (tokens, false);
    while let Some((token, after)) = rest.split_first() {
        squashed.push(token.clone());
        rest = after;
        match &*token.text {
            "in" => {
                if let Some((group, after)) = list(rest) {
                    let value = Token { text: VALUE.to_owned(), close: true };
                    squashed.extend([group[0].clone(), value, group[group.len() - 1].clone()]);
                    rest = after;
                }
            }
            // Of brackets that are never closed the end is looked for once.
            "values" if !open => {
                let first = group(rest);
                open = first.is_none() && rest.first().is_some_and(|next| next.text == "(");
                if let Some((first, mut after)) = first {
                    squashed.extend_from_slice(first);
                    while let Some(next) = after.strip_prefix_comma()
                        && let Some((_, beyond)) = group(next)
                    {
                        after = beyond;
                    }
                    rest = after;
                }
            }
            _ => {}
        }
    }
    squashed
}

/// Values in brackets, one at least, whatever their signs, and what comes after.
fn list(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let (_, inner) = tokens.split_first().filter(|(first, _)| first.text == "(")?;
    let value = |it: &&Token| [VALUE, ",", "-", "+"].contains(&&*it.text);
    let count = inner.iter().take_while(value).count();
    let some = inner[..count].iter().any(|it| it.text == VALUE);
    let closed = inner.get(count).is_some_and(|it| it.text == ")");
    (closed && some).then(|| tokens.split_at(count + 2))
}

/// What is in brackets, them included, and what comes after.
fn group(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match &*token.text {
            "(" => depth += 1,
            ")" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then(|| tokens.split_at(at + 1));
        }
    }
    None
}

trait Comma {
    fn strip_prefix_comma(&self) -> Option<&[Token]>;
}

impl Comma for [Token] {
    fn strip_prefix_comma(&self) -> Option<&[Token]> {
        self.split_first().filter(|(first, _)| first.text == ",").map(|(_, rest)| rest)
    }
}

fn render(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut open = true;
    for token in tokens {
        let tight = token.close || matches!(&*token.text, "," | ")" | ";");
        if !open && !tight {
            text.push(' ');
        }
        text.push_str(&token.text);
        open = token.text == "(";
        if token.text == "," {
            text.push(' ');
            open = true;
        }
    }
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

const VALUE: &str = "?";
const OPERATORS: &str = "+-*/<>=~!@#%^&|`?";
/// Bytes of a statement that is shown.
const LONGEST: usize = 2_000;
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests;
