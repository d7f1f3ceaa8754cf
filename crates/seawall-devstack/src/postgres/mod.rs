//! A PostgreSQL server of a stack.

mod config;
mod control;

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

pub(crate) use config::{Config, check_setting};

use crate::cleanup;
use crate::error::Error;
use crate::process::{Process, Spec, StopSignal};

/// A PostgreSQL server, primary or replica.
///
/// User `seawall`, a superuser, and database `seawall` exist; connections from
/// 127.0.0.1 need no password. Where the contrib module is installed,
/// `pg_stat_statements` is preloaded and its extension created.
///
/// The controls act on the real server from outside, so they work whatever the
/// program under test does with its connections. Each opens a connection of its
/// own where it needs SQL and gives up after ten seconds. A future that is dropped
/// may or may not have acted; the server stays usable and the stack still removes it.
pub struct Postgres {
    process: Arc<Process>,
    data: PathBuf,
    /// How the titles of its processes begin.
    title: String,
    port: u16,
}

impl Postgres {
    /// Writes the configuration of a server whose data directory is in place.
    pub(crate) fn configure(spec: &ServerSpec<'_>) -> Result<Self, Error> {
        let data = spec.stack_dir.join(spec.name);
        let cluster = format!("{}{}", cleanup::cluster_prefix(spec.id), spec.name);
        let title = format!("{}{}", cleanup::cluster_title(spec.id), spec.name);
        spec.config.write(&data, &cluster, spec.port, spec.primary_port, spec.name)?;
        let process = Process::new(Spec {
            name: spec.name.to_owned(),
            program: spec.program.to_path_buf(),
            args: vec![OsString::from("-D"), data.clone().into()],
            dir: data.clone(),
            stack_dir: spec.stack_dir.to_path_buf(),
            kept_logs: spec.kept_logs.to_path_buf(),
            run_as: spec.config.run_as,
            stop_signal: StopSignal::Quit,
        });
        Ok(Self { process: Arc::new(process), data, title, port: spec.port })
    }

    /// `postgres://seawall@127.0.0.1:PORT/seawall`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_via(self.addr())
    }

    /// The same for a connection by way of another address, that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_via(&self, addr: SocketAddr) -> String {
        format!("postgres://{USER}@{addr}/{USER}")
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

    /// `primary`, `replica-1`, `replica-2` and so on.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }

    /// Its data directory, readable for the servers' user only.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The postmaster's process id, `None` while the server is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A new connection, driven by a task that ends with the client.
    ///
    /// # Errors
    /// [`Error::Postgres`] if the server refuses, [`Error::Deadline`] if it does
    /// not answer within ten seconds.
    pub async fn client(&self) -> Result<Client, Error> {
        let connecting = self.connect();
        match timeout(CONTROL_DEADLINE, connecting).await {
            Ok(connected) => connected.map_err(|source| self.error("open a connection", source)),
            Err(_) => Err(self.deadline("answer to a connection", CONTROL_DEADLINE)),
        }
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Waits until it accepts connections and, if `streaming`, receives the log of
    /// its primary.
    pub(crate) async fn wait_ready(
        &self,
        deadline: Duration,
        streaming: bool,
    ) -> Result<(), Error> {
        let ready = || async move {
            match self.connect().await {
                Ok(client) => !streaming || Self::is_streaming(&client).await,
                Err(_) => false,
            }
        };
        self.process.until(deadline, ready).await
    }

    async fn is_streaming(client: &Client) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let row = client.query_one(sql, &[]).await;
        matches!(row, Ok(row) if row.try_get::<_, bool>(0).unwrap_or(false))
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host(self.host())
            .port(self.port)
            .user(USER)
            .dbname(USER)
            .application_name("seawall-devstack")
            .connect(NoTls)
            .await?;
        // An error here reaches the client's caller as well.
        tokio::spawn(connection);
        Ok(client)
    }

    fn error(&self, action: &'static str, source: tokio_postgres::Error) -> Error {
        Error::Postgres { server: self.name().to_owned(), action, source }
    }

    fn deadline(&self, what: &'static str, waited: Duration) -> Error {
        Error::Deadline { server: self.name().to_owned(), what, waited }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("name", &self.name())
            .field("addr", &self.addr())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// What distinguishes one server from the others of its stack.
#[derive(Debug)]
pub(crate) struct ServerSpec<'a> {
    pub(crate) name: &'a str,
    /// The stack's.
    pub(crate) id: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) stack_dir: &'a Path,
    pub(crate) kept_logs: &'a Path,
    pub(crate) port: u16,
    /// For a replica.
    pub(crate) primary_port: Option<u16>,
    pub(crate) config: &'a Config,
}

const USER: &str = "seawall";
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
