//! The handshake, by rustls, under the stream that is read along.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Config, Error as PgError};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Tls;
use crate::dial::Session;
use crate::error::Error;
use crate::tap::{Socket, Tap};
use crate::wire::Wire;

/// Makes encrypted connections.
pub(crate) type Connector = MakeRustlsConnect;

impl Tls {
    /// As `config` says, which may also have a certificate for the client.
    #[must_use]
    pub fn rustls(config: ClientConfig) -> Self {
        Self { connector: Some(MakeRustlsConnect::new(config)) }
    }

    /// Trusts servers whose certificate was signed by one of those in `pem`, or is one of them, and no
    /// other.
    ///
    /// # Errors
    ///
    /// [`Error::Certificates`] if there is none in it or one cannot be read.
    pub fn trusting(pem: &[u8]) -> Result<Self, Error> {
        let unfit = |_| Error::Certificates;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| Error::Certificates)?;
            roots.add(certificate).map_err(unfit)?;
        }
        if roots.is_empty() {
            return Err(Error::Certificates);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::rustls(config))
    }
}

/// Logs in over `socket`, encrypted if the connection string and the server have it so.
pub(crate) async fn open(
    connector: &Connector,
    config: &Config,
    socket: Socket,
    wire: Arc<Wire>,
) -> Result<Session, PgError> {
    let tap = if config.get_ssl_mode() == SslMode::Disable || is_direct(config) {
        Tap::new(socket, wire)
    } else {
        Tap::asking(socket, wire)
    };
    let (client, connection) = config.connect_raw(tap, Secure::new(connector, config)).await?;
    Ok((client, Box::pin(connection)))
}

/// Sends a cancel request and returns when the server has closed: then it was passed on.
pub(crate) async fn cancel(
    connector: &Connector,
    config: &Config,
    token: &CancelToken,
    socket: Socket,
) -> Result<(), PgError> {
    let (home, back) = oneshot::channel();
    let lent = Lent { socket: Some(socket), home: Some(home) };
    token.cancel_query_raw(lent, Secure::new(connector, config)).await?;
    if let Ok(mut socket) = back.await {
        // A word of goodbye may come before the end.
        while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    }
    Ok(())
}

/// Whether TLS begins at once, without a question.
fn is_direct(config: &Config) -> bool {
    config.get_ssl_negotiation() == tokio_postgres::config::SslNegotiation::Direct
}

/// For one connection.
struct Secure {
    connector: Connector,
    name: String,
}

impl Secure {
    fn new(connector: &Connector, config: &Config) -> Self {
        let name = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            (_, Some(address)) => address.to_string(),
            _ => String::new(),
        };
        Self { connector: connector.clone(), name }
    }

    fn handshake<S>(&mut self) -> <Connector as MakeTlsConnect<S>>::TlsConnect
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match MakeTlsConnect::<S>::make_tls_connect(&mut self.connector, &self.name) {
            Ok(handshake) => handshake,
            Err(never) => match never {},
        }
    }
}

type Encrypted<S> = <Connector as MakeTlsConnect<S>>::Stream;

/// What is read along is what comes out of the encryption.
impl TlsConnect<Tap> for Secure {
    type Stream = Tap<Encrypted<Socket>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Stream>>;

    fn connect(mut self, tap: Tap) -> Self::Future {
        let (socket, wire) = tap.into_parts();
        let handshake = self.handshake::<Socket>().connect(socket);
        handshake.map(|stream| Ok(Tap::new(stream?, wire))).boxed()
    }
}

impl TlsConnect<Lent> for Secure {
    type Stream = Encrypted<Lent>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Stream>>;

    fn connect(mut self, socket: Lent) -> Self::Future {
        self.handshake::<Lent>().connect(socket).boxed()
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tap<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.socket().channel_binding()
    }
}

/// A socket that goes home when it is dropped.
struct Lent {
    socket: Option<Socket>,
    home: Option<oneshot::Sender<Socket>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(socket), Some(home)) = (self.socket.take(), self.home.take()) {
            drop(home.send(socket));
        }
    }
}

/// Hands a call on to the socket, which is there until the drop.
macro_rules! forward {
    ($this:expr, $method:ident($($arg:expr),*)) => {
        match &mut $this.get_mut().socket {
            Some(socket) => Pin::new(socket).$method($($arg),*),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }
}
