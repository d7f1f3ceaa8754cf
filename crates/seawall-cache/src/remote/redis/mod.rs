//! Redis as the L2: single, sentinel or cluster, through fred.

mod clock;
mod commands;
mod config;
mod connection;
mod get;
mod scripts;
mod sweep;
mod tracking;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_redis::{Masters, Routes};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

pub use self::config::RedisConfig;
use self::connection::Connection;
use self::tracking::Listening;
use super::guarded::{Guarded, NodeStatus, RemoteStatus};
use crate::error::{ConfigError, Error};
use crate::remote::RemoteError;

/// A Redis that caches can share: clones are cheap and share its connections. Redis 6 or newer.
///
/// It has a deadline on every command, reconnects for ever, opens a breaker when Redis does not
/// answer, and remembers the removals that Redis has not acknowledged. The connections end when
/// [`shutdown`](Self::shutdown) is called or the last clone, in caches too, is dropped.
#[derive(Clone)]
pub struct Redis {
    guarded: Guarded,
    routes: Arc<Routes>,
    command_timeout: Duration,
    listening: Arc<Listening>,
}

impl Redis {
    /// Connects and waits until Redis has answered: on a cluster every master, or after half a
    /// second any one.
    ///
    /// # Errors
    /// If the configuration or the URL is not valid, or Redis does not answer within
    /// `connect_timeout`. A service that should start without Redis uses
    /// [`connect_lazy`](Self::connect_lazy).
    pub async fn connect(config: RedisConfig) -> Result<Self, Error> {
        let end = Instant::now() + config.connect_timeout;
        config.validate()?;
        let redis = Self::over(Masters::connect(&config.settings()).await?, &config);
        // They are known for masters when they are connected to, or that takes too long.
        while !redis.routes.connected().0 {
            if Instant::now() >= end {
                return Err(Error::ConnectTimeout { after: config.connect_timeout });
            }
            sleep(SETTLING).await;
        }
        // So that caches know from the start whether they will hear of writes.
        let patience = end.saturating_duration_since(Instant::now());
        redis.listening.settled(patience.min(SETTLED_WITHIN)).await;
        Ok(redis)
    }

    /// Starts connecting and returns at once. Until Redis answers, the caches run without it.
    ///
    /// # Errors
    /// If the configuration or the URL is not valid.
    ///
    /// # Panics
    /// Never, but it must be called within a Tokio runtime.
    pub fn connect_lazy(config: &RedisConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self::over(Masters::connect_lazy(&config.settings())?, config))
    }

    /// Whether Redis is in reach, and what it has not heard of.
    #[must_use]
    pub fn status(&self) -> RemoteStatus {
        self.guarded.status()
    }

    /// The state of each node that was asked so far: of the server, or of each master of a cluster.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.guarded.nodes()
    }

    /// Asks Redis for a sign of life, whatever the breaker says: for health checks. On a cluster
    /// all masters are asked, and the first to answer counts. Changes nothing; dropping the future is safe.
    ///
    /// # Errors
    /// If there is no connection, or no answer within `command_timeout`.
    pub async fn ping(&self) -> Result<(), RemoteError> {
        let answer = self.routes.ping().await;
        answer.map_err(|error| connection::classify(error, self.command_timeout))
    }

    /// Tries the removals that wait until Redis has acknowledged them or `patience` has passed,
    /// then closes the connections for every clone. Returns how many removals Redis never heard of.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        self.guarded.shutdown(patience).await
    }

    fn over(masters: Masters, config: &RedisConfig) -> Self {
        let routes = masters.routes();
        let connection = Connection::new(masters, config, &Handle::current());
        let listening = connection.listening();
        let command_timeout = config.command_timeout;
        let guarded = Guarded::new(connection, "redis", command_timeout, &config.outage);
        Self { guarded, routes, command_timeout, listening }
    }
}

impl From<Redis> for Guarded {
    fn from(redis: Redis) -> Self {
        redis.guarded
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl From<seawall_redis::Error> for Error {
    fn from(error: seawall_redis::Error) -> Self {
        match error {
            seawall_redis::Error::OutOfBounds { field, value, bound } => {
                Self::Config(ConfigError { field, value, bound })
            }
            seawall_redis::Error::Url(error) => Self::Url(error),
            seawall_redis::Error::Timeout { after } => Self::ConnectTimeout { after },
            seawall_redis::Error::Connect(error) => Self::Connect(error),
            other => Self::Connect(Box::new(other)),
        }
    }
}

/// How long tracking is waited for once there is a connection.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);

const SETTLING: Duration = Duration::from_millis(2);
