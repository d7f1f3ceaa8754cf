//! What a proxy does to the traffic that passes it.

use std::time::Duration;

/// The faults of a [`Proxy`](super::Proxy). The default is none: what comes in goes out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Added to every byte's way, in each direction; a round trip takes twice this.
    pub latency: Duration,
    /// At most this much more for each chunk read, evenly distributed from zero.
    /// Bytes stay in order, so one late chunk holds up those behind it.
    pub jitter: Duration,
    /// For each direction, shared by all connections. `None` for no limit; 0 lets
    /// nothing pass.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// The way on which nothing gets through. Held bytes, and the end or reset of a
    /// connection, are delivered once it is open again, as TCP's retransmission would.
    pub blackhole: Direction,
    /// Seed of the jitter: the n-th connection of a proxy sees the same sequence
    /// for the same seed.
    pub seed: u64,
}

/// One way through a proxy, or both, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "two ways make four cases and never more")]
pub enum Direction {
    /// Neither way.
    #[default]
    None,
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
    /// Both ways.
    Both,
}

/// One of the two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

impl Way {
    pub(super) const fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

impl Faults {
    /// Whether nothing passes this way.
    pub(super) fn closes(&self, way: Way) -> bool {
        let blackholed = match self.blackhole {
            Direction::None => false,
            Direction::ToServer => way == Way::ToServer,
            Direction::ToClient => way == Way::ToClient,
            Direction::Both => true,
        };
        blackholed || self.bandwidth_bytes_per_s == Some(0)
    }
}
