//! `EXPLAIN`, which may run nothing.

use super::keywords::Word;
use super::lexer::Token;
use super::{Frame, Reader, Told, UNCLEAR, WRITE};

impl Reader<'_> {
    /// What stands between `EXPLAIN` and its statement: the first token of that, and whether it is run.
    pub(super) fn explain(&mut self, first: Token) -> Result<(Token, bool), Told> {
        let (mut token, mut runs) = (first, false);
        if token == Token::Open {
            token = self.next()?;
            let is_statement = match token {
                Token::Open => true,
                Token::Word => {
                    matches!(self.word(), Word::Select | Word::Values | Word::Table | Word::With)
                }
                _ => return Err(WRITE),
            };
            if is_statement {
                self.deeper(Frame::Plain)?;
                return Ok((token, false));
            }
            while token != Token::Close {
                match token {
                    Token::Word => runs |= self.word() == Word::Runs,
                    // An option may have quotes.
                    Token::Quoted => return Err(UNCLEAR),
                    Token::Value | Token::Comma => {}
                    _ => return Err(WRITE),
                }
                token = self.next()?;
            }
            return Ok((self.next()?, runs));
        }
        while token == Token::Word {
            match self.word() {
                Word::Runs => runs = true,
                Word::Verbose => {}
                _ => break,
            }
            token = self.next()?;
        }
        Ok((token, runs))
    }

    /// What is explained and not run: one query, or one statement that changes rows.
    pub(super) fn skim(&mut self) -> Result<(), Told> {
        let mut words = 0;
        loop {
            match self.next()? {
                Token::Open => self.depth += 1,
                Token::Close => self.depth = self.depth.checked_sub(1).ok_or(WRITE)?,
                token @ (Token::End | Token::Semicolon) if self.depth == 0 && words > 0 => {
                    return self.nothing_behind(token);
                }
                Token::End | Token::Semicolon | Token::Broken => return Err(WRITE),
                _ => words += 1,
            }
        }
    }
}
