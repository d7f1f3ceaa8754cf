//! A running stack.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::builder::StackBuilder;
use crate::error::Error;
use crate::guard::Guard;
use crate::pgbouncer::PgBouncer;
use crate::postgres::Postgres;
use crate::prometheus::Prometheus;
use crate::redis::{Redis, RedisCluster, RedisSentinel};

/// Servers that live as long as this value, at most as long as this process.
///
/// Dropping it stops the servers and removes their directory before it returns,
/// which blocks the thread for some tens of milliseconds;
/// [`shutdown`](Self::shutdown) does the same without blocking.
pub struct Stack {
    pub(crate) primary: Option<Postgres>,
    pub(crate) replicas: Vec<Postgres>,
    pub(crate) pgbouncer: Option<PgBouncer>,
    pub(crate) redis: Option<Redis>,
    pub(crate) cluster: Option<RedisCluster>,
    pub(crate) sentinel: Option<RedisSentinel>,
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) ready_in: Duration,
    pub(crate) guard: Guard,
}

impl Stack {
    /// An empty description to add servers to.
    pub const fn builder() -> StackBuilder {
        StackBuilder::new()
    }

    /// The PostgreSQL primary.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn primary(&self) -> Result<&Postgres, Error> {
        let (server, call) = ("PostgreSQL primary", ".postgres()");
        self.primary.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// A PostgreSQL replica, counted from 0.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built with fewer.
    pub fn replica(&self, index: usize) -> Result<&Postgres, Error> {
        let (server, call) = ("replica of that number", ".replicas(count)");
        self.replicas.get(index).ok_or(Error::NotStarted { server, call })
    }

    /// All PostgreSQL replicas.
    #[must_use]
    pub fn replicas(&self) -> &[Postgres] {
        &self.replicas
    }

    /// The PgBouncer before the primary.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn pgbouncer(&self) -> Result<&PgBouncer, Error> {
        let (server, call) = ("PgBouncer", ".pgbouncer(connections)");
        self.pgbouncer.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// The single Redis server.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn redis(&self) -> Result<&Redis, Error> {
        let (server, call) = ("single Redis", ".redis()");
        self.redis.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// The Redis cluster.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn redis_cluster(&self) -> Result<&RedisCluster, Error> {
        let (server, call) = ("Redis cluster", ".redis_cluster()");
        self.cluster.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// The Redis master and replica with their sentinels.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn redis_sentinel(&self) -> Result<&RedisSentinel, Error> {
        let (server, call) = ("Redis with sentinels", ".redis_sentinel()");
        self.sentinel.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// The Prometheus server.
    ///
    /// # Errors
    /// [`Error::NotStarted`] if the stack was built without.
    pub fn prometheus(&self) -> Result<&Prometheus, Error> {
        let (server, call) = ("Prometheus", ".prometheus(target)");
        self.prometheus.as_ref().ok_or(Error::NotStarted { server, call })
    }

    /// The stack's directory; it goes with the stack.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.guard.dir.path
    }

    /// How long [`StackBuilder::start`] took.
    #[must_use]
    pub const fn ready_in(&self) -> Duration {
        self.ready_in
    }

    /// Shuts PostgreSQL down in order, replicas first, then does what dropping does.
    ///
    /// Cancel safety: a dropped future still stops everything.
    pub async fn shutdown(self) {
        if let Some(bouncer) = &self.pgbouncer {
            // It would take the primary's shutdown for a failure, and the log with it.
            drop(bouncer.kill().await);
        }
        for server in self.replicas.iter().chain(&self.primary) {
            // What will not end in order is ended by force below.
            if let Err(error) = server.stop().await {
                tracing::warn!(server = server.name(), %error, "no orderly shutdown");
            }
        }
        // Only cancellation of the runtime makes it fail, which drops the guard too.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("dir", &self.dir())
            .field("primary", &self.primary)
            .field("replicas", &self.replicas)
            .field("pgbouncer", &self.pgbouncer)
            .field("redis", &self.redis)
            .field("redis_cluster", &self.cluster)
            .field("redis_sentinel", &self.sentinel)
            .field("prometheus", &self.prometheus)
            .field("ready_in", &self.ready_in)
            .finish_non_exhaustive()
    }
}
