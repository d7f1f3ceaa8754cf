//! What a pool is made of, with defaults that are finite.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::Error;
use crate::route::MAX_NODES;

/// The configuration of a [`Pool`](crate::Pool).
///
/// Every timeout has a finite default. [`validate`](Self::validate) names the
/// first field that is out of bounds; [`Pool::connect`](crate::Pool::connect)
/// calls it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct PoolConfig {
    /// The node that takes writes. Has no useful default.
    pub primary: NodeConfig,
    /// Streaming replicas of the primary, at most 63. Default: none, so that
    /// the primary serves everything.
    pub replicas: Vec<NodeConfig>,
    /// Connections kept open to each node, busy or not; opened in the
    /// background. Default 5, at most `max_size`.
    pub min_idle: usize,
    /// The most connections to each node. Default 20, 1 to 10 000.
    pub max_size: usize,
    /// One deadline over waiting for a connection and making one. Default
    /// 30 s, more than zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub acquire_timeout: Duration,
    /// A connection not used for this long is closed, down to `min_idle`.
    /// Default 5 min, at least 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub idle_timeout: Duration,
    /// Limit on making one connection, handshake and login included. Default
    /// 3 s, more than zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// Limit on one statement, from the moment a connection is there. Default
    /// 5 s, more than zero. [`Route::timeout`](crate::Route::timeout) sets
    /// another for one call.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub query_timeout: Duration,
    /// Statements that take longer are logged and counted. Default 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub slow_query: Duration,
    /// Time between two probes of a node that is up. Default 250 ms, 10 ms to
    /// 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub health_interval: Duration,
    /// Limit on one probe. Two unanswered in a row take a node out of
    /// rotation. Default 500 ms, 10 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub health_timeout: Duration,
    /// How long a read that asks for a position waits for a replica to replay
    /// it before it goes to the primary. Default 20 ms; zero never waits. At
    /// most 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub catch_up_wait: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            primary: NodeConfig::default(),
            replicas: Vec::new(),
            min_idle: 5,
            max_size: 20,
            acquire_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(3),
            query_timeout: Duration::from_secs(5),
            slow_query: Duration::from_secs(1),
            health_interval: Duration::from_millis(250),
            health_timeout: Duration::from_millis(500),
            catch_up_wait: Duration::from_millis(20),
        }
    }
}

impl PoolConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds. Connection
    /// strings are parsed by [`Pool::connect`](crate::Pool::connect), not here.
    pub fn validate(&self) -> Result<(), Error> {
        let zero = Duration::ZERO;
        let short = Duration::from_millis(10);
        let minute = Duration::from_secs(60);
        within("acquire_timeout", self.acquire_timeout, Duration::from_nanos(1)..=DAY)?;
        within("idle_timeout", self.idle_timeout, Duration::from_secs(1)..=DAY)?;
        within("connect_timeout", self.connect_timeout, Duration::from_nanos(1)..=DAY)?;
        within("query_timeout", self.query_timeout, Duration::from_nanos(1)..=DAY)?;
        within("slow_query", self.slow_query, zero..=DAY)?;
        within("health_interval", self.health_interval, short..=minute)?;
        within("health_timeout", self.health_timeout, short..=minute)?;
        within("catch_up_wait", self.catch_up_wait, zero..=Duration::from_secs(10))?;
        within("replicas.len()", self.replicas.len(), 0..=MAX_NODES - 1)?;
        within("max_size", self.max_size, 1..=MAX_CONNECTIONS)?;
        within("min_idle", self.min_idle, 0..=self.max_size)?;
        self.primary.validate(self)?;
        self.replicas.iter().try_for_each(|replica| replica.validate(self))
    }
}

/// One PostgreSQL server.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct NodeConfig {
    /// A connection string for one host, as a URL or as `key=value` pairs.
    /// `sslmode=require` is refused: connections are made without TLS.
    pub url: String,
    /// What the node is for. Ignored for the primary.
    pub role: Role,
    /// Share of the reads among nodes of the same rank. Default 1, 1 to
    /// 1 000. Ignored for the primary.
    pub weight: u32,
    /// Overrides [`PoolConfig::max_size`] for this node.
    pub max_size: Option<usize>,
    /// Overrides [`PoolConfig::min_idle`] for this node.
    pub min_idle: Option<usize>,
}

impl NodeConfig {
    /// A node at `url` with the default role and weight.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    fn validate(&self, pool: &PoolConfig) -> Result<(), Error> {
        within("weight", self.weight, 1..=1_000)?;
        let max_size = self.max_size.unwrap_or(pool.max_size);
        within("max_size", max_size, 1..=MAX_CONNECTIONS)?;
        within("min_idle", self.min_idle.unwrap_or(0), 0..=max_size)
    }

    pub(crate) fn sizes(&self, pool: &PoolConfig) -> (usize, usize) {
        let max_size = self.max_size.unwrap_or(pool.max_size);
        (self.min_idle.unwrap_or(pool.min_idle).min(max_size), max_size)
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { url: String::new(), role: Role::General, weight: 1, max_size: None, min_idle: None }
    }
}

/// Leaves out the connection string, which may hold a password.
impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("role", &self.role)
            .field("weight", &self.weight)
            .field("max_size", &self.max_size)
            .field("min_idle", &self.min_idle)
            .finish_non_exhaustive()
    }
}

/// What a replica is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Role {
    /// Serves the reads that users wait for, and analytics if there is no
    /// analytics replica.
    #[default]
    General,
    /// Serves `analytics()`, and `read()` only while no general replica is up.
    Analytics,
}

fn within<T: PartialOrd + fmt::Debug + Copy>(
    field: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<(), Error> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (value, bounds) = (format!("{value:?}").into(), format!("{bounds:?}").into());
    Err(Error::Config { field, value, bounds })
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_CONNECTIONS: usize = 10_000;

#[cfg(test)]
mod tests;
