//! Redis servers of a stack.

mod cluster;
mod resp;
mod sentinel;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use tokio::time::timeout;

pub use cluster::RedisCluster;
pub use resp::Reply;
pub use sentinel::RedisSentinel;
pub(crate) use sentinel::Watched;

use crate::error::Error;
use crate::process::StopSignal;
use crate::server::{Place, Server};

/// A Redis server: alone, a node of a [`RedisCluster`], or a server or sentinel of a
/// [`RedisSentinel`].
///
/// Its [`name`](Server::name) is `redis`, or `redis-1` to `redis-3` in a cluster, `redis-4` to
/// `redis-6` for their replicas; `redis-master`, `redis-replica` and `sentinel-1` to `sentinel-3`
/// with sentinels. It keeps its data in memory only: [`kill`](Server::kill) and
/// [`restart`](Self::restart) empty it.
pub struct Redis(Server);

impl Redis {
    /// Writes the configuration of a server.
    pub(crate) fn configure(
        place: &Place<'_>,
        role: &Role<'_>,
        settings: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut lines = format!(
            "bind 127.0.0.1\nport {}\ndir \"{}\"\ndaemonize no\nlogfile \"\"\n",
            place.port,
            place.dir().display(),
        );
        lines.push_str(&role.lines());
        let mut args = Vec::new();
        if matches!(role, Role::Sentinel { .. }) {
            args.push(OsString::from("--sentinel"));
        } else {
            lines.push_str("save \"\"\nappendonly no\n");
            for (name, value) in settings {
                lines.push_str(&format!("{name} {value}\n"));
            }
        }
        let path = place.write("redis.conf", &lines)?;
        args.insert(0, OsString::from(path));
        Ok(Self(place.server(args, StopSignal::Kill)))
    }

    /// `redis://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_via(self.addr())
    }

    /// The same for a connection by way of another address, that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_via(&self, addr: SocketAddr) -> String {
        format!("redis://{addr}")
    }

    /// Runs one command over a connection of its own, for set-up and checks.
    ///
    /// # Errors
    /// [`Error::Redis`] if the server refuses the connection or the command,
    /// [`Error::Deadline`] if it does not answer within ten seconds.
    pub async fn command(&self, words: &[&str]) -> Result<Reply, Error> {
        match timeout(CONTROL_DEADLINE, resp::command(self.addr(), words)).await {
            Ok(reply) => reply.map_err(|source| self.error("a command", source)),
            Err(_) => Err(self.deadline("an answer to a command", CONTROL_DEADLINE)),
        }
    }

    /// Empties it (`FLUSHALL`).
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn flush(&self) -> Result<(), Error> {
        self.command(&["FLUSHALL"]).await.map(drop)
    }

    /// Kills it if it is up, starts it empty on the same port, and returns when it
    /// answers. A cluster's node knows its slots, but takes some two seconds more
    /// to serve them: see [`RedisCluster::wait_ready`].
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        let addr = self.addr();
        self.process().restart(CONTROL_DEADLINE, || answers(addr)).await
    }

    /// Waits until it answers.
    pub(crate) async fn wait_answer(&self, deadline: Duration) -> Result<(), Error> {
        let addr = self.addr();
        self.process().until(deadline, || answers(addr)).await
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Redis { server: self.name().to_owned(), action, source }
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("Redis", f)
    }
}

async fn answers(addr: SocketAddr) -> bool {
    resp::command(addr, &["PING"]).await.is_ok()
}

/// What a server is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role<'a> {
    /// One by itself, or a master with replicas.
    Alone,
    ClusterNode,
    ReplicaOf(u16),
    Sentinel {
        watched: Watched<'a>,
        index: usize,
    },
}

impl Role<'_> {
    /// What the bus between the nodes of a cluster adds to the port.
    pub(crate) const fn bus_offset(&self) -> u16 {
        match self {
            Self::ClusterNode => BUS_OFFSET,
            Self::Alone | Self::ReplicaOf(_) | Self::Sentinel { .. } => 0,
        }
    }

    fn lines(&self) -> String {
        match self {
            // Without the delay a replica would wait five seconds for others to come.
            Self::Alone => "repl-diskless-sync-delay 0\n".to_owned(),
            Self::ClusterNode => "cluster-enabled yes\ncluster-config-file nodes.conf\n\
                                  cluster-node-timeout 5000\nrepl-diskless-sync-delay 0\n"
                .to_owned(),
            Self::ReplicaOf(master) => {
                format!("replicaof 127.0.0.1 {master}\nrepl-diskless-sync-delay 0\n")
            }
            Self::Sentinel { watched, index } => sentinel::lines(watched, *index),
        }
    }
}

const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// What a node of a cluster adds to its port for the bus between the nodes.
const BUS_OFFSET: u16 = 10_000;
