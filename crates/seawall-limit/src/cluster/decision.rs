//! A decision, and who made it.

use std::ops::Deref;

use crate::decision::Decision;

/// A [`Decision`] for the whole cluster, and where it comes from. Everything a `Decision` tells it
/// tells too.
#[derive(Debug, Clone, Copy)]
#[must_use = "a decision that nobody looks at limits nothing"]
pub struct ClusterDecision<'a> {
    decision: Decision<'a>,
    source: Source,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// Redis, just now.
    Redis,
    /// Out of units that this node had taken from Redis.
    Lease,
    /// This node, from what Redis said before: nothing can have refilled since.
    Memory,
    /// An operator blocked the key.
    Blocked,
    /// This node alone, on its share of the quota, since Redis is out of reach.
    Local,
    /// Nobody: admitted, since Redis is out of reach.
    Open,
    /// Nobody: rejected, since Redis is out of reach. Answer 503, not 429.
    Closed,
    /// Nobody: admitted, since all policies of the set are shadowed for this key.
    Unenforced,
}

impl<'a> ClusterDecision<'a> {
    pub(crate) const fn new(decision: Decision<'a>, source: Source) -> Self {
        Self { decision, source }
    }

    /// Who decided.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Whether it was made without Redis because that is out of reach.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        matches!(self.source, Source::Local | Source::Open | Source::Closed)
    }

    /// The decision alone.
    pub const fn decision(&self) -> Decision<'a> {
        self.decision
    }
}

impl<'a> Deref for ClusterDecision<'a> {
    type Target = Decision<'a>;

    fn deref(&self) -> &Decision<'a> {
        &self.decision
    }
}

impl Source {
    pub(crate) const ALL: [Self; 8] = [
        Self::Redis,
        Self::Lease,
        Self::Memory,
        Self::Blocked,
        Self::Local,
        Self::Open,
        Self::Closed,
        Self::Unenforced,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Lease => "lease",
            Self::Memory => "memory",
            Self::Blocked => "blocked",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Unenforced => "unenforced",
        }
    }
}
