//! Cuts a statement into tokens as PostgreSQL does.
//!
//! Where versions differ, on whether letters may follow a number, it says so and gives no token. Where a
//! string ends differs by a setting, and by whether it goes on from another on the line before, if a
//! backslash stands before its mark. With more marks behind it, such a text is
//! taken for broken: no parser knows both readings either.

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Not in quotes.
    Word,
    /// A name in quotes.
    Quoted,
    /// A number, a parameter or a string, or the end of a subscript.
    Value,
    Comma,
    Open,
    Close,
    Dot,
    Cast,
    Semicolon,
    Operator,
    End,
    /// No version takes it.
    Broken,
}

pub(super) struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    /// Where the last token began.
    start: usize,
    /// Of the last word, or of its last 16 bytes.
    key: u128,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, start: 0, key: 0 }
    }

    /// The last token as it stands there.
    pub(super) fn text(&self) -> &'a str {
        self.sql.get(self.start..self.at).unwrap_or_default()
    }

    /// The last word's [`key`](super::keywords::key), if it is as short as keywords are.
    #[inline]
    pub(super) const fn key(&self) -> Option<u128> {
        if self.at - self.start <= 16 { Some(self.key) } else { None }
    }

    /// `None` if it cannot be told.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Token> {
        loop {
            let byte = self.peek(0);
            match CLASS[usize::from(byte)] {
                Class::Space => self.at += 1,
                Class::Minus if self.peek(1) == b'-' => self.line(),
                Class::Slash if self.peek(1) == b'*' => {
                    if !self.comment() {
                        return Some(Token::Broken);
                    }
                }
                class => {
                    self.start = self.at;
                    return self.token(class, byte);
                }
            }
        }
    }

    #[inline]
    fn token(&mut self, class: Class, byte: u8) -> Option<Token> {
        match class {
            Class::Letter => return self.word(),
            Class::Digit => return self.number(),
            Class::Mark => return self.string(),
            Class::Quote => return Some(self.quoted_name()),
            Class::Dollar => return self.dollar(),
            Class::End if self.at >= self.sql.len() => return Some(Token::End),
            Class::Dot if self.peek(1).is_ascii_digit() => return self.number(),
            Class::Colon if self.peek(1) == b':' => {
                self.at += 2;
                return Some(Token::Cast);
            }
            Class::End | Class::Other => return None,
            _ => {}
        }
        self.at += 1;
        Some(match byte {
            b'(' => Token::Open,
            b')' => Token::Close,
            b'.' => Token::Dot,
            b',' => Token::Comma,
            b';' => Token::Semicolon,
            // The operand ends.
            b']' => Token::Value,
            _ => Token::Operator,
        })
    }

    /// Whether the rest, which is not looked at otherwise, is broken, or may be.
    pub(super) fn is_broken(&mut self) -> bool {
        loop {
            match self.next() {
                Some(Token::End) => return false,
                Some(Token::Broken) => return true,
                Some(_) => {}
                None => return self.sql.contains("\\'"),
            }
        }
    }

    /// The byte so many from here; zero behind the end.
    #[inline]
    fn peek(&self, ahead: usize) -> u8 {
        self.sql.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn line(&mut self) {
        let end = self.rest().iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        self.at = end.map_or(self.sql.len(), |end| self.at + end);
    }

    /// They nest. Whether it ends.
    fn comment(&mut self) -> bool {
        let mut depth = 0_usize;
        loop {
            match *self.rest() {
                [b'/', b'*', ..] => (depth += 1, self.at += 2),
                [b'*', b'/', ..] => (depth -= 1, self.at += 2),
                [] => return false,
                _ => ((), self.at += 1),
            };
            if depth == 0 {
                return true;
            }
        }
    }

    #[inline]
    fn word(&mut self) -> Option<Token> {
        let mut key = 0;
        loop {
            let folded = FOLD[usize::from(self.peek(0))];
            if folded == 0 {
                break;
            }
            key = key << 8 | u128::from(folded);
            self.at += 1;
        }
        self.key = key;
        match self.peek(0) {
            // `E'..'`; other letters before a string leave it as it is.
            b'\'' if key == u128::from(b'e') => self.escaped(),
            // What is in it is said in numbers.
            b'&' if key == u128::from(b'u') && matches!(self.peek(1), b'\'' | b'"') => {
                Some(Token::Broken)
            }
            _ => Some(Token::Word),
        }
    }

    /// Digits, a point among them, and an exponent.
    fn number(&mut self) -> Option<Token> {
        self.digits();
        if self.peek(0) == b'.' {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.digits();
            }
        }
        self.unless_a_word_follows()
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    /// `1a` and `$1a` are one or two, by version.
    fn unless_a_word_follows(&self) -> Option<Token> {
        (FOLD[usize::from(self.peek(0))] == 0).then_some(Token::Value)
    }

    /// Twice the mark is the mark itself. What a backslash before one is depends on a setting.
    fn string(&mut self) -> Option<Token> {
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\'', b'\'') => self.at += 2,
                (b'\'', _) => {
                    self.at += 1;
                    return Some(Token::Value);
                }
                (b'\\', b'\'') => {
                    self.at += 2;
                    // If it is no end, there is none, and nothing is run.
                    let ends = !self.rest().contains(&b'\'');
                    return Some(if ends { Token::Value } else { Token::Broken });
                }
                // Either a letter, or with the next one.
                (b'\\', _) => self.at += 2,
                (0, _) if self.at >= self.sql.len() => return Some(Token::Broken),
                _ => self.at += 1,
            }
        }
    }

    /// `E'..'`, from its mark on: a backslash takes the next letter with it.
    fn escaped(&mut self) -> Option<Token> {
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\\', _) | (b'\'', b'\'') => self.at += 2,
                (b'\'', _) => {
                    self.at += 1;
                    return Some(Token::Value);
                }
                (0, _) if self.at >= self.sql.len() => return Some(Token::Broken),
                _ => self.at += 1,
            }
        }
    }

    fn quoted_name(&mut self) -> Token {
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'"', b'"') => self.at += 2,
                (b'"', _) => {
                    self.at += 1;
                    return Token::Quoted;
                }
                (0, _) if self.at >= self.sql.len() => return Token::Broken,
                _ => self.at += 1,
            }
        }
    }

    /// A parameter, or a string between dollars.
    fn dollar(&mut self) -> Option<Token> {
        self.at += 1;
        if self.peek(0).is_ascii_digit() {
            self.digits();
            return self.unless_a_word_follows();
        }
        let tag = |byte: &u8| FOLD[usize::from(*byte)] != 0 && *byte != b'$';
        let len = self.rest().iter().position(|byte| !tag(byte))?;
        if self.peek(len) != b'$' {
            return None;
        }
        self.at += len + 1;
        let mark = self.sql.get(self.start..self.at)?;
        Some(match self.sql.get(self.at..)?.find(mark) {
            Some(end) => {
                self.at += end + mark.len();
                Token::Value
            }
            None => Token::Broken,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Space,
    Letter,
    Digit,
    Mark,
    Quote,
    Dollar,
    Dot,
    Colon,
    Minus,
    Slash,
    Sign,
    /// Zero, which stands for the end as well.
    End,
}

static CLASS: [Class; 256] = {
    let mut table = [Class::Other; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = match byte {
            0 => Class::End,
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Mark,
            b'"' => Class::Quote,
            b'$' => Class::Dollar,
            b'.' => Class::Dot,
            b':' => Class::Colon,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b'(' | b')' | b',' | b';' | b'[' | b']' | b'+' | b'*' | b'<' | b'>' | b'=' | b'~'
            | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'?' | b'`' => Class::Sign,
            _ => Class::Other,
        };
        if byte == 255 {
            break table;
        }
        byte += 1;
    }
};

/// In lower case, what a word may go on with; zero for all else. PostgreSQL takes every byte beyond
/// ASCII for a letter.
static FOLD: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80 {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        if byte == 255 {
            break table;
        }
        byte += 1;
    }
};
