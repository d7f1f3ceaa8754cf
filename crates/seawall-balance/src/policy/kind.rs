//! The policies by name.

/// How nodes are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Policy {
    /// One after the other. Weights are ignored, save for 0. Constant time.
    RoundRobin,
    /// nginx's smooth weighted round robin: each node its share of every
    /// sequence, spread as evenly as can be. Linear time under a short lock.
    SmoothWeighted,
    /// The node with the fewest requests outstanding for its weight; among equals
    /// at random. Linear time; over some dozens of nodes prefer `PeakEwma`.
    LeastOutstanding,
    /// Two nodes at random by weight, then the cheaper one by peak latency,
    /// requests outstanding and failures. Constant time; the default.
    #[default]
    PeakEwma,
    /// Each key has its node (highest random weight). Exactly the keys of a node
    /// that leaves move, and a node that joins takes only its own. Linear time.
    Rendezvous,
    /// Each key has its node on a ring, unless that node has more than its bound
    /// of the load; then the next one. Logarithmic time.
    Ring,
    /// Each key has its node, by a table. Constant time; when the set changes, a
    /// few keys beside those that must move, too.
    Maglev,
    /// Each key has [`replicas`](crate::BalanceConfig::replicas) nodes, by rendezvous,
    /// of which the cheapest takes the request. Linear time.
    Sticky,
}

impl Policy {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::RoundRobin,
        Self::SmoothWeighted,
        Self::LeastOutstanding,
        Self::PeakEwma,
        Self::Rendezvous,
        Self::Ring,
        Self::Maglev,
        Self::Sticky,
    ];

    /// Whether it sends equal keys to equal nodes.
    #[must_use]
    pub const fn uses_keys(self) -> bool {
        matches!(self, Self::Rendezvous | Self::Ring | Self::Maglev | Self::Sticky)
    }

    /// As configuration files have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::SmoothWeighted => "smooth_weighted",
            Self::LeastOutstanding => "least_outstanding",
            Self::PeakEwma => "peak_ewma",
            Self::Rendezvous => "rendezvous",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
            Self::Sticky => "sticky",
        }
    }
}
