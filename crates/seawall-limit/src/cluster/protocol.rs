//! What a node asks of Redis, and what it hears: plain values, so that a model can stand in.

use super::law::Law;

/// What all asks about one policy set share.
#[derive(Debug)]
pub(crate) struct Spec {
    /// The policies' places in the limiter, most specific first.
    pub(crate) ids: Box<[u8]>,
    /// In the same order.
    pub(crate) laws: Box<[Law]>,
    /// The same: the names under which Redis keeps them.
    pub(crate) names: Box<[Box<str>]>,
    /// Bit i: the limiter's policy i. Tells one set from another, whatever the order.
    pub(crate) mask: u64,
    /// Whether no unit may be taken ahead of its use.
    pub(crate) exact: bool,
}

impl Spec {
    /// The least room that the policies leave, in units.
    #[cfg(test)]
    pub(crate) fn units(&self, spent: &[u64]) -> u64 {
        self.laws.iter().zip(spent).map(|(law, spent)| law.units(*spent)).min().unwrap_or(0)
    }
}

/// A request for units: `need` all or none, then up to `want` more as far as there is plenty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// 0 only looks.
    pub(crate) need: u32,
    pub(crate) want: u32,
}

/// A change of what is spent, whatever there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amend {
    pub(crate) kind: AmendKind,
    /// Microseconds, of each policy of the set.
    pub(crate) amounts: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AmendKind {
    /// Spend, at most to empty.
    Charge,
    /// Give back.
    Refund,
    /// Give back units that were granted then, in Redis's time, but not what has refilled since:
    /// Redis would have had that anyway.
    Return { granted_at: u64 },
}

/// What Redis says of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Redis's clock, in microseconds.
    pub(crate) now: u64,
    /// Units charged: 0, or at least what was needed.
    pub(crate) granted: u32,
    pub(crate) mended: Mended,
    /// Of each policy of the set, in microseconds, after the charge.
    pub(crate) spent: Vec<u64>,
}

/// What was wrong with a key, and is not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mended {
    Nothing,
    /// A value that is not ours: taken for spent in full.
    Value,
    /// No TTL.
    Ttl,
}
