//! What can be wrong with a configuration, and why a pick may fail.

use std::fmt;

use crate::status::Standing;

/// Why a balancer could not be made or changed, or could not pick.
///
/// Of the two, only picks fail at run time. Nothing was sent when a pick fails.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of the configuration or of a node is outside its range.
    #[error("{field} is {value}, but must be within {min}..={max}")]
    OutOfRange {
        /// The field, as it is called in code and in configuration files.
        field: &'static str,
        /// The value given; durations in seconds.
        value: f64,
        /// The least value taken.
        min: f64,
        /// The greatest value taken.
        max: f64,
    },
    /// Maglev's table needs a prime number of slots, lest a node's walk through
    /// it miss some.
    #[error("maglev_slots is {value}, which is not a prime")]
    NotPrime {
        /// The value given.
        value: u32,
    },
    /// A set of nodes names one node twice. The set before stays.
    #[error("the set names node {node} twice")]
    DuplicateNode {
        /// The node.
        node: Box<str>,
    },
    /// A call names a node that the set does not have.
    #[error("the set has no node {node}")]
    UnknownNode {
        /// The node.
        node: Box<str>,
    },
    /// Pick: the set is empty.
    #[error("no nodes")]
    NoNodes,
    /// Pick: nodes there are, but each is draining or has weight 0.
    #[error("no node takes new work: {0}")]
    AllDraining(Nodes),
    /// Pick: each node that takes work failed its probes or was ejected, and
    /// [`fail_on_panic`](crate::BalanceConfig::fail_on_panic) is set.
    #[error("too few nodes are healthy: {0}")]
    AllFailed(Nodes),
    /// Pick: each node left lags behind the hard limit.
    #[error("every node lags: {0}")]
    AllLagging(Nodes),
    /// Pick: each node left is at its limit or asked for a pause.
    #[error("every node is saturated: {0}")]
    AllSaturated(Nodes),
    /// Pick: there are nodes to pick, but the caller's filter wants none of them.
    #[error("the filter admits none of the nodes: {0}")]
    Filtered(Nodes),
}

impl Error {
    /// Whether the same call may succeed later. Picks may, since nodes come and
    /// recover; a bad configuration stays bad.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.reason().is_some()
    }

    /// The label of a failed pick in `seawall_balance_refusals_total`; none for
    /// errors of configuration.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NoNodes => Some("no_nodes"),
            Self::AllDraining(_) => Some("draining"),
            Self::AllFailed(_) => Some("failed"),
            Self::AllLagging(_) => Some("lagging"),
            Self::AllSaturated(_) => Some("saturated"),
            Self::Filtered(_) => Some("filtered"),
            Self::OutOfRange { .. }
            | Self::NotPrime { .. }
            | Self::DuplicateNode { .. }
            | Self::UnknownNode { .. } => None,
        }
    }
}

/// The nodes behind a failed pick, each with how it stands; the first
/// [`SHOWN`](Self::SHOWN) of them, so that an error stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    shown: Box<[(Box<str>, Standing)]>,
    total: usize,
}

impl Nodes {
    /// How many nodes are named at most.
    pub const SHOWN: usize = 16;

    pub(crate) fn new(nodes: impl ExactSizeIterator<Item = (Box<str>, Standing)>) -> Self {
        let total = nodes.len();
        Self { shown: nodes.take(Self::SHOWN).collect(), total }
    }

    /// The named nodes, in the order of the set.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Standing)> {
        self.shown.iter().map(|(node, standing)| (&**node, *standing))
    }

    /// How many nodes the set has, named or not.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (node, standing)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{node} {standing}")?;
        }
        match self.total - self.shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Checks a number against its bounds; NaN is outside of all.
pub(crate) fn in_range(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), Error> {
    if value >= min && value <= max {
        Ok(())
    } else {
        Err(Error::OutOfRange { field, value, min, max })
    }
}
