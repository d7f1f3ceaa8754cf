//! What a balancer tells about itself.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::Policy;

/// How a node stands: the first that holds, from the top of the list but `Open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// It may be picked.
    Open,
    /// It takes no new work and finishes what it has.
    Draining,
    /// It takes no new work, for its weight is 0.
    Weightless,
    /// Its requests failed; it is out for a while.
    Ejected,
    /// Its probes failed, or the first is still to come.
    Unhealthy,
    /// It is behind the soft or the hard limit.
    Lagging,
    /// It asked for a pause, or is at its limit of requests outstanding.
    Saturated,
}

impl Standing {
    pub(crate) const ALL: [Self; 7] = [
        Self::Open,
        Self::Draining,
        Self::Weightless,
        Self::Ejected,
        Self::Unhealthy,
        Self::Lagging,
        Self::Saturated,
    ];

    /// As metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Weightless => "weightless",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
            Self::Lagging => "lagging",
            Self::Saturated => "saturated",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A balancer at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status<N> {
    /// How nodes are picked.
    pub policy: Policy,
    /// Too few nodes are sound: all are used, or none if picks fail on panic.
    pub panic: bool,
    /// The set, in its order.
    pub nodes: Vec<NodeStatus<N>>,
    /// Nodes that were removed and still have work.
    pub leaving: Vec<Leaving<N>>,
}

/// One node at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeStatus<N> {
    /// The node.
    pub id: N,
    /// The first reason against it.
    pub standing: Standing,
    /// Whether it is picked: an open node is, and in a panic also a failed one;
    /// a lagging one if too few others are left.
    pub picked: bool,
    /// As the set gives it.
    pub weight: u32,
    /// The part of its weight it has, below 1 in a slow start.
    pub ramp: f64,
    /// Requests it has.
    pub outstanding: u32,
    /// Mean age of those requests; zero without any.
    pub outstanding_age: Duration,
    /// Peak-EWMA; none before the first answer.
    pub latency: Option<Duration>,
    /// Success ratio as remembered, above 0, up to 1.
    pub success: f64,
    /// Failed neither by probes nor ever probed.
    pub healthy: bool,
    /// When its ejection ends.
    pub ejected_until: Option<Instant>,
    /// Ejections that are not yet forgiven.
    pub ejections: u32,
    /// When the pause that it asked for ends.
    pub saturated_until: Option<Instant>,
    /// As last told.
    pub lag: Duration,
    /// It takes no new work because somebody said so.
    pub draining: bool,
}

/// A removed node that still has work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaving<N> {
    /// The node.
    pub id: N,
    /// Requests it has.
    pub outstanding: u32,
}
