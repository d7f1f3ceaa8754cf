//! Sums, products and their operands.
//!
//! `(` may open a condition or a sum. Which of the two is known only at what
//! follows, so both are parsed by the same functions, which return an [`Item`].

use std::ops::Range;

use super::super::MAX_OPERANDS;
use super::super::term::Arith;
use super::{Expr, ParseErrorKind, Parsed, Parser, Term, Token, is_keyword};
use crate::{Unit, algebra};

/// What was found where both a condition and the side of one may stand.
pub(super) enum Item {
    Condition(Expr),
    Term {
        term: Term,
        unit: Option<Unit>,
        /// Where its first token stands.
        first: Range<usize>,
    },
}

impl Parser<'_> {
    /// A sum that is no condition, with its unit.
    pub(super) fn value(&mut self, expected: ParseErrorKind) -> Parsed<(Term, Option<Unit>)> {
        let at = self.at.clone();
        match self.sum(expected)? {
            Item::Term { term, unit, .. } => Ok((term, unit)),
            Item::Condition(_) => Err(self.fail_at(at, expected)),
        }
    }

    pub(super) fn sum(&mut self, expected: ParseErrorKind) -> Parsed<Item> {
        self.joined(expected, &[Arith::Plus, Arith::Minus], Self::product)
    }

    fn product(&mut self, expected: ParseErrorKind) -> Parsed<Item> {
        self.joined(expected, &[Arith::Times, Arith::Over], Self::factor)
    }

    /// Operands joined by any of `ops`, from the left.
    fn joined(
        &mut self,
        expected: ParseErrorKind,
        ops: &[Arith],
        operand: fn(&mut Self, ParseErrorKind) -> Parsed<Item>,
    ) -> Parsed<Item> {
        let (mut term, mut unit, first) = match operand(self, expected)? {
            Item::Term { term, unit, first } => (term, unit, first),
            condition @ Item::Condition(_) => return Ok(condition),
        };
        let mut operands = 1;
        while let Some(op) = self.arith(ops) {
            if operands == MAX_OPERANDS {
                return Err(self.fail(ParseErrorKind::TooLong { max: MAX_OPERANDS }));
            }
            operands += 1;
            self.next();
            let start = self.at.clone();
            let (right, right_unit) = match operand(self, ParseErrorKind::ExpectedNumber)? {
                Item::Term { term, unit, .. } => (term, unit),
                Item::Condition(_) => {
                    return Err(self.fail_at(start, ParseErrorKind::ExpectedNumber));
                }
            };
            unit = algebra::join(op, unit, right_unit).map_err(|(left, right)| {
                let kind = ParseErrorKind::UnitsDoNotMix { left, op, right };
                self.fail_at(start.start..self.end, kind)
            })?;
            term = Term::Join(Box::new(term), op, Box::new(right));
        }
        Ok(Item::Term { term, unit, first })
    }

    /// The operator that comes next, if it is one of `ops`. After an operand
    /// the `-` of `-3` is a minus: `a -3`.
    fn arith(&mut self, ops: &[Arith]) -> Option<Arith> {
        let signed = matches!(self.token, Token::Number(_) | Token::BadNumber(_))
            && self.input[self.at.start..].starts_with('-');
        if signed {
            self.token = Token::Arith(Arith::Minus);
            self.at.end = self.at.start + 1;
        }
        match self.token {
            Token::Arith(op) if ops.contains(&op) => Some(op),
            _ => None,
        }
    }

    fn factor(&mut self, expected: ParseErrorKind) -> Parsed<Item> {
        let first = self.at.clone();
        match self.token {
            Token::Open => {
                let item = self.nested(Self::or)?;
                if matches!(item, Item::Term { .. }) && self.token != Token::Close {
                    return self.whole(item).map(Item::Condition);
                }
                self.close(ParseErrorKind::ExpectedClose)?;
                Ok(item)
            }
            Token::Name(name) if !is_keyword(name) => {
                let name = self.signal()?;
                let unit = Some(Unit::of_name_in(&name, self.units));
                Ok(Item::Term { term: Term::Signal(name.into()), unit, first })
            }
            Token::Number(_) | Token::BadNumber(_) => {
                let literal = self.literal(expected)?;
                Ok(Item::Term { term: Term::Number(literal), unit: literal.unit(), first })
            }
            _ => Err(self.fail(expected)),
        }
    }
}
