//! How L1 is made.

use std::time::Duration;

use super::Weigher;
use super::clock::Clock;
use super::engine::EngineKind;

/// What [`Local::new`](super::Local::new) needs.
pub(crate) struct Options<K, V> {
    pub(crate) namespace: String,
    pub(crate) engine: EngineKind,
    /// Entries, or with a weigher the sum of their weights.
    pub(crate) capacity: u64,
    pub(crate) weigher: Option<Weigher<K, V>>,
    /// Whether there is an L2. It is [watched](Local::watched) once that is settled.
    pub(crate) remote: bool,
    /// For how long L1 may answer by itself where L2 tells nothing: the L1 TTL, or the TTL.
    pub(crate) l1_ttl: Duration,
    pub(crate) max_staleness: Option<Duration>,
    pub(crate) refresh_beta: f64,
    pub(crate) load_timeout: Duration,
    /// The node that serves the namespace's mark.
    pub(crate) node: u32,
    /// Moments before its beginning count too.
    pub(crate) clock: Clock,
}
