//! Telling most statements without parsing them: by their words alone.
//!
//! In PostgreSQL's grammar a `SELECT`, `VALUES` or `WITH` writes by itself only if one of the words
//! `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `INTO` or `FOR` stands in it, outside of quotations, and it
//! calls a function by no other means than a name before a bracket (`OPERATOR (..)` included, and
//! operators and casts aside, which the parser does not look into either). So a text that has none
//! of the words and in which each name before a bracket is a harmless function, or no function
//! wherever it stands, is a read. What is not plainly so is left to the parser: a word in doubt
//! costs time and never a wrong answer. One pass over the bytes, without an allocation.

use super::{DEEPEST, Functions, Kind, LONGEST, MOST_LINKS};

/// What `sql` is, if its words tell.
pub(super) fn tell(sql: &str, functions: &Functions) -> Option<Kind> {
    if sql.len() > LONGEST {
        return None;
    }
    let mut reader = Reader { rest: sql.as_bytes(), word: [0; LONGEST_WORD], word_len: 0 };
    let mut last = Last::Start;
    // The word that `last` is, and what stood before it.
    let mut before = Last::Start;
    let (mut depth, mut links) = (0_usize, 0_usize);
    let mut begun = false;
    let mut ended = false;
    let mut distinct_on = false;
    // A name before a bracket, which is a call unless a query stands in the bracket.
    let mut in_doubt = false;
    loop {
        let token = reader.next()?;
        if token == Token::End {
            // More than one word, and whole.
            let whole = before != Last::Start && depth == 0 && !in_doubt;
            return whole.then_some(Kind::Read);
        }
        if ended {
            return None;
        }
        let now = match token {
            Token::Word => {
                let word = reader.word();
                if !begun {
                    match word {
                        "select" | "values" | "with" => begun = true,
                        "table" | "explain" => return None,
                        // Nothing else begins a read.
                        _ => return Some(Kind::Write),
                    }
                }
                if WRITING.contains(&word) {
                    return None;
                }
                if in_doubt && word != "select" && word != "with" {
                    return None;
                }
                in_doubt = false;
                links += usize::from(!matches!(word, "as" | "by" | "from" | "select" | "where"));
                let now = Last::of(word, last);
                distinct_on |= last == Last::Distinct && now == Last::On;
                now
            }
            _ if in_doubt => return None,
            Token::Open => {
                depth += 1;
                in_doubt = match last {
                    // A type, or a name given to a table.
                    Last::Name if matches!(before, Last::Cast | Last::As | Last::With) => false,
                    Last::Name => !functions.is_harmless(reader.word()),
                    Last::By => before != Last::SortOrGroup,
                    // Behind a call they are syntax.
                    Last::Over => before != Last::Close || distinct_on,
                    Last::Quoted => return None,
                    _ => false,
                };
                Last::Other
            }
            Token::Close => {
                depth = depth.checked_sub(1)?;
                Last::Close
            }
            Token::Quoted => Last::Quoted,
            Token::Dot => Last::Dot,
            Token::Cast => Last::Cast,
            Token::Semicolon => {
                ended = true;
                Last::Other
            }
            Token::Operator => {
                links += 1;
                Last::Other
            }
            Token::Value | Token::End => Last::Other,
        };
        if !begun && token != Token::Open || depth > DEEPEST || links > MOST_LINKS {
            return None;
        }
        // Behind a dot, every word is a name.
        let now = if last == Last::Dot && token == Token::Word { Last::Quoted } else { now };
        (before, last) = (last, now);
    }
}

/// What the last token was, as far as it matters to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Start,
    /// A word that may be the name of any function.
    Name,
    /// A word that is never the name of a function.
    Reserved,
    As,
    By,
    Distinct,
    On,
    /// `ORDER` or `GROUP`.
    SortOrGroup,
    /// `OVER` or `FILTER`.
    Over,
    /// `WITH` or `WITH RECURSIVE`.
    With,
    /// A name in quotes, or behind a dot.
    Quoted,
    Dot,
    Cast,
    Close,
    Other,
}

impl Last {
    fn of(word: &str, last: Self) -> Self {
        match word {
            "as" => Self::As,
            "by" => Self::By,
            "distinct" => Self::Distinct,
            "on" => Self::On,
            "order" | "group" => Self::SortOrGroup,
            "over" | "filter" => Self::Over,
            "with" => Self::With,
            "recursive" if last == Self::With => Self::With,
            _ if RESERVED.contains(&word) => Self::Reserved,
            _ => Self::Name,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Not in quotes; in lower case in the reader.
    Word,
    /// A name in quotes.
    Quoted,
    /// A number, a parameter or a string.
    Value,
    Open,
    Close,
    Dot,
    Cast,
    Semicolon,
    Operator,
    End,
}

/// Reads tokens as PostgreSQL does, and gives up where its settings or versions differ.
struct Reader<'a> {
    rest: &'a [u8],
    word: [u8; LONGEST_WORD],
    word_len: usize,
}

impl Reader<'_> {
    /// The last word, in lower case.
    fn word(&self) -> &str {
        self.word.get(..self.word_len).and_then(|it| str::from_utf8(it).ok()).unwrap_or_default()
    }

