//! A PgBouncer before a stack's primary.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::error::Error;
use crate::process::StopSignal;
use crate::server::{Place, Server};

/// A PgBouncer in transaction mode before the primary.
///
/// It takes up to a thousand clients, of whatever user name and without a password, and works for
/// all of them as user `seawall` on the database `seawall`, over as many connections to the primary
/// as the stack was told. Before version 1.21 it knows nothing of prepared statements with a name:
/// the next transaction may run on a connection that has not prepared them.
pub struct PgBouncer(Server);

impl PgBouncer {
    pub(crate) fn configure(
        place: &Place<'_>,
        primary: u16,
        connections: usize,
    ) -> Result<Self, Error> {
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
            port = place.port,
        );
        let path = place.write("pgbouncer.ini", &text)?;
        Ok(Self(place.server(vec![path.into()], StopSignal::Kill)))
    }

    /// `postgres://seawall@127.0.0.1:PORT/seawall`
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://seawall@{}/seawall", self.addr())
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
            Err(_) => return Err(self.deadline("a connection", CONTROL_DEADLINE)),
        };
        // It ends with the client; what ends it is told by the client.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// Kills it if it is up, starts it on the same port, and returns when the primary answers
    /// through it.
    ///
    /// # Errors
    /// [`Error::Exited`] or [`Error::NotReady`], with the log, if it does not start or the primary
    /// is down.
    pub async fn restart(&self) -> Result<(), Error> {
        self.process().restart(START_DEADLINE, || self.answers()).await
    }

    /// Waits until the primary answers through it.
    pub(crate) async fn wait_ready(&self, deadline: Duration) -> Result<(), Error> {
        self.process().until(deadline, || self.answers()).await
    }

    async fn answers(&self) -> bool {
        match self.client().await {
            Ok(client) => client.simple_query("").await.is_ok(),
            Err(_) => false,
        }
    }
}

impl Deref for PgBouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl fmt::Debug for PgBouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("PgBouncer", f)
    }
}

pub(crate) const NAME: &str = "pgbouncer";
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const START_DEADLINE: Duration = Duration::from_secs(30);
