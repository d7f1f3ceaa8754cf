//! A PostgreSQL server of a stack.

mod config;
mod control;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

pub(crate) use config::{Config, check_setting};

use crate::cleanup;
use crate::error::Error;
use crate::process::StopSignal;
use crate::server::{Place, Server};

/// A PostgreSQL server: `primary`, `replica-1`, `replica-2` and so on.
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
    server: Server,
    data: PathBuf,
    /// How the titles of its processes begin.
    title: String,
}

impl Postgres {
    /// Writes the configuration of a server whose data directory is in place.
    pub(crate) fn configure(spec: &ServerSpec<'_>) -> Result<Self, Error> {
        let place = &spec.place;
        let data = place.dir();
        let cluster = format!("{}{}", cleanup::cluster_prefix(spec.id), place.name);
        let title = format!("{}{}", cleanup::cluster_title(spec.id), place.name);
        spec.config.write(&data, &cluster, place.port, spec.primary_port, place.name)?;
        let args = vec![OsString::from("-D"), data.clone().into()];
        Ok(Self { server: place.server(args, StopSignal::Quit), data, title })
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

    /// Its data directory, readable for the servers' user only.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data
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
        self.process().until(deadline, ready).await
    }

    async fn is_streaming(client: &Client) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let row = client.query_one(sql, &[]).await;
        matches!(row, Ok(row) if row.try_get::<_, bool>(0).unwrap_or(false))
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host(self.host())
            .port(self.port())
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
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("Postgres", f)
    }
}

/// What distinguishes one server from the others of its stack.
#[derive(Debug)]
pub(crate) struct ServerSpec<'a> {
    pub(crate) place: Place<'a>,
    /// The stack's.
    pub(crate) id: &'a str,
    /// For a replica.
    pub(crate) primary_port: Option<u16>,
    pub(crate) config: &'a Config,
}

const USER: &str = "seawall";
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
