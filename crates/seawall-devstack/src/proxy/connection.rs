//! One client, one server, and what passes between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Counters;
use super::faults::{Faults, Way};
use super::pump::{Lane, Pump, Reset};

/// What every connection of a proxy shares.
#[derive(Debug, Clone)]
pub(super) struct Link {
    target: SocketAddr,
    counters: Arc<Counters>,
    faults: watch::Receiver<Faults>,
    resets: watch::Receiver<()>,
    lanes: [Arc<Lane>; 2],
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Counters>);

impl Link {
    pub(super) fn new(
        target: SocketAddr,
        counters: Arc<Counters>,
        faults: watch::Receiver<Faults>,
        resets: watch::Receiver<()>,
    ) -> Self {
        Self { target, counters, faults, resets, lanes: Default::default() }
    }

    pub(super) const fn target(&self) -> SocketAddr {
        self.target
    }

    pub(super) fn clear_lanes(&self) {
        for lane in &self.lanes {
            lane.clear();
        }
    }

    /// Serves a client until either side, a reset or the end of the proxy ends it.
    pub(super) fn connect(&self, client: TcpStream) {
        let number = self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let open = Open::new(self.counters.clone());
        let mut link = self.clone();
        // Only resets from now on are for this connection.
        link.resets.mark_unchanged();
        tokio::spawn(async move {
            link.serve(client, number).await;
            drop(open);
        });
    }

    async fn serve(&mut self, mut client: TcpStream, number: u64) {
        let mut resets = self.resets.clone();
        let mut server = tokio::select! {
            server = TcpStream::connect(self.target) => match server {
                Ok(server) => server,
                Err(_) => return reset(&client),
            },
            _ = resets.changed() => return reset(&client),
        };
        // Delays are this proxy's business, not Nagle's.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));

        let ended = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let forth = self.pump(Way::ToServer, number).run(from_client, to_server);
            let back = self.pump(Way::ToClient, number).run(from_server, to_client);
            tokio::select! {
                ended = async { tokio::try_join!(forth, back) } => ended.map(drop),
                changed = resets.changed() => match changed {
                    Ok(()) => Err(Reset),
                    // The proxy is gone.
                    Err(_) => Ok(()),
                },
            }
        };
        if ended.is_err() {
            reset(&client);
            reset(&server);
        }
    }

    fn pump(&self, way: Way, number: u64) -> Pump {
        let lane = self.lanes[way as usize].clone();
        Pump::new(way, number, self.faults.clone(), lane, self.counters.clone())
    }
}

impl Counters {
    pub(super) const fn delivered(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }
}

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes the close to come an abortive one: the peer gets RST, not FIN.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
