//! A TCP proxy that misbehaves on request.

mod connection;
mod faults;
mod pump;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub use faults::{Direction, Faults};

use crate::error::Error;
use connection::Link;

/// Forwards a loopback port to a server, with [`Faults`] that can be changed at
/// any time and that open connections feel at once.
///
/// It is a task on the caller's runtime, which must not have its clock paused.
/// The kernel accepts connections on its behalf, so connecting succeeds even
/// through a blackhole; only [`refuse`](Self::refuse) makes it fail. A client of
/// a server that is down is accepted and then reset. Each connection holds up to
/// 4 MiB of delayed bytes in each direction before it stops reading.
///
/// Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    counters: Arc<Counters>,
    faults: watch::Sender<Faults>,
    /// Each value tells the connections there are to reset; the end, to close.
    resets: watch::Sender<()>,
    link: Link,
    door: Mutex<Door>,
}

/// What is at the port.
#[derive(Debug)]
enum Door {
    Open(Acceptor),
    /// Bound but not listening: the kernel refuses, and nobody else takes the port.
    Closed(TcpSocket),
    /// Only if the port could not be had back.
    Lost,
}

/// The accepting task, stopped when dropped.
#[derive(Debug)]
struct Acceptor(JoinHandle<()>);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) to_server: AtomicU64,
    pub(crate) to_client: AtomicU64,
}

impl Proxy {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::Net`] if no port is to be had.
    pub async fn start(target: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listening)?;
        let addr = listener.local_addr().map_err(listening)?;
        let counters = Arc::<Counters>::default();
        let faults = watch::Sender::new(Faults::default());
        let resets = watch::Sender::new(());
        let link = Link::new(target, counters.clone(), faults.subscribe(), resets.subscribe());
        let door = Mutex::new(Door::Open(Acceptor::spawn(listener, link.clone())));
        Ok(Self { addr, counters, faults, resets, link, door })
    }

    /// Where to connect instead of to the server.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server behind it.
    #[must_use]
    pub const fn target(&self) -> SocketAddr {
        self.link.target()
    }

    /// Replaces all faults. Bytes that were being delayed are held to the new ones.
    pub fn set(&self, faults: Faults) {
        self.link.clear_lanes();
        self.faults.send_replace(faults);
    }

    /// Takes all faults away; whatever was held is delivered.
    pub fn clear(&self) {
        self.set(Faults::default());
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Faults {
        *self.faults.borrow()
    }

    /// Resets (RST) every open connection on both sides, and drops what it held.
    /// New connections are not affected.
    pub fn reset_all(&self) {
        self.resets.send_replace(());
    }

    /// Refuses new connections until [`accept`](Self::accept); the open ones go on.
    ///
    /// # Errors
    /// [`Error::Net`] if another socket takes the port in the instant in which it
    /// changes hands, and keeps it for five seconds; connections are refused then too, unless by
    /// its process.
    pub async fn refuse(&self) -> Result<(), Error> {
        let mut door = self.door.lock().await;
        match std::mem::replace(&mut *door, Door::Lost) {
            Door::Open(acceptor) => acceptor.stop().await,
            Door::Lost => {}
            closed @ Door::Closed(_) => {
                *door = closed;
                return Ok(());
            }
        }
        *door = Door::Closed(self.bind().await?);
        Ok(())
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    /// [`Error::Net`] if the port was lost, see [`refuse`](Self::refuse).
    pub async fn accept(&self) -> Result<(), Error> {
        let mut door = self.door.lock().await;
        let socket = match std::mem::replace(&mut *door, Door::Lost) {
            open @ Door::Open(_) => {
                *door = open;
                return Ok(());
            }
            Door::Closed(socket) => socket,
            Door::Lost => self.bind().await?,
        };
        let listener = socket.listen(BACKLOG).map_err(listening)?;
        *door = Door::Open(Acceptor::spawn(listener, self.link.clone()));
        Ok(())
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from(self.counters.open.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::Relaxed)
    }

    /// Bytes delivered to the server since the start.
    #[must_use]
    pub fn bytes_to_server(&self) -> u64 {
        self.counters.to_server.load(Ordering::Relaxed)
    }

    /// Bytes delivered to clients since the start.
    #[must_use]
    pub fn bytes_to_client(&self) -> u64 {
        self.counters.to_client.load(Ordering::Relaxed)
    }

    /// An outgoing connection that was given the port in between most often soon ends.
    async fn bind(&self) -> Result<TcpSocket, Error> {
        let end = Instant::now() + BIND_PATIENCE;
        loop {
            match self.try_bind() {
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    sleep(BIND_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    fn try_bind(&self) -> Result<TcpSocket, Error> {
        let socket = TcpSocket::new_v4().map_err(listening)?;
        // Connections of the former listener may linger on the port.
        socket.set_reuseaddr(true).map_err(listening)?;
        socket.bind(self.addr).map_err(listening)?;
        Ok(socket)
    }
}

impl Acceptor {
    fn spawn(listener: TcpListener, link: Link) -> Self {
        Self(tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => link.connect(client),
                    // Out of file descriptors, or a client that left already.
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                }
            }
        }))
    }

    /// Returns when the listener is closed.
    async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn listening(source: std::io::Error) -> Error {
    Error::Net { action: "listen on 127.0.0.1", source }
}

const BACKLOG: u32 = 1024;
const BIND_PATIENCE: Duration = Duration::from_secs(5);
const BIND_PAUSE: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
