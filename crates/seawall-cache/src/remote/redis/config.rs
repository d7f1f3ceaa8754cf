//! How to reach Redis.

use std::fmt;
use std::time::Duration;

use seawall_redis::Settings;

use crate::error::ConfigError;
use crate::remote::guarded::OutageConfig;

/// How to reach Redis, and what to do when it is out of reach.
///
/// On a cluster each master has a connection of its own for commands, so one that hangs or dies
/// fails its own keys only. Who is master is asked of any of them every second, four times a second
/// while one is out of reach, and at every sign of a change; MOVED and ASK are followed. Redis by
/// default refuses all keys once some are served by nobody: with `cluster-require-full-coverage no`
/// a dead master without a replica leaves the others in reach. Up to 1 000 masters.
///
/// Redis should have room, and run with the `maxmemory-policy` `noeviction`: any other evicts
/// tombstones before their time (`volatile-ttl` even first, since they end soonest), and a load
/// from before a removal may then bring the old value back.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RedisConfig {
    /// `redis://user:password@host:port/db`, `redis-cluster://host:port?node=host:port` with some of
    /// the nodes, or `redis-sentinel://host:port?sentinelServiceName=name`. Default: `redis://127.0.0.1:6379`.
    pub url: String,
    /// Put before every key. No braces: in a cluster they would decide where keys are. Default:
    /// `seawall:`.
    pub key_prefix: String,
    /// The deadline of every command, its retries included. 1 ms to 1 minute. Default: 100 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub command_timeout: Duration,
    /// How long connecting may take, also when reconnecting. 1 ms to 5 minutes. Default: 3 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// The longest pause between two attempts to reconnect; they start at 100 ms and double.
    /// At least 100 ms. Default: 2 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub reconnect_max_delay: Duration,
    /// Commands that may wait for one node; more fail at once. At least 1. Default: 10 000.
    pub max_queued_commands: usize,
    /// Whether to hear of writes by others, through RESP3 client tracking: a connection more to
    /// each master. Without it caches rely on their L1 TTL. Default: yes.
    pub tracking: bool,
    /// How often each master is looked at on that connection: the bound on how late a flush is
    /// seen, and on how old a proof that nothing was missed. 10 ms to 1 minute. Default: 250 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub heartbeat: Duration,
    /// When Redis is out of reach.
    pub outage: OutageConfig,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            key_prefix: "seawall:".into(),
            command_timeout: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(3),
            reconnect_max_delay: Duration::from_secs(2),
            max_queued_commands: 10_000,
            tracking: true,
            heartbeat: Duration::from_millis(250),
            outage: OutageConfig::default(),
        }
    }
}

impl RedisConfig {
    /// Checks every field against its bound. The URL is checked when connecting.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        ConfigError::check(
            !self.key_prefix.contains(['{', '}']),
            "key_prefix",
            &self.key_prefix,
            "without braces",
        )?;
        ConfigError::check(
            (ms..=Duration::from_secs(60)).contains(&self.command_timeout),
            "command_timeout",
            &self.command_timeout,
            "1 ms to 1 minute",
        )?;
        ConfigError::check(
            (ms..=Duration::from_secs(300)).contains(&self.connect_timeout),
            "connect_timeout",
            &self.connect_timeout,
            "1 ms to 5 minutes",
        )?;
        ConfigError::check(
            self.reconnect_max_delay >= Duration::from_millis(100),
            "reconnect_max_delay",
            &self.reconnect_max_delay,
            "at least 100 ms",
        )?;
        ConfigError::check(
            self.max_queued_commands >= 1,
            "max_queued_commands",
            &self.max_queued_commands,
            "at least 1",
        )?;
        ConfigError::check(
            (10 * ms..=Duration::from_secs(60)).contains(&self.heartbeat),
            "heartbeat",
            &self.heartbeat,
            "10 ms to 1 minute",
        )?;
        self.outage.validate()
    }

    /// Of what is shared with others that use Redis.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            url: self.url.clone(),
            command_timeout: self.command_timeout,
            unresponsive_timeout: (self.command_timeout * 10).max(Duration::from_secs(1)),
            connect_timeout: self.connect_timeout,
            reconnect_max_delay: self.reconnect_max_delay,
            max_queued: self.max_queued_commands,
        }
    }
}

// By hand: the URL may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("command_timeout", &self.command_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("reconnect_max_delay", &self.reconnect_max_delay)
            .field("max_queued_commands", &self.max_queued_commands)
            .field("tracking", &self.tracking)
            .field("heartbeat", &self.heartbeat)
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}
