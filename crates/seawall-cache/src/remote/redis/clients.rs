//! The connections for commands: one to the server, or one to each master of a cluster.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::ClientState;
use fred::types::config::Options;
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};

use super::ends::EndsWithUs;
use crate::remote::per_node::PerNode;

/// A connection to one node, kept up for ever.
pub(super) struct NodeClient {
    ends: EndsWithUs,
    /// Without a deadline: who reads one key has one, and a second timer would cost as much as the
    /// rest.
    alone: WithOptions<Client>,
}

impl NodeClient {
    pub(super) fn new(ends: EndsWithUs) -> Self {
        let none = Options { timeout: Some(Duration::ZERO), ..Options::default() };
        Self { alone: ends.client().with_options(&none), ends }
    }

    pub(super) fn client(&self) -> &Client {
        self.ends.client()
    }

    pub(super) fn alone(&self) -> &WithOptions<Client> {
        &self.alone
    }

    /// If it is not, fred would queue a command until its deadline.
    pub(super) fn is_connected(&self) -> bool {
        self.client().state() == ClientState::Connected
    }
}

/// By node. Each has a task of its own in fred: none waits for another's.
pub(super) struct Clients {
    nodes: PerNode<RwLock<Option<Arc<NodeClient>>>>,
    closed: Mutex<bool>,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self { nodes: PerNode::new(), closed: Mutex::new(false) }
    }

    /// Commands for `node` go through `client`. After the end they go nowhere.
    pub(super) fn join(&self, node: u32, client: NodeClient) {
        let closed = self.closed.lock();
        if !*closed {
            let before = self.of(node).write().replace(Arc::new(client));
            drop(before);
        }
    }

    /// The connection to `node` ends with the last command under way on it.
    pub(super) fn leave(&self, node: u32) {
        let before = self.of(node).write().take();
        drop(before);
    }

    /// The connection to `node`, whatever it is like.
    pub(super) fn get(&self, node: u32) -> Option<Arc<NodeClient>> {
        self.of(node).read().clone()
    }

    /// All that are there.
    pub(super) fn all(&self) -> Vec<Arc<NodeClient>> {
        self.nodes.iter().filter_map(|node| node.read().clone()).collect()
    }

    /// Ends them all, for good.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let all: Vec<_> = {
            let mut closed = self.closed.lock();
            *closed = true;
            self.nodes.iter().filter_map(|node| node.write().take()).collect()
        };
        let quits = all.iter().map(|node| {
            node.ends.closing();
            node.client().quit()
        });
        join_all(quits).await.into_iter().collect()
    }

    fn of(&self, node: u32) -> &RwLock<Option<Arc<NodeClient>>> {
        self.nodes.get(node, |_| RwLock::default())
    }
}
