//! A small HTTP/1.1 server for `/metrics` and nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::{IpNet, Ipv4Net};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tower_service::Service;

use super::service::MetricsService;
use crate::error::Error;
use crate::handle::Handle;

/// Settings of a [`Listener`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct ListenerConfig {
    /// Networks whose addresses may scrape; all others get 403, or, where as many
    /// as `max_connections` of them are connected, are cut off without a word:
    /// they take no place of those who may. An IPv4 address that comes in over
    /// IPv6 counts as itself; networks inside `::ffff:0:0/96` are IPv4 networks.
    /// Default: the loopback networks.
    pub allow: Vec<IpNet>,
    /// Most connections at a time, 1 to 4096; more wait to be accepted.
    /// Default: 32.
    pub max_connections: usize,
    /// Longest time a client may take to send the head of a request; a
    /// connection that sends none is closed after it. 1 ms to 5 min.
    /// Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub header_timeout: Duration,
    /// Longest time from a request to the end of its answer: a client that does
    /// not read is cut off after this and `header_timeout`. 1 ms to 5 min.
    /// Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub answer_timeout: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            allow: vec![
                IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
            ],
            max_connections: 32,
            header_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

impl ListenerConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if !(1..=4096).contains(&self.max_connections) {
            let value = self.max_connections as f64;
            return Err(Error::config("max_connections", value, "1 to 4096"));
        }
        for (field, timeout) in
            [("header_timeout", self.header_timeout), ("answer_timeout", self.answer_timeout)]
        {
            let seconds = timeout.as_secs_f64();
            if !(0.001..=300.0).contains(&seconds) {
                return Err(Error::config(field, seconds, "1 ms to 5 min"));
            }
        }
        Ok(())
    }

    fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        // As an IPv6 address, for networks that are spelt so; not for `::/0`.
        let mapped = match peer {
            IpAddr::V4(peer) => Some(IpAddr::from(peer.to_ipv6_mapped())),
            IpAddr::V6(_) => None,
        };
        let inside = |net: &IpNet, peer: IpAddr| net.prefix_len() >= 96 && net.contains(&peer);
        self.allow
            .iter()
            .any(|net| net.contains(&peer) || mapped.is_some_and(|mapped| inside(net, mapped)))
    }
}

/// Serves `/metrics` on an address of its own until it is dropped, which cuts off
/// the answers on their way, or [shut down](Self::shutdown), which does not.
#[derive(Debug)]
#[must_use = "the listener ends when it is dropped"]
pub struct Listener {
    addr: SocketAddr,
    task: JoinHandle<()>,
    /// True once it shall end.
    stop: watch::Sender<bool>,
}

impl Handle {
    /// Serves these metrics on `addr` (port 0: a free one) at `/metrics`; every
    /// other path is 404. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of bounds, [`Error::Bind`] if the
    /// address cannot be had.
    pub async fn listen(
        &self,
        addr: SocketAddr,
        config: ListenerConfig,
    ) -> Result<Listener, Error> {
        self.service().listen(addr, config).await
    }
}

impl MetricsService {
    /// [`Handle::listen`] for this service: with its aliases.
    ///
    /// # Errors
    /// As [`Handle::listen`].
    pub async fn listen(self, addr: SocketAddr, config: ListenerConfig) -> Result<Listener, Error> {
        config.validate()?;
        let bind = |source| Error::Bind { addr, source };
        let socket = TcpListener::bind(addr).await.map_err(bind)?;
        let addr = socket.local_addr().map_err(bind)?;
        let (stop, stopped) = watch::channel(false);
        let server = Arc::new(Server { config, service: self, stopped });
        let task = tokio::spawn(server.run(socket));
        Ok(Listener { addr, task, stop })
    }
}

impl Listener {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, ends those without a request at once and the
    /// others with the answer that they wait for: at most `header_timeout` and
    /// `answer_timeout` after their request, for whose head, where it has begun to
    /// come, there is another `header_timeout`. The address is free when it returns. Dropping
    /// the future ends all of them at once.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // A task that panicked or whose runtime is gone has ended as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    config: ListenerConfig,
    service: MetricsService,
    stopped: watch::Receiver<bool>,
}

impl Server {
    /// Connections are tasks of the set: they end with it.
    async fn run(self: Arc<Self>, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let mut stopped = self.stopped.clone();
        tokio::select! {
            () = self.accept(&socket, &mut connections) => {}
            // Or the handle is gone, and with it this task.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        // Nobody waits to be accepted by one that is going.
        drop(socket);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(self: &Arc<Self>, socket: &TcpListener, connections: &mut JoinSet<()>) {
        let places = Arc::new(Semaphore::new(self.config.max_connections));
        let refusals = Arc::new(Semaphore::new(self.config.max_connections));
        let mut failing = false;
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (stream, place) = loop {
                while connections.try_join_next().is_some() {}
                let accepted = socket.accept().await;
                let failed = accepted.is_err();
                match accepted {
                    Ok((stream, peer)) if self.config.allows(peer.ip()) => {
                        failing = false;
                        break (stream, place);
                    }
                    // Kept off the places of those who may.
                    Ok((stream, _)) => {
                        if let Ok(refusal) = refusals.clone().try_acquire_owned() {
                            let server = self.clone();
                            connections.spawn(async move {
                                server.connection(stream, false).await;
                                drop(refusal);
                            });
                        }
                    }
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "cannot accept scrapes");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
                failing = failed;
            };
            let server = self.clone();
            connections.spawn(async move {
                server.connection(stream, true).await;
                drop(place);
            });
        }
    }

    async fn connection(&self, stream: TcpStream, allowed: bool) {
        let asked = Mutex::new(Instant::now());
        let answer = service_fn(|request: Request<Incoming>| {
            *asked.lock() = Instant::now();
            let mut service = self.service.clone();
            async move {
                match request.uri().path() {
                    _ if !allowed => Ok(status(StatusCode::FORBIDDEN)),
                    "/metrics" => service.call(request).await,
                    _ => Ok(status(StatusCode::NOT_FOUND)),
                }
            }
        });
        let mut served = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.config.header_timeout)
                .keep_alive(allowed)
                .serve_connection(TokioIo::new(stream), answer)
        );
        // Had the answer been taken in time, the wait for a next request would
        // have ended the connection by then.
        let longest = self.config.answer_timeout + self.config.header_timeout;
        let mut stuck = pin!(async {
            loop {
                let end = *asked.lock() + longest;
                if end <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(end).await;
            }
        });
        let mut stopped = self.stopped.clone();
        let mut going = false;
        loop {
            tokio::select! {
                // What has come in is read before it is told to go.
                biased;
                // A scraper that goes away in the middle is its own affair.
                _ = served.as_mut() => return,
                () = stuck.as_mut() => {
                    tracing::debug!("a scrape was not read to its end in time");
                    return;
                }
                _ = stopped.wait_for(|stop| *stop), if !going => {
                    going = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// When the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
