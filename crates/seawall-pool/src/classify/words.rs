//! Telling nearly all statements without parsing them: by their words alone.
//!
//! In PostgreSQL's grammar a `SELECT`, `VALUES`, `TABLE` or `WITH` writes by itself only if `INSERT`, `UPDATE`,
//! `DELETE` or `MERGE` begins a part of it, or `INTO` or a locking `FOR` stands in it, outside of
//! quotations; and it calls a function by no other means than a name before a bracket (operators
//! and casts aside, which the parser does not look into either). So a text that has none of these
//! and in which each name before a bracket is a harmless function, or no function where it stands, is a
//! read. A name before a bracket is no function
//!
//! - behind `AS`, `::` or the name of a type, where it is a type or an alias;
//! - behind a bracket that closes, a string, a number, or a name that has quotes or a dot: where an
//!   operand has ended, only an operator, a clause or an alias goes on. Two brackets end no operand, those of
//!   `DISTINCT ON (..)` and `OPERATOR(..)`;
//! - behind any name, if it is a keyword that goes between operands or tables, such as `LIKE` and `JOIN`;
//! - in the list of a `WITH`, where it is followed by the names of columns;
//! - if it is a keyword that cannot be the name of one.
//!
//! `EXPLAIN` without `ANALYZE` runs nothing, whatever it explains, but for `EXECUTE`: what that is given
//! is worked out.
//!
//! What begins like no read, or calls what is not known to be harmless, is a write. What is not plainly one
//! or the other, a keyword before a bracket that may be the name of a function, is left to the
//! parser: a word in doubt costs time and never a wrong answer. One pass over the bytes, without an allocation.

use super::{Functions, Kind, LONGEST};

mod bracket;
mod explain;
mod keywords;
mod lexer;
mod name;

use keywords::Word;
use lexer::{Lexer, Token};
use name::{Name, Part};

#[cfg(test)]
pub(super) use keywords::reserved;

/// What `sql` is, if its words tell.
pub(super) fn tell(sql: &str, functions: &Functions) -> Option<Kind> {
    if sql.len() > LONGEST {
        return Some(Kind::Write);
    }
    let mut reader = Reader {
        lexer: Lexer::new(sql),
        functions,
        last: Last::Start,
        before: Last::Start,
        name: Name::default(),
        depth: 0,
        frames: [Frame::Plain; DEEPEST],
        listing: 0,
        query: Query::No,
    };
    match reader.read() {
        Ok(()) => Some(Kind::Read),
        // The parser, which is asked next, knows one reading of a string only.
        Err(UNCLEAR) if reader.lexer.is_broken() => WRITE,
        Err(told) => told,
    }
}

/// Why reading ends early: it is a write, or cannot be told.
type Told = Option<Kind>;

const WRITE: Told = Some(Kind::Write);
const UNCLEAR: Told = None;

struct Reader<'a> {
    lexer: Lexer<'a>,
    functions: &'a Functions,
    last: Last,
    /// What stood before `last`.
    before: Last,
    /// That `last` is the end of, if it is a word or a name.
    name: Name<'a>,
    depth: usize,
    /// The brackets that are open.
    frames: [Frame; DEEPEST],
    /// Bit `n`: in `n` brackets, the list of a `WITH` goes on.
    listing: u64,
    /// Whether the last bracket must be that of a query, or else be a call.
    query: Query,
}

/// What the last token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Start,
    Word(Word),
    /// A name that has quotes or a dot.
    Named,
    /// `WITH`, or what is followed by the next name in its list.
    Listing,
    /// `GROUP BY`, `ORDER BY` or `PARTITION BY`.
    GroupBy,
    SortBy,
    Dot,
    Cast,
    Comma,
    Open,
    Close,
    Value,
    /// After which an expression begins.
    Other,
}

/// What a bracket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Plain,
    /// `DISTINCT ON (..)`
    DistinctOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    No,
    /// It has just been opened.
    Wanted,
    /// Its first word is `VALUES`.
    Values,
}

impl<'a> Reader<'a> {
    /// Reads it all, if it is a read.
    fn read(&mut self) -> Result<(), Told> {
        let mut token = self.next()?;
        let mut runs = true;
        if token == Token::Word && self.word() == Word::Explain {
            token = self.next()?;
            (token, runs) = self.explain(token)?;
        }
        while token == Token::Open {
            self.deeper(Frame::Plain)?;
            token = self.next()?;
        }
        if token != Token::Word {
            return Err(WRITE);
        }
        match self.word() {
            Word::Select | Word::Values | Word::Table | Word::With => {}
            Word::Change if !runs => {}
            // Nothing else begins a read.
            _ if runs => return Err(WRITE),
            _ => return Err(UNCLEAR),
        }
        if !runs {
            return self.skim();
        }
        loop {
            self.step(token)?;
            token = self.next()?;
            if matches!(token, Token::End | Token::Semicolon) {
                return self.end(token);
            }
        }
    }

    /// The end of the statement, and nothing behind it.
    fn end(&mut self, token: Token) -> Result<(), Told> {
        // More than one word, and whole.
        if self.before == Last::Start || self.depth > 0 || self.query != Query::No {
            return Err(WRITE);
        }
        self.nothing_behind(token)
    }

