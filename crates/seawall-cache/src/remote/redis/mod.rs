//! Redis as the L2: single, sentinel or cluster, through fred.

mod clients;
mod clock;
mod config;
mod connection;
mod discovery;
mod ends;
mod fold;
mod get;
mod routes;
mod scripts;
mod sweep;
mod topology;
mod tracking;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    UnresponsiveConfig,
};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use self::clients::NodeClient;
pub use self::config::RedisConfig;
use self::connection::Connection;
use self::discovery::Discovery;
use self::ends::EndsWithUs;
use self::routes::Routes;
use self::topology::{Master, Topology};
use self::tracking::Listening;
use super::guarded::{Guarded, NodeStatus, RemoteStatus};
use crate::error::Error;
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
        let server = server(&config)?;
        let connecting = async {
            if server.server.is_clustered() {
                Self::connect_cluster(&config, server).await
            } else {
                Self::connect_single(&config, server).await
            }
        };
        let Ok(redis) = timeout(config.connect_timeout, connecting).await else {
            return Err(Error::ConnectTimeout { after: config.connect_timeout });
        };
        let redis = redis.map_err(|error| Error::Connect(Box::new(error)))?;
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
        let server = server(config)?;
        let routes = if server.server.is_clustered() {
            Routes::new(Topology::cluster())
        } else {
            let routes = Routes::new(Topology::single());
            routes.clients.join(0, node_client(config, server.clone()));
            routes
        };
        Ok(Self::over(Arc::new(routes), config, server, Vec::new()))
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

    async fn connect_single(
        config: &RedisConfig,
        server: Config,
    ) -> Result<Self, fred::error::Error> {
        let client = client(config, Config { fail_fast: true, ..server.clone() });
        let ends = EndsWithUs::new(client.clone(), config);
        let task = client.init().await?;
        let routes = Routes::new(Topology::single());
        routes.clients.join(0, NodeClient::new(ends.with(task)));
        Ok(Self::over(Arc::new(routes), config, server, Vec::new()))
    }

    async fn connect_cluster(
        config: &RedisConfig,
        server: Config,
    ) -> Result<Self, fred::error::Error> {
        let routes = Arc::new(Routes::new(Topology::cluster()));
        let discovery = Discovery::new(Arc::clone(&routes), config, server.clone());
        let found = discovery.ask_configured().await?;
        let redis = Self::over(Arc::clone(&routes), config, server, found);
        // They are known for masters when they are connected to, or that takes too long.
        while !routes.connected().0 {
            sleep(SETTLING).await;
        }
        Ok(redis)
    }

    fn over(routes: Arc<Routes>, config: &RedisConfig, server: Config, found: Vec<Master>) -> Self {
        let runtime = Handle::current();
        let connection = Connection::new(Arc::clone(&routes), config, server, found, &runtime);
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

/// Where to connect to.
fn server(config: &RedisConfig) -> Result<Config, Error> {
    config.validate()?;
    let mut server = Config::from_url(&config.url).map_err(|error| Error::Url(Box::new(error)))?;
    server.fail_fast = false;
    Ok(server)
}

/// A client with none of fred's defaults that wait for ever. On a cluster it is one master's.
fn client(config: &RedisConfig, server: Config) -> Client {
    let (performance, connection) = settings(config);
    let max_delay = u32::try_from(config.reconnect_max_delay.as_millis()).unwrap_or(u32::MAX);
    let policy = ReconnectPolicy::new_exponential(0, 100, max_delay, 2);
    Client::new(server, Some(performance), Some(connection), Some(policy))
}

/// One that is being connected, and kept so.
fn node_client(config: &RedisConfig, server: Config) -> NodeClient {
    let client = client(config, server);
    let task = client.connect();
    NodeClient::new(EndsWithUs::new(client, config).with(task))
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

/// How long new masters are waited for, and tracking once there is a connection.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);

const SETTLING: Duration = Duration::from_millis(2);
