//! The socket of a connection, read along.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::wire::{Scanner, Wire};

/// A socket to a server.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// One that could not be opened: fails when used. Only the driver can make
    /// its error type, and does so from an error of its stream.
    Failed(Option<io::Error>),
}

/// A socket whose incoming bytes pass a [`Scanner`] on their way to the driver.
/// What the driver has read, the scanner has seen.
#[derive(Debug)]
pub(crate) struct Tap {
    socket: Socket,
    scanner: Scanner,
    wire: Arc<Wire>,
}

impl Tap {
    pub(crate) fn new(socket: Socket, wire: Arc<Wire>) -> Self {
        Self { socket, scanner: Scanner::new(), wire }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if polled.is_ready() {
            this.scanner.feed(&buf.filled()[before..], |event| this.wire.note(event));
        }
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Hands a call on to the socket there is.
macro_rules! forward {
    ($this:expr, $method:ident($($arg:expr),*)) => {
        match $this.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).$method($($arg),*),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).$method($($arg),*),
            Self::Failed(error) => Poll::Ready(Err(failure(error))),
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
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

fn failure(error: &mut Option<io::Error>) -> io::Error {
    error.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())
}
