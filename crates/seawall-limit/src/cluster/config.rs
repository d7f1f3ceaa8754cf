//! How a cluster-wide limiter works.

use std::fmt;
use std::time::Duration;

use seawall_redis::Settings;

use super::law::micros;
use super::lease::Terms;
use super::state::FailureMode;
use crate::error::{Error, in_range};
use crate::limiter::MAX_KEYS;

/// How to reach Redis, how long to wait for it, and how many units to take ahead.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ClusterConfig {
    /// `redis://user:password@host:port/db`, `redis-cluster://host:port?node=host:port` or
    /// `redis-sentinel://host:port?sentinelServiceName=name`. Default: `redis://127.0.0.1:6379`.
    pub url: String,
    /// Put before every key. No braces: in a cluster they would decide where keys are. Default:
    /// `seawall:limit:`.
    pub key_prefix: String,
    /// The longest that one decision waits for Redis, 1 ms to 10 s. Then the
    /// [`FailureMode`] decides. Default: 50 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub deadline: Duration,
    /// How long connecting may take, 1 ms to 5 minutes. Default: 3 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// How long units that were taken ahead may be spent, up to 1 minute; 0 takes none ahead:
    /// every decision that is not a remembered rejection asks Redis. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub lease_ttl: Duration,
    /// The most units taken ahead at once, 1 to 1 000 000. Default: 10 000.
    pub lease_max: u32,
    /// About how many keys can be remembered at once, 1 to 2^26. Default: 65 536.
    pub max_keys: usize,
    /// The nodes alive, if that is not to be counted by their heartbeats in Redis. Default: counted.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub nodes: Option<u32>,
    /// What to do while Redis is out of reach, where the policy has no mode of its own. Default: local.
    pub on_failure: FailureMode,
    /// Failures in a row after which Redis is not asked until a probe succeeds, 1 to 1 000. Default: 3.
    pub failures_to_open: u32,
    /// How often this node shows that it is alive and looks for operators' orders: 50 ms to 10 s.
    /// Default: 300 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub heartbeat: Duration,
    /// Whether to call a Redis function (`FCALL`, Redis 7) instead of a script (`EVALSHA`). Either
    /// is loaded when it is missing. Default: no.
    pub functions: bool,
    /// Decisions that may wait to be sent to one node; more take the failure mode at once. At least
    /// 1. Default: 10 000.
    pub max_queued: usize,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            key_prefix: "seawall:limit:".into(),
            deadline: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(3),
            lease_ttl: Duration::from_secs(1),
            lease_max: 10_000,
            max_keys: MAX_KEYS,
            nodes: None,
            on_failure: FailureMode::Local,
            failures_to_open: 3,
            heartbeat: Duration::from_millis(300),
            functions: false,
            max_queued: 10_000,
        }
    }
}

impl ClusterConfig {
    /// Checks every field against its bound. The URL is checked when connecting.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), Error> {
        if self.key_prefix.contains(['{', '}']) {
            return Err(Error::KeyPrefix { prefix: self.key_prefix.as_str().into() });
        }
        in_range("deadline in microseconds", micros(self.deadline), 1_000, 10 * SECOND)?;
        let connect = micros(self.connect_timeout);
        in_range("connect_timeout in microseconds", connect, 1_000, 300 * SECOND)?;
        in_range("lease_ttl in microseconds", micros(self.lease_ttl), 0, 60 * SECOND)?;
        in_range("lease_max", self.lease_max.into(), 1, 1_000_000)?;
        in_range("max_keys", self.max_keys as u64, 1, 1 << 26)?;
        in_range("nodes", self.nodes.unwrap_or(1).into(), 1, 10_000)?;
        in_range("failures_to_open", self.failures_to_open.into(), 1, 1_000)?;
        in_range("heartbeat in microseconds", micros(self.heartbeat), 50_000, 10 * SECOND)?;
        in_range("max_queued", self.max_queued as u64, 1, 1 << 32)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            url: self.url.clone(),
            // Who waits has a deadline of its own, and is patient with a busy runtime; this is for what
            // nobody waits for.
            command_timeout: (self.deadline * 6).max(Duration::from_secs(1)),
            unresponsive_timeout: (self.deadline * 20).max(Duration::from_secs(1)),
            connect_timeout: self.connect_timeout,
            reconnect_max_delay: Duration::from_secs(1),
            max_queued: self.max_queued,
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        let ttl = micros(self.lease_ttl);
        Terms { ttl, most: if ttl == 0 { 0 } else { self.lease_max } }
    }
}

// By hand: the URL may hold a password.
impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("key_prefix", &self.key_prefix)
            .field("deadline", &self.deadline)
            .field("lease_ttl", &self.lease_ttl)
            .field("lease_max", &self.lease_max)
            .field("max_keys", &self.max_keys)
            .field("nodes", &self.nodes)
            .field("on_failure", &self.on_failure)
            .field("heartbeat", &self.heartbeat)
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}

const SECOND: u64 = 1_000_000;
