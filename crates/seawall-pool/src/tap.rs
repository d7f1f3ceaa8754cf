//! The socket of a connection, read along.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::wire::{Event, Scanner, Wire};

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
pub(crate) struct Tap<S = Socket> {
    socket: S,
    scanner: Scanner,
    wire: Arc<Wire>,
    sieve: Sieve,
}

impl<S> Tap<S> {
    pub(crate) fn new(socket: S, wire: Arc<Wire>) -> Self {
        Self { socket, scanner: Scanner::new(), wire, sieve: Sieve::default() }
    }

    /// One on which the server first says, in a byte, whether it speaks TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn asking(socket: S, wire: Arc<Wire>) -> Self {
        Self { socket, scanner: Scanner::after(1), wire, sieve: Sieve::default() }
    }

    /// The socket, and what was told of it so far.
    #[cfg(feature = "tls")]
    pub(crate) fn into_parts(self) -> (S, Arc<Wire>) {
        (self.socket, self.wire)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.is_copying() || !this.sieve.is_empty() {
            return this.poll_read_sieved(cx, buf);
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if polled.is_ready() {
            this.scanner.feed(&buf.filled()[before..], |event| this.wire.note(event));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
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

impl<S: AsyncRead + Unpin> Tap<S> {
    /// As `poll_read`, but for the answer that the driver does not expect. For the few reads around a
    /// `COPY`.
    fn poll_read_sieved(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.sieve.give(buf) {
            let mut bytes = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                // The end, which cuts a message off.
                self.sieve.let_all_pass();
                self.sieve.give(buf);
                break;
            }
            for byte in chunk.filled() {
                self.sieve.take_in(*byte, &mut self.scanner, &self.wire);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes one message out of a stream.
#[derive(Debug, Default)]
struct Sieve {
    /// The beginning of a message that may be the one.
    held: Vec<u8>,
    /// Within that one.
    dropping: bool,
    /// How far the first copy is that may have such an answer.
    stage: Stage,
    /// What the driver is to have.
    passed: VecDeque<u8>,
}

impl Sieve {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && !self.dropping && self.passed.is_empty()
    }

    fn take_in(&mut self, byte: u8, scanner: &mut Scanner, wire: &Wire) {
        self.held.push(byte);
        let Self { dropping, stage, .. } = self;
        let settle = |stage: &mut Stage| {
            wire.copy_settled();
            *stage = Stage::Asked;
        };
        scanner.feed(&[byte], |event| {
            if wire.is_copying() {
                match (event, *stage) {
                    (Event::CopyIn, Stage::Asked) => *stage = Stage::Taken,
                    (Event::Command(_), Stage::Taken) => settle(stage),
                    (Event::Ready(_), Stage::Taken) => *stage = Stage::Failed,
                    (Event::Bare, Stage::Asked) => *dropping = true,
                    // If one is asked for, that one or this: they are alike.
                    (Event::Bare, Stage::Failed) => *dropping = !wire.expects_bare(),
                    _ => {}
                }
                if *dropping && event == Event::Bare {
                    return settle(stage);
                }
            }
            wire.note(event);
        });
        if *stage == Stage::Failed && scanner.is_answering() {
            // What was asked next is being answered: there was none.
            settle(stage);
        }
        if self.dropping {
            self.held.clear();
            self.dropping = !scanner.is_between();
        } else if !scanner.is_within_ready() {
            self.let_all_pass();
        }
    }

    fn let_all_pass(&mut self) {
        self.passed.extend(self.held.drain(..));
    }

    /// Gives out what there is; whether that was anything.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.passed.len().min(buf.remaining());
        self.passed.drain(..count).for_each(|byte| buf.put_slice(&[byte]));
        count > 0 || buf.remaining() == 0
    }
}

/// What the server said of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing yet. If it refuses, the driver's end of the copy has an answer too many.
    #[default]
    Asked,
    /// It takes the rows. If it is done with them, every answer is expected.
    Taken,
    /// It took them, and failed. If that was before it had read the end of the request, as with a
    /// view or `FREEZE`, the end of the copy has an answer too many; if after, not.
    Failed,
}

const CHUNK: usize = 4_096;

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

#[cfg(test)]
mod tests;
