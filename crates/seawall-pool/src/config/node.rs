//! What a node is made of.

use std::fmt;
use std::time::Duration;

use super::{MAX_CONNECTIONS, PoolConfig, within};
use crate::error::Error;
use crate::ledger::Limits;

/// One PostgreSQL server.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct NodeConfig {
    /// A connection string for one host, as a URL or as `key=value` pairs. A name is
    /// resolved anew for every connection and each of its addresses tried in turn; connections
    /// follow it to another server as [`resolve_interval`](PoolConfig::resolve_interval) says.
    /// `sslmode=require` wants [`PoolConfig::tls`].
    pub url: String,
    /// What the node is for. Ignored for the primary.
    pub role: Role,
    /// Share of the reads among replicas of the same role. Default 1, 1 to
    /// 1 000; [`Pool::set_weight`](crate::Pool::set_weight) changes it. Ignored for the primary.
    pub weight: u32,
    /// Names for [`Route::tag`](crate::Route::tag), such as a zone. Default: none.
    /// Ignored for the primary.
    pub tags: Vec<String>,
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

    pub(super) fn validate(&self, pool: &PoolConfig) -> Result<(), Error> {
        within("weight", self.weight, 1..=1_000)?;
        let max_size = self.max_size.unwrap_or(pool.max_size);
        within("max_size", max_size, 1..=MAX_CONNECTIONS)?;
        within("min_idle", self.min_idle.unwrap_or(0), 0..=max_size)
    }

    fn sizes(&self, pool: &PoolConfig) -> (usize, usize) {
        let max_size = self.max_size.unwrap_or(pool.max_size);
        (self.min_idle.unwrap_or(pool.min_idle).min(max_size), max_size)
    }

    /// Connections to keep, and the limits of a node, which may be for
    /// analytics alone.
    pub(crate) fn limits(&self, pool: &PoolConfig, dedicated: bool) -> (usize, NodeLimits, Limits) {
        let (min_idle, max_size) = self.sizes(pool);
        let node = NodeLimits {
            connect: pool.connect_timeout,
            create: pool.create_timeout,
            create_retry: pool.create_retry_interval,
            destroy: pool.destroy_timeout,
            cancel: pool.cancel_timeout,
            slow_query: pool.slow_query,
            statements: pool.statement_cache,
            shed_hopeless: pool.shed_hopeless,
            analytics: if dedicated { 1.0 } else { pool.analytics_share },
        };
        let books = Limits {
            max: max_size,
            min: min_idle,
            analytics: node.analytics_of(max_size),
            waiting: pool.max_waiting,
            connecting: pool.max_connecting,
            uses: pool.max_uses.unwrap_or(u64::MAX),
            idle: pool.idle_timeout,
            lifetime: pool.max_lifetime,
            jitter: pool.lifetime_jitter,
            stale: pool.validate_after,
            leak: pool.leak_after,
        };
        (min_idle, node, books)
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            role: Role::General,
            weight: 1,
            tags: Vec::new(),
            max_size: None,
            min_idle: None,
        }
    }
}

/// Leaves out the connection string, which may hold a password.
impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("role", &self.role)
            .field("weight", &self.weight)
            .field("tags", &self.tags)
            .field("max_size", &self.max_size)
            .field("min_idle", &self.min_idle)
            .finish_non_exhaustive()
    }
}

/// What a node's connections are held to, apart from its books.
#[derive(Clone, Debug)]
pub(crate) struct NodeLimits {
    pub(crate) connect: Duration,
    pub(crate) create: Duration,
    pub(crate) create_retry: Duration,
    pub(crate) destroy: Duration,
    pub(crate) cancel: Duration,
    pub(crate) slow_query: Duration,
    pub(crate) statements: usize,
    pub(crate) shed_hopeless: bool,
    analytics: f64,
}

impl NodeLimits {
    /// How many of `max_size` connections may serve analytics at a time.
    pub(crate) fn analytics_of(&self, max_size: usize) -> usize {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of at most 10 000"
        )]
        let share = (max_size as f64 * self.analytics).round() as usize;
        share.clamp(1, max_size)
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

#[cfg(test)]
mod tests {
    use super::NodeConfig;
    use crate::PoolConfig;

    #[test]
    fn a_small_node_lowers_the_default_of_connections_kept() {
        let small = NodeConfig { max_size: Some(1), ..NodeConfig::default() };
        assert_eq!(small.sizes(&PoolConfig::default()), (1, 1));
    }

    #[test]
    fn analytics_has_its_share_and_at_least_one_but_all_of_a_node_of_its_own() {
        let node = NodeConfig::default();
        let share = |analytics_share, max_size, dedicated| {
            let pool =
                PoolConfig { analytics_share, max_size, min_idle: 0, ..PoolConfig::default() };
            node.limits(&pool, dedicated).2.analytics
        };
        assert_eq!(share(0.5, 20, false), 10);
        assert_eq!(share(0.0, 20, false), 1);
        assert_eq!(share(0.1, 20, true), 20);
        assert_eq!(share(1.0, 1, false), 1);
    }

    #[test]
    fn debug_text_never_shows_the_connection_string() {
        let config = PoolConfig {
            primary: NodeConfig::new("postgres://app:hunter2@db/app"),
            ..PoolConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
