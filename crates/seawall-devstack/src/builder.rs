//! What a stack is made of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::launch;
use crate::postgres::check_setting;
use crate::stack::Stack;

/// Describes a [`Stack`]; from [`Stack::builder`].
#[derive(Debug, Clone)]
#[must_use = "does nothing until started"]
pub struct StackBuilder {
    pub(crate) postgres: bool,
    pub(crate) replicas: usize,
    pub(crate) pgbouncer: Option<usize>,
    pub(crate) redis: bool,
    pub(crate) redis_cluster: bool,
    pub(crate) redis_cluster_replicas: bool,
    pub(crate) redis_sentinel: bool,
    pub(crate) scrapes: Vec<SocketAddr>,
    pub(crate) prometheus_features: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) redis_settings: Vec<(String, String)>,
    pub(crate) keep_logs: bool,
    pub(crate) start_timeout: Duration,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) postgres_bin: Option<PathBuf>,
    pub(crate) pgbouncer_bin: Option<PathBuf>,
    pub(crate) redis_bin: Option<PathBuf>,
    pub(crate) prometheus_bin: Option<PathBuf>,
}

impl StackBuilder {
    pub(crate) const fn new() -> Self {
        Self {
            postgres: false,
            replicas: 0,
            pgbouncer: None,
            redis: false,
            redis_cluster: false,
            redis_cluster_replicas: false,
            redis_sentinel: false,
            scrapes: Vec::new(),
            prometheus_features: Vec::new(),
            settings: Vec::new(),
            redis_settings: Vec::new(),
            keep_logs: false,
            start_timeout: START_TIMEOUT,
            dir: None,
            postgres_bin: None,
            pgbouncer_bin: None,
            redis_bin: None,
            prometheus_bin: None,
        }
    }

    /// Adds a PostgreSQL primary.
    pub const fn postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// Adds a PostgreSQL primary and this many streaming replicas of it, at most 8.
    pub const fn replicas(mut self, count: usize) -> Self {
        self.postgres = true;
        self.replicas = count;
        self
    }

    /// Adds a PostgreSQL primary and before it a PgBouncer in transaction mode, which shares this
    /// many connections to it among its clients. [`start`](Self::start) refuses 0 and more than 150.
    pub const fn pgbouncer(mut self, connections: usize) -> Self {
        self.postgres = true;
        self.pgbouncer = Some(connections);
        self
    }

    /// Adds a single Redis server.
    pub const fn redis(mut self) -> Self {
        self.redis = true;
        self
    }

    /// Adds a Redis cluster of three masters, beside the single server if that is
    /// asked for too. Redis takes about two seconds to open a cluster.
    pub const fn redis_cluster(mut self) -> Self {
        self.redis_cluster = true;
        self
    }

    /// The same with a replica for each master.
    pub const fn redis_cluster_with_replicas(mut self) -> Self {
        self.redis_cluster_replicas = true;
        self.redis_cluster()
    }

    /// Adds a Redis master, a replica of it and three sentinels that fail over to it, beside the
    /// others if those are asked for too.
    pub const fn redis_sentinel(mut self) -> Self {
        self.redis_sentinel = true;
        self
    }

    /// Adds a Prometheus that scrapes `http://target/metrics` once a second; one for all
    /// targets if called more often. The label `job` of the first is `target-0`.
    pub fn prometheus(mut self, target: SocketAddr) -> Self {
        self.scrapes.push(target);
        self
    }

    /// Switches a feature of Prometheus on (`--enable-feature`), for instance `native-histograms`.
    pub fn prometheus_feature(mut self, feature: impl Into<String>) -> Self {
        self.prometheus_features.push(feature.into());
        self
    }

    /// Sets a parameter of `postgresql.conf` on all PostgreSQL servers, over the
    /// stack's own defaults; later calls win. [`start`](Self::start) refuses names
    /// that the stack itself depends on, such as `port`.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Adds a line of `redis.conf` on all Redis servers but sentinels, for instance
    /// `.redis_setting("maxmemory", "64mb")`.
    pub fn redis_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.redis_settings.push((name.into(), value.into()));
        self
    }

    /// Keeps the servers' logs when the stack ends, as is done anyway when it ends
    /// by a panic or fails to start (but not when a test ends by returning an
    /// error), and prints their path on standard error. Default: off. The logs of
    /// the last 20 stacks are kept.
    pub const fn keep_logs(mut self, keep: bool) -> Self {
        self.keep_logs = keep;
        self
    }

    /// How long each server may take to become ready. Default: 30 s.
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// Where the directory of stacks and templates is. Default: the system's
    /// temporary directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The folder of `postgres` and `initdb`. Default: they are looked for on
    /// `PATH`, then in the folders of the usual distributions.
    pub fn postgres_bin(mut self, dir: impl Into<PathBuf>) -> Self {
        self.postgres_bin = Some(dir.into());
        self
    }

    /// The folder of `pgbouncer`. Default: as for PostgreSQL.
    pub fn pgbouncer_bin(mut self, dir: impl Into<PathBuf>) -> Self {
        self.pgbouncer_bin = Some(dir.into());
        self
    }

    /// The folder of `redis-server`. Default: as for PostgreSQL.
    pub fn redis_bin(mut self, dir: impl Into<PathBuf>) -> Self {
        self.redis_bin = Some(dir.into());
        self
    }

    /// The folder of `prometheus` and `promtool`. Default: as for PostgreSQL.
    pub fn prometheus_bin(mut self, dir: impl Into<PathBuf>) -> Self {
        self.prometheus_bin = Some(dir.into());
        self
    }

    /// Starts the servers, all at once, and returns when all are ready: replicas
    /// stream and have caught up, the cluster's slots are served, the sentinels could
    /// fail over.
    ///
    /// Cancel safety: if the future is dropped, whatever it started is stopped and
    /// removed. Needs a tokio runtime with time and IO whose clock is not paused.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] and [`Error::Setting`] before anything is started;
    /// [`Error::Exited`] and [`Error::NotReady`] with the end of the server's log.
    pub async fn start(self) -> Result<Stack, Error> {
        self.validate()?;
        let mut attempt = 1;
        loop {
            match launch::launch(&self).await {
                // Another process took a port after it was found free.
                Err(Error::Exited { address_in_use: true, .. }) if attempt < PORT_ATTEMPTS => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn validate(&self) -> Result<(), Error> {
        if self.replicas > MAX_REPLICAS {
            let problem = "at most 8, as max_wal_senders is 10";
            return Err(Error::Setting { name: "replicas".to_owned(), problem });
        }
        if self.pgbouncer.is_some_and(|connections| connections == 0 || connections > MAX_BOUNCED) {
            let problem = "at least 1 and at most 150, as max_connections is 200";
            return Err(Error::Setting { name: "pgbouncer".to_owned(), problem });
        }
        for (name, value) in &self.settings {
            check_setting(name, value)?;
        }
        for (name, value) in &self.redis_settings {
            if name.contains(char::is_whitespace) || value.contains(['\n', '\r']) {
                let problem = "a name is one word and a value one line";
                return Err(Error::Setting { name: name.clone(), problem });
            }
        }
        Ok(())
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const PORT_ATTEMPTS: usize = 5;
const MAX_REPLICAS: usize = 8;
const MAX_BOUNCED: usize = 150;
