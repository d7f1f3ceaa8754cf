use super::literal::Literal;
use super::term::Term;
use crate::Unit;

/// A comparison operator.
#[expect(clippy::exhaustive_enums, reason = "these are all orders of numbers")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Op {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`, exact.
    Equal,
    /// `!=`, exact.
    NotEqual,
}

impl Op {
    /// Whether `left OP right` holds.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Above => left > right,
            Self::AtLeast => left >= right,
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
        }
    }

    /// Whether no value both raises (`OP raise`) and clears (`CLEAR_OP clear`).
    pub(super) fn is_apart(self, raise: f64, clear_op: Self, clear: f64) -> bool {
        match (self, clear_op) {
            (Self::Above, Self::Below | Self::AtMost) | (Self::AtLeast, Self::Below) => {
                clear <= raise
            }
            (Self::Below, Self::Above | Self::AtLeast) | (Self::AtMost, Self::Above) => {
                clear >= raise
            }
            (Self::AtLeast, Self::AtMost) => clear < raise,
            (Self::AtMost, Self::AtLeast) => clear > raise,
            _ => false,
        }
    }

    /// `above`, `at least`, ...: for sentences.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::AtLeast => "at least",
            Self::Below => "below",
            Self::AtMost => "at most",
            Self::Equal => "equal to",
            Self::NotEqual => "other than",
        }
    }

    /// As it is written in a condition.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

/// `LEFT OP RIGHT`, with the threshold at which it lets go again.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The canonical text of `left`.
    pub(super) text: Box<str>,
    pub(super) left: Term,
    pub(super) op: Op,
    pub(super) right: Term,
    pub(super) clear: Option<(Op, Literal)>,
}

impl Comparison {
    /// The left side: the canonical name of a signal, or the canonical text of
    /// a sum or product of some.
    #[must_use]
    pub fn signal(&self) -> &str {
        &self.text
    }

    /// The operator.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// The right side, if it is a number.
    #[must_use]
    pub fn literal(&self) -> Option<Literal> {
        self.right.literal()
    }

    /// The hysteresis bound: `clear < 70%`.
    #[must_use]
    pub fn clear(&self) -> Option<(Op, Literal)> {
        self.clear
    }

    /// The hysteresis bound in base units, against a left side in `unit`.
    ///
    /// Against a ratio `> 5 clear < 1` would be 5 % and 100 %, and 3 % would
    /// both raise and clear: a bare `clear` that would lie on the wrong side is
    /// read on the scale of its threshold.
    pub(super) fn clear_against(&self, unit: Unit) -> Option<f64> {
        let (op, clear) = self.clear?;
        let own = clear.against(unit)?;
        let raise = self.literal()?;
        let threshold = raise.against(unit)?;
        if self.op.is_apart(threshold, op, own) {
            Some(own)
        } else if threshold == raise.value() {
            Some(clear.value())
        } else {
            Some(clear.value() / 100.0)
        }
    }
}

/// The shape of a condition, without its hold. Depth is bounded by the parser,
/// so recursion over it is safe.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Compare(Comparison),
    Absent(Box<str>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
}

impl Expr {
    /// Calls `visit` with each comparison, left to right.
    pub(super) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Comparison)) {
        match self {
            Self::Compare(comparison) => visit(comparison),
            Self::Absent(_) => {}
            Self::Not(inner) => inner.each(visit),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.each(visit)),
        }
    }

    /// Adds each signal's name, left to right.
    pub(super) fn names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Compare(comparison) => {
                comparison.left.each(&mut |name| names.push(name));
                comparison.right.each(&mut |name| names.push(name));
            }
            Self::Absent(signal) => names.push(signal),
            Self::Not(inner) => inner.names(names),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.names(names)),
        }
    }
}
