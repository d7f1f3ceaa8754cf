//! Redis servers of a stack.

mod cluster;
mod resp;
mod sentinel;

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

pub use cluster::RedisCluster;
pub use resp::Reply;
pub use sentinel::RedisSentinel;
pub(crate) use sentinel::Watched;

use crate::error::Error;
use crate::home;
use crate::io_error;
use crate::process::{Process, Spec, StopSignal};
use crate::run_as::{self, RunAs};

/// A Redis server: alone, a node of a [`RedisCluster`], or a server or sentinel of a
/// [`RedisSentinel`].
///
/// It keeps its data in memory only: [`kill`](Self::kill) and
/// [`restart`](Self::restart) empty it. The controls give up after ten seconds;
/// a dropped future may or may not have acted.
pub struct Redis {
    process: Arc<Process>,
    port: u16,
}

impl Redis {
    /// Writes the configuration of a server.
    pub(crate) fn configure(spec: &ServerSpec<'_>) -> Result<Self, Error> {
        let dir = spec.stack_dir.join(spec.name);
        home::make_dir(&dir, 0o700)?;
        run_as::give(spec.run_as, &dir)?;
        let mut lines = format!(
            "bind 127.0.0.1\nport {}\ndir \"{}\"\ndaemonize no\nlogfile \"\"\n",
            spec.port,
            dir.display(),
        );
        lines.push_str(&spec.role.lines());
        let mut args = Vec::new();
        if matches!(spec.role, Role::Sentinel { .. }) {
            args.push(OsString::from("--sentinel"));
        } else {
            lines.push_str("save \"\"\nappendonly no\n");
            for (name, value) in spec.settings {
                lines.push_str(&format!("{name} {value}\n"));
            }
        }
        let path = dir.join("redis.conf");
        std::fs::write(&path, lines).map_err(io_error("write", &path))?;
        run_as::give(spec.run_as, &path)?;
        args.insert(0, OsString::from(path));
        let process = Process::new(Spec {
            name: spec.name.to_owned(),
            program: spec.program.to_path_buf(),
            args,
            dir,
            stack_dir: spec.stack_dir.to_path_buf(),
            kept_logs: spec.kept_logs.to_path_buf(),
            run_as: spec.run_as,
            stop_signal: StopSignal::Kill,
        });
        Ok(Self { process: Arc::new(process), port: spec.port })
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

    /// `127.0.0.1`
    #[must_use]
    pub fn host(&self) -> String {
        self.addr().ip().to_string()
    }

    /// Its TCP port, the same for as long as the stack lives.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `redis`, or `redis-1` to `redis-3` in a cluster, `redis-4` to `redis-6` for their replicas;
    /// `redis-master`, `redis-replica` and
    /// `sentinel-1` to `sentinel-3` with sentinels.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }

    /// Its process id, `None` while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
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

    /// Freezes it (SIGSTOP): connections stay open, new ones are accepted by the
    /// kernel, nothing is answered. Returns when it stands still.
    ///
    /// # Errors
    /// [`Error::NotRunning`]
    pub async fn pause(&self) -> Result<(), Error> {
        self.process.pause().await
    }

    /// Lets a frozen server run again (SIGCONT).
    ///
    /// # Errors
    /// [`Error::NotRunning`]
    pub async fn resume(&self) -> Result<(), Error> {
        self.process.resume().await
    }

    /// Kills it with SIGKILL; returns when it is gone. Nothing happens if it is down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it does not go.
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.kill().await
    }

    /// Kills it if it is up, starts it empty on the same port, and returns when it
    /// answers. A cluster's node knows its slots, but takes some two seconds more
    /// to serve them: see [`RedisCluster::wait_ready`].
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        let addr = self.addr();
        self.process.restart(CONTROL_DEADLINE, || answers(addr)).await
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Waits until it answers.
    pub(crate) async fn wait_answer(&self, deadline: Duration) -> Result<(), Error> {
        let addr = self.addr();
        self.process.until(deadline, || answers(addr)).await
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Redis { server: self.name().to_owned(), action, source }
    }

    fn deadline(&self, what: &'static str, waited: Duration) -> Error {
        Error::Deadline { server: self.name().to_owned(), what, waited }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("name", &self.name())
            .field("addr", &self.addr())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

async fn answers(addr: SocketAddr) -> bool {
    resp::command(addr, &["PING"]).await.is_ok()
}

/// What distinguishes one server from the others of its stack.
#[derive(Debug)]
pub(crate) struct ServerSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) stack_dir: &'a Path,
    pub(crate) kept_logs: &'a Path,
    pub(crate) port: u16,
    pub(crate) role: Role<'a>,
    pub(crate) settings: &'a [(String, String)],
    pub(crate) run_as: Option<RunAs>,
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
