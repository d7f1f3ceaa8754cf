use std::ops::Range;

use super::ast::Op;
use super::literal::{BadLiteral, Literal};
use super::term::Arith;

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A signal, a function, or a keyword.
    Name(&'a str),
    Number(Literal),
    BadNumber(BadLiteral),
    Op(Op),
    Arith(Arith),
    Open,
    Close,
    Comma,
    /// A character that starts no token.
    Other,
    End,
}

/// Reads the token at or after byte `from`, and where it stands.
pub(super) fn token(input: &str, from: usize) -> (Token<'_>, Range<usize>) {
    let rest = input.get(from..).unwrap_or_default();
    let trimmed = rest.trim_start();
    let start = from + (rest.len() - trimmed.len());
    let (token, len) = first(trimmed);
    (token, start..start + len)
}

fn first(text: &str) -> (Token<'_>, usize) {
    let Some(c) = text.chars().next() else {
        return (Token::End, 0);
    };
    if is_name_start(c) {
        let len = run(text, |c| is_name_start(c) || matches!(c, '0'..='9' | '.' | ':'));
        return (Token::Name(&text[..len]), len);
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return number(text);
    }
    for (symbol, token) in SYMBOLS {
        if text.starts_with(symbol) {
            return (token, symbol.len());
        }
    }
    (Token::Other, c.len_utf8())
}

/// `-`, digits, a fraction, an exponent, a suffix.
fn number(text: &str) -> (Token<'_>, usize) {
    let digits = |from: usize| run(&text[from..], |c| c.is_ascii_digit());
    let mut len = usize::from(text.starts_with('-'));
    len += digits(len);
    if text[len..].starts_with('.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['-', '+']));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    let end = len + suffix(&text[len..]);
    let token = text[..len]
        .parse()
        .map_err(|_| BadLiteral::OutOfRange)
        .and_then(|number| Literal::new(number, &text[len..end]))
        .map_or_else(Token::BadNumber, Token::Number);
    (token, end)
}

/// Length of the unit that touches the number: `%`, letters, `/` and letters.
fn suffix(text: &str) -> usize {
    if text.starts_with('%') {
        return 1;
    }
    let letters = run(text, char::is_alphabetic);
    let per = text[letters..].strip_prefix('/').map_or(0, |t| run(t, char::is_alphabetic));
    letters + if per > 0 { per + 1 } else { 0 }
}

/// Length in bytes of the longest start of `text` whose characters all pass.
fn run(text: &str, pass: impl Fn(char) -> bool) -> usize {
    text.find(|c| !pass(c)).unwrap_or(text.len())
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Longer symbols first.
const SYMBOLS: [(&str, Token<'static>); 13] = [
    (">=", Token::Op(Op::AtLeast)),
    ("<=", Token::Op(Op::AtMost)),
    ("==", Token::Op(Op::Equal)),
    ("!=", Token::Op(Op::NotEqual)),
    (">", Token::Op(Op::Above)),
    ("<", Token::Op(Op::Below)),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
    ("+", Token::Arith(Arith::Plus)),
    ("-", Token::Arith(Arith::Minus)),
    ("*", Token::Arith(Arith::Times)),
    ("/", Token::Arith(Arith::Over)),
];
