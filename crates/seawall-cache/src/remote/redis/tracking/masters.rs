//! A link to each master, as masters come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, ClusterInterface, EventInterface};
use fred::types::ClientState;
use fred::types::cluster::ClusterRouting;
use fred::types::config::{Config, Server, ServerConfig};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Shared;
use super::board::Missed;
use super::link::Link;
use crate::remote::redis::topology::{self, Change};

/// Keeps the topology up to date and a link to each master running.
pub(super) struct Masters {
    main: Client,
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
    pub(super) fn new(main: Client, shared: Arc<Shared>) -> Self {
        if !shared.topology.is_cluster() {
            shared.board.joins(0);
        }
        Self { main, shared, links: HashMap::new() }
    }

    /// For ever. On a cluster it looks who is master every second, and at every sign of a change.
    pub(super) async fn follow(mut self) {
        if !self.shared.topology.is_cluster() {
            self.start(0, self.main.client_config(), Vec::new());
            return std::future::pending().await;
        }
        let mut changes = self.main.cluster_change_rx();
        loop {
            self.look().await;
            tokio::select! {
                // A missed one is a change as well.
                _ = changes.recv() => {}
                () = self.shared.doubt.notified() => sleep(NOT_SOONER).await,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) {
        if self.main.state() != ClientState::Connected {
            return;
        }
        // Any node of the cluster answers.
        let Ok(nodes) = self.main.cluster_nodes::<String>().await else { return };
        let configured = self.main.client_config().server.hosts();
        let Some(asked) = configured.first() else { return };
        let change = self.shared.topology.update(&topology::masters(&nodes, asked));
        self.apply(change);
    }

    fn apply(&mut self, change: Change) {
        let board = Arc::clone(&self.shared.board);
        for node in &change.left {
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
            let mut config = self.main.client_config();
            let Some(server) = self.shared.topology.server(node) else { continue };
            config.server = ServerConfig::Centralized { server: self.as_routed(server) };
            self.start(node, config, change.gave_slots.clone());
        }
    }

    /// The address as the main client has it, with the name that TLS is to check.
    fn as_routed(&self, server: Server) -> Server {
        let routing = self.main.cached_cluster_state();
        let known = routing.iter().flat_map(ClusterRouting::unique_primary_nodes);
        let mut same = known.filter(|it| it.host == server.host && it.port == server.port);
        same.next().unwrap_or(server)
    }

    fn start(&mut self, node: u32, config: Config, also: Vec<u32>) {
        let link = Link::new(node, config, also, Arc::clone(&self.shared));
        self.links.insert(node, Running(tokio::spawn(link.keep())));
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A cluster in trouble causes doubt all the time.
const NOT_SOONER: Duration = Duration::from_millis(20);
