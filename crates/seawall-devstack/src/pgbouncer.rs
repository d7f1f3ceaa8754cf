//! A PgBouncer before a stack's primary.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::error::Error;
use crate::home;
use crate::io_error;
use crate::process::{Process, Spec, StopSignal};
use crate::run_as::{self, RunAs};

/// A PgBouncer in transaction mode before the primary.
///
/// It takes up to a thousand clients, of whatever user name and without a password, and works for
/// all of them as user `seawall` on the database `seawall`, over as many connections to the primary
/// as the stack was told. Before version 1.21 it knows nothing of prepared statements with a name:
/// the next transaction may run on a connection that has not prepared them. The controls give up
/// after ten seconds; a dropped future may or may not have acted.
pub struct PgBouncer {
    process: Arc<Process>,
    port: u16,
}

impl PgBouncer {
    pub(crate) fn configure(spec: &PgBouncerSpec<'_>) -> Result<Self, Error> {
        let dir = spec.stack_dir.join(NAME);
        home::make_dir(&dir, 0o700)?;
        run_as::give(spec.run_as, &dir)?;
        let path = dir.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n\
             seawall = host=127.0.0.1 port={primary} user=seawall dbname=seawall\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_client_conn = 1000\n\
             server_login_retry = 0.1\n\
             ignore_startup_parameters = extra_float_digits\n\
             log_connections = 0\n\
             log_disconnections = 0\n\
             log_stats = 0\n",
            primary = spec.primary_port,
            port = spec.port,
            connections = spec.connections,
        );
        std::fs::write(&path, text).map_err(io_error("write", &path))?;
        run_as::give(spec.run_as, &path)?;
        let process = Process::new(Spec {
            name: NAME.to_owned(),
            program: spec.program.to_path_buf(),
            args: vec![path.into()],
            dir,
            stack_dir: spec.stack_dir.to_path_buf(),
            kept_logs: spec.kept_logs.to_path_buf(),
            run_as: spec.run_as,
            stop_signal: StopSignal::Kill,
        });
        Ok(Self { process: Arc::new(process), port: spec.port })
    }

    /// `postgres://seawall@127.0.0.1:PORT/seawall`
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://seawall@{}/seawall", self.addr())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
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

    /// A connection to the primary by way of it, driven by a task of its own.
    ///
    /// # Errors
    /// [`Error::Postgres`] if it or the primary refuses, or does not answer within ten seconds.
    pub async fn client(&self) -> Result<Client, Error> {
        let failed = |source| Error::Postgres {
            server: NAME.to_owned(),
            action: "open a connection",
            source,
        };
        let mut config: tokio_postgres::Config = self.url().parse().map_err(failed)?;
        config.connect_timeout(CONTROL_DEADLINE);
        let (client, connection) = match timeout(CONTROL_DEADLINE, config.connect(NoTls)).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(deadline("a connection")),
        };
        // It ends with the client; what ends it is told by the client.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// Kills it with SIGKILL; returns when it is gone. Nothing happens if it is down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it does not go.
    pub async fn kill(&self) -> Result<(), Error> {
        if self.process.signal(Signal::KILL).is_err()
            || self.process.wait_ended(CONTROL_DEADLINE).await
        {
            return Ok(());
        }
        Err(deadline("its end"))
    }

    /// Kills it if it is up, starts it on the same port, and returns when the primary answers
    /// through it.
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start or the primary
    /// is down.
    pub async fn restart(&self) -> Result<(), Error> {
        self.kill().await?;
        self.process.spawn()?;
        self.wait_ready(START_DEADLINE).await
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Waits until the primary answers through it.
    pub(crate) async fn wait_ready(&self, deadline: Duration) -> Result<(), Error> {
        let end = Instant::now() + deadline;
        loop {
            self.process.check_started()?;
            let probe = async { self.client().await?.simple_query("").await.map_err(refused) };
            if matches!(timeout(PROBE_DEADLINE, probe).await, Ok(Ok(_))) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(self.process.not_ready(deadline));
            }
            sleep(POLL).await;
        }
    }
}

impl fmt::Debug for PgBouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBouncer")
            .field("addr", &self.addr())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// What a server is made from.
#[derive(Debug)]
pub(crate) struct PgBouncerSpec<'a> {
    pub(crate) program: &'a Path,
    pub(crate) stack_dir: &'a Path,
    pub(crate) kept_logs: &'a Path,
    pub(crate) port: u16,
    pub(crate) primary_port: u16,
    pub(crate) connections: usize,
    pub(crate) run_as: Option<RunAs>,
}

fn deadline(what: &'static str) -> Error {
    Error::Deadline { server: NAME.to_owned(), what, waited: CONTROL_DEADLINE }
}

fn refused(source: tokio_postgres::Error) -> Error {
    Error::Postgres { server: NAME.to_owned(), action: "run a statement", source }
}

const NAME: &str = "pgbouncer";
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const START_DEADLINE: Duration = Duration::from_secs(30);
const PROBE_DEADLINE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);
