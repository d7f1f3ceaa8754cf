//! Sums and products of signals and numbers.

use std::fmt;

use super::literal::Literal;
use crate::algebra;
use crate::{Missing, Unit};

/// How two operands are joined.
#[expect(clippy::exhaustive_enums, reason = "the four operations")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arith {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Signal(Box<str>),
    Number(Literal),
    Join(Box<Term>, Arith, Box<Term>),
}

/// A value with its unit; no unit for a bare number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity {
    pub(super) value: f64,
    pub(super) unit: Option<Unit>,
}

impl Arith {
    fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Plus => left + right,
            Self::Minus => left - right,
            Self::Times => left * right,
            Self::Over => left / right,
        }
    }

    pub(super) fn binds_tightly(self) -> bool {
        matches!(self, Self::Times | Self::Over)
    }
}

impl fmt::Display for Arith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Over => "/",
        })
    }
}

impl Term {
    /// Calls `visit` with each signal, left to right.
    pub(super) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Signal(name) => visit(name),
            Self::Number(_) => {}
            Self::Join(left, _, right) => {
                left.each(visit);
                right.each(visit);
            }
        }
    }

    pub(super) fn has_signal(&self) -> bool {
        let mut found = false;
        self.each(&mut |_| found = true);
        found
    }

    /// The number, if it is nothing else.
    pub(super) fn literal(&self) -> Option<Literal> {
        match self {
            Self::Number(literal) => Some(*literal),
            _ => None,
        }
    }

    /// Its unit, if every signal has the one that `unit` says.
    pub(super) fn unit(&self, unit: &impl Fn(&str) -> Unit) -> Result<Option<Unit>, (Unit, Unit)> {
        match self {
            Self::Signal(name) => Ok(Some(unit(name))),
            Self::Number(literal) => Ok(literal.unit()),
            Self::Join(left, op, right) => algebra::join(*op, left.unit(unit)?, right.unit(unit)?),
        }
    }

    /// Its value now. A division by zero is not finite and so missing.
    pub(super) fn value(
        &self,
        read: &impl Fn(&str) -> Result<Quantity, Missing>,
    ) -> Result<Quantity, Missing> {
        match self {
            Self::Signal(name) => read(name),
            Self::Number(literal) => Ok(Quantity { value: literal.value(), unit: literal.unit() }),
            Self::Join(left, op, right) => {
                let (left, right) = (left.value(read)?, right.value(read)?);
                let unit = algebra::join(*op, left.unit, right.unit);
                let unit = unit.map_err(|_| Missing::OtherUnit)?;
                let value = op.apply(left.value, right.value);
                if value.is_finite() {
                    Ok(Quantity { value, unit })
                } else {
                    Err(Missing::NotFinite)
                }
            }
        }
    }
}

/// With the fewest parentheses that parse back to the same tree.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => f.write_str(name),
            Self::Number(literal) => literal.fmt(f),
            Self::Join(left, op, right) => {
                let loose = |term: &Self| match term {
                    Self::Join(_, inner, _) => op.binds_tightly() && !inner.binds_tightly(),
                    _ => false,
                };
                let same = matches!(&**right, Self::Join(_, inner, _)
                    if inner.binds_tightly() == op.binds_tightly());
                within(f, left, loose(left))?;
                write!(f, " {op} ")?;
                within(f, right, same || loose(right))
            }
        }
    }
}

fn within(f: &mut fmt::Formatter<'_>, term: &Term, parentheses: bool) -> fmt::Result {
    if parentheses { write!(f, "({term})") } else { fmt::Display::fmt(term, f) }
}
