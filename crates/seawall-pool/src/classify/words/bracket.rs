//! What a bracket is of: a call, or something else.

use super::keywords::Word;
use super::lexer::Token;
use super::{Frame, Last, Query, Reader, Told, UNCLEAR, WRITE};

impl Reader<'_> {
    pub(super) fn open(&mut self) -> Result<(), Told> {
        let mut frame = Frame::Plain;
        let mut query = Query::No;
        match self.last {
            Last::Word(Word::Operator) => return self.operator(),
            Last::Word(Word::On) if self.before == Last::Word(Word::Distinct) => {
                frame = Frame::DistinctOn;
            }
            Last::Word(word) if word.is_reserved() => {}
            // What these are was seen when they were read.
            Last::Word(Word::Join | Word::Sets | Word::Varying | Word::Rollup) => {}
            Last::Word(word) if !self.is_no_call() && !self.is_harmless() => {
                if !word.is_odd() {
                    // Behind a name it may be an alias.
                    let alias = self.name.head == Last::Word(Word::Name);
                    return Err(if alias { UNCLEAR } else { WRITE });
                }
                query = Query::Wanted;
            }
            Last::Named if !self.is_no_call() && !self.is_harmless() => return Err(WRITE),
            _ => {}
        }
        self.deeper(frame)?;
        self.query = query;
        (self.before, self.last) = (self.last, Last::Open);
        Ok(())
    }

    /// `OPERATOR(schema.+)`, from its bracket on. A function may have that name too, behind `FROM`.
    fn operator(&mut self) -> Result<(), Told> {
        let (mut built_in, mut last) = (true, Token::Open);
        loop {
            let token = self.next()?;
            match (last, token) {
                (Token::Open | Token::Dot, Token::Word | Token::Quoted) => {
                    built_in = self.part(token == Token::Quoted).is("pg_catalog");
                }
                (Token::Word | Token::Quoted, Token::Dot)
                | (Token::Open | Token::Dot | Token::Operator, Token::Operator) => {}
                (Token::Operator, Token::Close) if built_in => break,
                _ => return Err(WRITE),
            }
            last = token;
        }
        (self.before, self.last) = (self.last, Last::Other);
        Ok(())
    }

    /// Whether the name before a bracket stands where there is no function.
    fn is_no_call(&self) -> bool {
        match self.name.head {
            // A type, or an alias.
            Last::Cast | Last::Word(Word::As) => true,
            // Only a keyword can follow a name and be followed by a bracket.
            Last::Word(Word::Name) => {
                matches!(self.last, Last::Word(word) if word.is_odd())
            }
            // Made in a `WITH`, or an operand has ended.
            Last::Listing | Last::Close | Last::Value | Last::Named => self.name.schema.is_none(),
            Last::Word(Word::Sample) => {
                self.name.schema.is_none()
                    && (self.name.part.is("system") || self.name.part.is("bernoulli"))
            }
            _ => false,
        }
    }

    fn is_harmless(&self) -> bool {
        self.name.is_harmless(self.functions)
    }

    pub(super) fn deeper(&mut self, frame: Frame) -> Result<(), Told> {
        *self.frames.get_mut(self.depth).ok_or(UNCLEAR)? = frame;
        self.depth += 1;
        self.listing &= !(1 << self.depth);
        Ok(())
    }
}