    fn nothing_behind(&mut self, mut token: Token) -> Result<(), Told> {
        loop {
            match token {
                Token::End => return Ok(()),
                Token::Semicolon => token = self.next()?,
                _ => return Err(WRITE),
            }
        }
    }

    /// One token of what is to be run.
    fn step(&mut self, token: Token) -> Result<(), Told> {
        let word = if token == Token::Word { self.word() } else { Word::Name };
        if self.query != Query::No {
            self.query = match (self.query, token, word) {
                (Query::Wanted, Token::Word, Word::Select | Word::With)
                | (Query::Values, Token::Open, _) => Query::No,
                // The name of a column, or what a query begins with.
                (Query::Wanted, Token::Word, Word::Values) => Query::Values,
                _ => return Err(UNCLEAR),
            };
        }
        if self.listing != 0 {
            self.goes_on(token, word);
        }
        let now = match token {
            Token::Word => self.after_word(word)?,
            Token::Quoted => {
                self.name = self.name.then(self.last, self.part(true));
                Last::Named
            }
            Token::Open => return self.open(),
            Token::Close => {
                self.depth = self.depth.checked_sub(1).ok_or(WRITE)?;
                if self.frames[self.depth] == Frame::DistinctOn { Last::Other } else { Last::Close }
            }
            Token::Comma if self.is_listing() => Last::Listing,
            Token::Comma => Last::Comma,
            Token::Dot => {
                if !matches!(self.last, Last::Word(_) | Last::Named) {
                    // A field of a row, or `.*`: no name to go on.
                    self.name = Name { head: Last::Dot, ..Name::default() };
                }
                Last::Dot
            }
            Token::Cast => Last::Cast,
            Token::Value => Last::Value,
            Token::Operator => Last::Other,
            Token::Semicolon | Token::End | Token::Broken => return Err(WRITE),
        };
        (self.before, self.last) = (self.last, now);
        Ok(())
    }

    fn after_word(&mut self, word: Word) -> Result<Last, Told> {
        let last = self.last;
        self.name = self.name.then(last, self.part(false));
        Ok(match word {
            // Behind a dot, every word is a name.
            _ if last == Last::Dot => Last::Named,
            Word::Into => return Err(WRITE),
            Word::Change | Word::Lock if last == Last::Word(Word::For) => return Err(WRITE),
            Word::Change => match last {
                Last::Start | Last::Open | Last::Close => return Err(WRITE),
                // A column, where no statement can begin.
                Last::Comma | Last::Other | Last::SortBy | Last::GroupBy => Last::Word(Word::Name),
                // Not behind any that are no functions: some can be the name of a column, with which
                // `CYCLE .. USING` ends before the statement.
                Last::Word(Word::As | Word::Distinct | Word::Not | Word::On | Word::Select) => {
                    Last::Word(Word::Name)
                }
                _ => return Err(UNCLEAR),
            },
            Word::With if matches!(last, Last::Start | Last::Open) => {
                self.listing |= 1 << self.depth;
                Last::Listing
            }
            Word::Recursive if last == Last::Listing => Last::Listing,
            // `AS NOT MATERIALIZED (..)`
            Word::Not if last == Last::Word(Word::As) => last,
            // `a NOT LIKE (..)`
            Word::Not
                if matches!(
                    last,
                    Last::Close | Last::Value | Last::Named | Last::Word(Word::Name)
                ) =>
            {
                Last::Word(Word::Name)
            }
            Word::By => match last {
                Last::Word(Word::Group) => Last::GroupBy,
                Last::Word(Word::Order | Word::Partition) => Last::SortBy,
                _ => Last::Word(Word::By),
            },
            Word::Sets if last != Last::Word(Word::Grouping) => Last::Word(Word::Odd),
            Word::Join if last != Last::Word(Word::Side) => Last::Word(Word::Odd),
            Word::Varying if last != Last::Word(Word::Text) => Last::Word(Word::Odd),
            Word::Rollup if last != Last::GroupBy => Last::Word(Word::Odd),
            word => Last::Word(word),
        })
    }

    /// Whether a comma is followed by the next name in the list of a `WITH`.
    fn is_listing(&self) -> bool {
        self.listing & (1 << self.depth) != 0
    }

    /// Ends the list of a `WITH` where the query begins that it belongs to.
    fn goes_on(&mut self, token: Token, word: Word) {
        let goes_on = match token {
            Token::Word | Token::Quoted => {
                self.last == Last::Listing
                    || matches!(word, Word::As | Word::Not | Word::Materialized)
            }
            Token::Open => {
                self.name.head == Last::Listing && self.last != Last::Close
                    || matches!(self.last, Last::Word(Word::As | Word::Materialized))
            }
            Token::Comma => self.last == Last::Close,
            _ => false,
        };
        if !goes_on {
            self.listing &= !(1 << self.depth);
        }
    }

    fn next(&mut self) -> Result<Token, Told> {
        self.lexer.next().ok_or(UNCLEAR)
    }

    /// What the last token is, a word.
    fn word(&self) -> Word {
        self.lexer.key().map_or(Word::Name, Word::of)
    }

    fn part(&self, quoted: bool) -> Part<'a> {
        Part { text: self.lexer.text(), quoted }
    }
}

/// Brackets; more are left to the parser, which has enough of them sooner.
const DEEPEST: usize = 63;
