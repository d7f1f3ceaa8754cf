//! A connection for commands and a link to each master, as masters come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::types::config::Config;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::board::Missed;
use super::link::Link;
use crate::remote::redis::discovery::Discovery;
use crate::remote::redis::topology::{Change, Master};
use crate::remote::redis::{SETTLED_WITHIN, SETTLING, node_client};

/// Keeps the topology up to date, and connections to each master.
pub(super) struct Masters {
    shared: Arc<Shared>,
    links: HashMap<u32, Running>,
}

/// Ends with its owner.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Masters {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, links: HashMap::new() }
    }

    /// Listens to the only node, for ever.
    pub(super) async fn alone(mut self, config: Config) {
        self.start(0, config, Vec::new());
        std::future::pending::<()>().await;
    }

    /// For ever. Looks who is master every second, more often while one is out of reach, and at
    /// every sign of a change. `found` is what is known already.
    pub(super) async fn follow(mut self, mut discovery: Discovery, found: Vec<Master>) {
        self.apply(&found, &discovery).await;
        // At once, if nothing is known.
        let mut next = if found.is_empty() { Duration::ZERO } else { LOOK_EVERY };
        let mut pause = FIRST_PAUSE;
        loop {
            let routes = Arc::clone(&self.shared.routes);
            let doubted = tokio::select! {
                () = routes.doubt.notified() => {
                    sleep(NOT_SOONER).await;
                    true
                }
                () = sleep(next) => false,
            };
            match discovery.look(doubted).await {
                Ok(found) => {
                    self.apply(&found, &discovery).await;
                    let (_, all) = routes.connected();
                    next = if all { LOOK_EVERY } else { LOOK_OFTEN };
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    tracing::debug!(%error, "no node says who is master");
                    // All nodes of a service ask at the same moment.
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(self.shared.config.reconnect_max_delay);
                    next = Duration::ZERO;
                }
            }
        }
    }

    async fn apply(&mut self, found: &[Master], discovery: &Discovery) {
        let shared = Arc::clone(&self.shared);
        let (board, routes) = (&shared.board, &shared.routes);
        self.connect(found, discovery).await;
        let change: Change = routes.topology.update(found);
        for node in &change.left {
            routes.clients.leave(*node);
            self.links.remove(node);
            board.leaves(*node);
        }
        // Who gave slots to a master that is not listened to yet is told of when it is.
        let mut gave = change.gave_slots.clone();
        gave.extend(&change.left);
        for node in gave {
            board.lost(node, Missed::Moved);
        }
        for node in change.joined {
            board.joins(node);
            let Some(server) = routes.topology.server(node) else { continue };
            self.start(node, discovery.to(server), change.gave_slots.clone());
        }
    }

    /// Connects to new masters and waits a little for that: once they are known for masters, calls
    /// that fail open their breakers.
    async fn connect(&self, found: &[Master], discovery: &Discovery) {
        let routes = &self.shared.routes;
        let mut new = Vec::new();
        for (master, node) in found.iter().zip(routes.topology.indexes(found)) {
            if routes.clients.get(node).is_none() {
                let to = discovery.to(master.server.clone());
                routes.clients.join(node, node_client(&self.shared.config, to));
                new.push(node);
            }
        }
        let end = Instant::now() + SETTLED_WITHIN;
        while new.iter().any(|node| routes.to(*node).is_err()) && Instant::now() < end {
            sleep(SETTLING).await;
        }
    }

    fn start(&mut self, node: u32, config: Config, also: Vec<u32>) {
        let link = Link::new(node, config, also, Arc::clone(&self.shared));
        self.links.insert(node, Running(tokio::spawn(link.keep())));
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// While a replica may take over from one.
const LOOK_OFTEN: Duration = Duration::from_millis(250);

/// Before it is tried again when no node answered; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A cluster in trouble causes doubt all the time.
const NOT_SOONER: Duration = Duration::from_millis(20);