    /// `None` if it cannot be told.
    fn next(&mut self) -> Option<Token> {
        loop {
            match *self.rest {
                [] => return Some(Token::End),
                [b' ' | b'\t' | b'\n' | b'\r' | b'\x0c', ..] => self.skip(1),
                [b'-', b'-', ..] => {
                    let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.skip(end.unwrap_or(self.rest.len()));
                }
                [b'/', b'*', ..] => self.comment()?,
                _ => break,
            }
        }
        let (token, len) = match *self.rest {
            [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => return self.read_word(),
            [b'0'..=b'9', ..] => (Token::Value, self.number(0)?),
            [b'.', b'0'..=b'9', ..] => (Token::Value, self.number(1)?),
            [b'$', b'0'..=b'9', ..] => {
                let len = 1 + digits(&self.rest[1..]);
                // `$1a` is one or two, by version.
                (
                    Token::Value,
                    self.rest.get(len).is_none_or(|byte| !of_word(*byte)).then_some(len)?,
                )
            }
            [b'\'', ..] => (Token::Value, self.quoted(b'\'')?),
            [b'"', ..] => (Token::Quoted, self.quoted(b'"')?),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b'.', ..] => (Token::Dot, 1),
            [b':', b':', ..] => (Token::Cast, 2),
            [b';', ..] => (Token::Semicolon, 1),
            [b',', ..] => (Token::Value, 1),
            [
                b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%'
                | b'^' | b'&' | b'|' | b'?' | b'[' | b']',
                ..,
            ] => (Token::Operator, 1),
            _ => return None,
        };
        self.skip(len);
        Some(token)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// They nest.
    fn comment(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.rest {
                [b'/', b'*', ..] => (depth += 1, self.skip(2)),
                [b'*', b'/', ..] => (depth -= 1, self.skip(2)),
                [] => return None,
                _ => ((), self.skip(1)),
            };
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn read_word(&mut self) -> Option<Token> {
        let len = self.rest.iter().position(|byte| !of_word(*byte)).unwrap_or(self.rest.len());
        let word = self.rest.get(..len)?;
        // In other letters, or longer than a name may be.
        if len > LONGEST_WORD || !word.is_ascii() {
            return None;
        }
        // `E'..'` and its like.
        if self.rest.get(len).is_some_and(|byte| *byte == b'\'')
            || (len == 1 && word.eq_ignore_ascii_case(b"u") && self.rest.get(1) == Some(&b'&'))
        {
            return None;
        }
        for (to, from) in self.word.iter_mut().zip(word) {
            *to = from.to_ascii_lowercase();
        }
        self.word_len = len;
        self.skip(len);
        Some(Token::Word)
    }

    /// Digits, and a point among them; `1e5`, `0x1` and `1a` are left to others.
    fn number(&self, from: usize) -> Option<usize> {
        let mut len = from + digits(self.rest.get(from..)?);
        if from == 0 && self.rest.get(len) == Some(&b'.') {
            len += 1;
            len += digits(self.rest.get(len..)?);
        }
        self.rest.get(len).is_none_or(|byte| !of_word(*byte)).then_some(len)
    }

    /// Twice the mark is the mark itself. What a backslash is depends on a setting.
    fn quoted(&self, mark: u8) -> Option<usize> {
        let mut at = 1;
        loop {
            match (*self.rest.get(at)?, self.rest.get(at + 1)) {
                (b'\\', _) if mark == b'\'' => return None,
                (byte, Some(next)) if byte == mark && *next == mark => at += 2,
                (byte, _) if byte == mark => return Some(at + 1),
                _ => at += 1,
            }
        }
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

/// PostgreSQL takes every byte beyond ASCII for a letter.
const fn of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Without one of these no data is changed, no row locked and no table made.
const WRITING: [&str; 6] = ["delete", "for", "insert", "into", "merge", "update"];

/// Never the name of a function, by PostgreSQL's table of keywords ("reserved", and "non-reserved,
/// cannot be function or type"), and followed by a bracket now and then.
pub(super) const RESERVED: [&str; 31] = [
    "all",
    "and",
    "any",
    "array",
    "between",
    "case",
    "cast",
    "char",
    "decimal",
    "else",
    "except",
    "exists",
    "from",
    "having",
    "in",
    "intersect",
    "lateral",
    "limit",
    "not",
    "numeric",
    "offset",
    "or",
    "select",
    "some",
    "then",
    "union",
    "using",
    "values",
    "varchar",
    "when",
    "where",
];

/// A name that is longer is cut off.
const LONGEST_WORD: usize = 63;
