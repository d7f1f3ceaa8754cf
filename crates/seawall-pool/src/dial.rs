//! Opening a socket to a node, and a session on it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls};

use crate::resolver::Resolver;
use crate::tap::{Socket, Tap};
use crate::tls::Tls;
use crate::wire::Wire;

/// How to connect to one node. Everything that opens a connection goes through here.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) config: Config,
    resolver: Resolver,
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "says nothing without the feature")
    )]
    tls: Tls,
}

/// A client, and what moves its bytes and ends with the connection.
pub(crate) type Session = (Client, BoxFuture<'static, Result<(), Error>>);

/// A session that was opened.
pub(crate) struct Dialed {
    pub(crate) client: Client,
    /// Moves its bytes; ends with the connection.
    pub(crate) connection: BoxFuture<'static, Result<(), Error>>,
    /// Where the server is.
    pub(crate) address: Address,
}

impl Dialer {
    pub(crate) fn new(config: Config, resolver: Resolver, tls: Tls) -> Self {
        Self { config, resolver, tls }
    }

    /// Connects and logs in. `wire` sees what the server sends.
    pub(crate) async fn open(&self, wire: Arc<Wire>) -> Result<Dialed, Error> {
        let (socket, address) = match self.dial().await {
            Ok((socket, address)) => (socket, address),
            Err(error) => (Socket::Failed(Some(error)), Address::None),
        };
        let (client, connection) = self.log_in(socket, wire).await?;
        Ok(Dialed { client, connection, address })
    }

    async fn log_in(&self, socket: Socket, wire: Arc<Wire>) -> Result<Session, Error> {
        #[cfg(feature = "tls")]
        if let Some(connector) = self.encrypted(&socket) {
            return crate::tls::open(connector, &self.config, socket, wire).await;
        }
        let tap = Tap::new(socket, wire);
        let (client, connection) = self.config.connect_raw(tap, NoTls).await?;
        Ok((client, Box::pin(connection)))
    }

    /// What encrypts it, where it may be: not on the way to a path of this machine.
    #[cfg(feature = "tls")]
    fn encrypted(&self, socket: &Socket) -> Option<&crate::tls::Connector> {
        let connector = self.tls.connector.as_ref();
        connector.filter(|_| matches!(socket, Socket::Tcp(_)))
    }

    /// Sends a cancel request to the server at `address`, and returns when it was passed on.
    pub(crate) async fn cancel(&self, token: &CancelToken, address: &Address) -> Result<(), Error> {
        let mut socket = match address.connect().await {
            Ok(socket) => socket,
            Err(error) => Socket::Failed(Some(error)),
        };
        #[cfg(feature = "tls")]
        if let Some(connector) = self.encrypted(&socket) {
            return crate::tls::cancel(connector, &self.config, token, socket).await;
        }
        token.cancel_query_raw(&mut socket, NoTls).await?;
        // The server closes when it has sent the signal.
        let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0]).await;
        Ok(())
    }

    /// The addresses of the node's name now. Nothing if it has none: it is an address itself,
    /// or a path.
    pub(crate) async fn look_up(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) if self.has_name() => {
                Some(self.resolver.resolve(name, self.port()).await)
            }
            _ => None,
        }
    }

    /// Whether it is a name that says where the node is.
    pub(crate) fn has_name(&self) -> bool {
        let named = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.parse::<IpAddr>().is_err(),
            _ => false,
        };
        named && self.config.get_hostaddrs().is_empty()
    }

    /// Opens a socket as the connection string says: the addresses of the host in
    /// turn, each with the string's `connect_timeout` if it has one. A name is resolved anew each
    /// time.
    async fn dial(&self) -> io::Result<(Socket, Address)> {
        let config = &self.config;
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in self.addresses().await? {
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

    async fn addresses(&self) -> io::Result<Vec<Address>> {
        let port = self.port();
        if let Some(&ip) = self.config.get_hostaddrs().first() {
            return Ok(vec![Address::Tcp(SocketAddr::new(ip, port))]);
        }
        match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => {
                let found = match name.parse() {
                    Ok(ip) => vec![SocketAddr::new(ip, port)],
                    Err(_) => self.resolver.resolve(name, port).await?,
                };
                Ok(found.into_iter().map(Address::Tcp).collect())
            }
            #[cfg(unix)]
            Some(Host::Unix(folder)) => {
                Ok(vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))])
            }
            None => Ok(Vec::new()),
        }
    }

    fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }
}

/// Where a connection went, so that a cancel request goes to the same server.
#[derive(Clone, Debug)]
pub(crate) enum Address {
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
