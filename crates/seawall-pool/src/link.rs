//! One connection to a server: dialling, the session on it, its end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, Error, NoTls};

use crate::statements::Statements;
use crate::tap::{Socket, Tap};
use crate::wire::Wire;

/// A connection and what is known about its session.
///
/// `ClientWrapper` is deadpool-postgres's, for its transactions and for callers
/// who want everything; its pool is not used: it neither outlives a cancelled
/// caller while connecting, nor resizes without going over its limit, nor lets
/// the stream be read along.
#[derive(Debug)]
pub(crate) struct Link {
    // Before the statements, which would otherwise be closed one by one.
    pub(crate) client: ClientWrapper,
    pub(crate) statements: Statements,
    pub(crate) wire: Arc<Wire>,
    /// How long it took to connect and log in.
    pub(crate) opening: Duration,
    address: Address,
    driver: Driver,
}

impl Link {
    /// Resolves when the server has answered everything that was sent before.
    pub(crate) async fn is_there(&self) -> Result<(), Error> {
        self.wire.expect_bare();
        self.client.check_connection().await
    }

    /// Connects and logs in. `on_end` runs when the connection is over, however
    /// that comes about.
    pub(crate) async fn open(
        config: &Config,
        statements: usize,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let (socket, address) = match dial(config, look_up).await {
            Ok((socket, address)) => (socket, Some(address)),
            Err(error) => (Socket::Failed(Some(error)), None),
        };
        let wire = Arc::<Wire>::default();
        let tap = Tap::new(socket, Arc::clone(&wire));
        let (client, connection) = config.connect_raw(tap, NoTls).await?;
        // The server reports its settings when a session starts.
        wire.forget_traces();
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            on_end();
        });
        // The wrapper stops its task when it is dropped; ours is to say goodbye first.
        let client = ClientWrapper::new(client, tokio::spawn(async {}));
        Ok(Self {
            client,
            statements: Statements::new(statements),
            wire,
            opening: started.elapsed(),
            address: address.unwrap_or(Address::None),
            driver: Driver(driver),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks the server to give up what it is doing for this connection, and
    /// returns when the server has passed that on: from then on the request
    /// cannot hit a later statement.
    pub(crate) async fn cancel(&self) -> Result<(), Error> {
        let mut socket = match self.address.connect().await {
            Ok(socket) => socket,
            Err(error) => Socket::Failed(Some(error)),
        };
        self.client.cancel_token().cancel_query_raw(&mut socket, NoTls).await?;
        // The server closes when it has sent the signal.
        let _ = socket.read(&mut [0]).await;
        Ok(())
    }

    /// Breaks it off: all that wait for an answer on it learn that it is closed.
    pub(crate) fn abort(&self) {
        self.driver.0.abort();
    }

    /// Says goodbye and waits until the server has closed, or for `limit`.
    pub(crate) async fn close(self, limit: Duration) {
        let Self { client, statements, mut driver, .. } = self;
        drop(client);
        drop(statements);
        let _ = timeout(limit, &mut driver.0).await;
    }
}

/// The task that moves a connection's bytes, stopped when dropped.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a connection went, so that a cancel request goes to the same server.
#[derive(Clone, Debug)]
enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
    None,
}

impl Address {
    async fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
            Self::None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

/// Opens a socket as the connection string says: the addresses of the host in
/// turn, each with the string's `connect_timeout` if it has one. A name is resolved anew each
/// time.
async fn dial(config: &Config, resolve: Resolve) -> io::Result<(Socket, Address)> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses(config, port, resolve).await? {
        let connected = match config.get_connect_timeout() {
            None => address.connect().await,
            Some(limit) => match timeout(*limit, address.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        match connected {
            Ok(socket) => {
                if let Socket::Tcp(stream) = &socket {
                    watch_peer(stream, config)?;
                }
                return Ok((socket, address));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Finds the addresses of a name.
type Resolve = fn(&str, u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>>;

/// As the system does.
fn look_up(name: &str, port: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
}

async fn addresses(config: &Config, port: u16, resolve: Resolve) -> io::Result<Vec<Address>> {
    let tcp = |ip: IpAddr| Address::Tcp(SocketAddr::new(ip, port));
    if let Some(&ip) = config.get_hostaddrs().first() {
        return Ok(vec![tcp(ip)]);
    }
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => {
            let found = resolve(name, port).await?;
            Ok(found.into_iter().map(Address::Tcp).collect())
        }
        #[cfg(unix)]
        Some(Host::Unix(folder)) => {
            Ok(vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))])
        }
        None => Ok(Vec::new()),
    }
}

/// Lets the kernel notice a peer that is gone, as the connection string says.
fn watch_peer(stream: &TcpStream, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    if let Some(limit) = config.get_tcp_user_timeout() {
        socket.set_tcp_user_timeout(Some(*limit))?;
    }
    if config.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = config.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
