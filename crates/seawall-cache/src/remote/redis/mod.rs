//! Redis as the L2: single, sentinel or cluster, through fred.

mod clock;
mod config;
mod connection;
mod ends;
mod fold;
mod get;
mod scripts;
mod sweep;
mod topology;
mod tracking;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    UnresponsiveConfig,
};
use tokio::time::timeout;

pub use self::config::RedisConfig;
use self::connection::Connection;
use self::ends::EndsWithUs;
use self::tracking::Listening;
use super::guarded::{Guarded, NodeStatus, RemoteStatus};
use crate::error::Error;
use crate::remote::RemoteError;

/// A Redis that caches can share: a cheap clone of one client. Redis 6 or newer.
///
/// It has a deadline on every command, reconnects for ever, opens a breaker when Redis does not
/// answer, and remembers the removals that Redis has not acknowledged. The connection ends when
/// [`shutdown`](Self::shutdown) is called or the last clone, in caches too, is dropped.
#[derive(Clone)]
pub struct Redis {
    guarded: Guarded,
    client: Client,
    command_timeout: Duration,
    listening: Arc<Listening>,
}

impl Redis {
    /// Connects and waits until Redis has answered.
    ///
    /// # Errors
    /// If the configuration or the URL is not valid, or Redis does not answer within
    /// `connect_timeout`. A service that should start without Redis uses
    /// [`connect_lazy`](Self::connect_lazy).
    pub async fn connect(config: RedisConfig) -> Result<Self, Error> {
        let client = client(&config, true)?;
        let ends = EndsWithUs::new(client.clone(), &config);
        match timeout(config.connect_timeout, client.init()).await {
            Ok(Ok(task)) => {
                let redis = Self::over(ends.with(task), &config);
                // So that caches know from the start whether they will hear of writes.
                redis.listening.settled(config.connect_timeout.min(SETTLED_WITHIN)).await;
                Ok(redis)
            }
            Ok(Err(error)) => Err(Error::Connect(Box::new(error))),
            Err(_) => Err(Error::ConnectTimeout { after: config.connect_timeout }),
        }
    }

    /// Starts connecting and returns at once. Until Redis answers, the caches run without it.
    ///
    /// # Errors
    /// If the configuration or the URL is not valid.
    ///
    /// # Panics
    /// Never, but it must be called within a Tokio runtime.
    pub fn connect_lazy(config: &RedisConfig) -> Result<Self, Error> {
        let client = client(config, false)?;
        let task = client.connect();
        Ok(Self::over(EndsWithUs::new(client, config).with(task), config))
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
    /// one node answers, any one. Changes nothing; dropping the future is safe.
    ///
    /// # Errors
    /// If there is no connection, or no answer within `command_timeout`.
    pub async fn ping(&self) -> Result<(), RemoteError> {
        connection::ping(&self.client, self.command_timeout).await
    }

    /// Tries the removals that wait until Redis has acknowledged them or `patience` has passed,
    /// then closes the connection for every clone. Returns how many removals Redis never heard of.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        self.guarded.shutdown(patience).await
    }

    fn over(ends: EndsWithUs, config: &RedisConfig) -> Self {
        let client = ends.client().clone();
        let connection = Connection::new(ends, config);
        let listening = connection.listening();
        let command_timeout = config.command_timeout;
        let guarded = Guarded::new(connection, "redis", command_timeout, &config.outage);
        Self { guarded, client, command_timeout, listening }
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

/// A client with none of fred's defaults that wait for ever.
fn client(config: &RedisConfig, fail_fast: bool) -> Result<Client, Error> {
    config.validate()?;
    let mut server = Config::from_url(&config.url).map_err(|error| Error::Url(Box::new(error)))?;
    server.fail_fast = fail_fast;
    let (performance, mut connection) = settings(config);
    if server.server.is_clustered() {
        // Connections that break while the routing changes take some. All our scripts may run twice.
        connection.max_command_attempts = 3;
    }
    let max_delay = u32::try_from(config.reconnect_max_delay.as_millis()).unwrap_or(u32::MAX);
    Builder::from_config(server)
        .set_connection_config(connection)
        .set_performance_config(performance)
        .set_policy(ReconnectPolicy::new_exponential(0, 100, max_delay, 2))
        .build()
        .map_err(|error| Error::Connect(Box::new(error)))
}

fn settings(config: &RedisConfig) -> (PerformanceConfig, ConnectionConfig) {
    let unresponsive = (config.command_timeout * 10).max(Duration::from_secs(1));
    let performance = PerformanceConfig {
        default_command_timeout: config.command_timeout,
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: config.connect_timeout,
        internal_command_timeout: config.connect_timeout,
        max_command_attempts: 1,
        // fred's way of following ASK ends its task for good when that fails, and may give replies
        // to the wrong commands. With none left it still takes over the routing after MOVED; we
        // ask again: see `redirected`.
        max_redirections: 0,
        // A master that became a replica on a connection that stays.
        reconnect_errors: vec![ReconnectError::ReadOnly],
        max_command_buffer_len: config.max_queued_commands,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(unresponsive),
            interval: unresponsive / 4,
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    };
    (performance, connection)
}

/// How long connecting may wait for tracking, once there is a connection.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);
