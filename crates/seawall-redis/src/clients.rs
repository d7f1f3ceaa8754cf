//! The connections for commands: one to the server, or one to each master of a cluster.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fred::clients::{Client, WithOptions};
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::ClientState;
use fred::types::config::{Config, Options};
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use crate::ends::EndsWithUs;
use crate::per_node::PerNode;
use crate::reads::{Plan, Reads};
use crate::settings::Settings;

/// A connection to one node, kept up for ever.
pub(crate) struct NodeClient {
    ends: EndsWithUs,
    /// Without a deadline: who reads one key has one, and a second timer would cost as much as the
    /// rest.
    alone: WithOptions<Client>,
    reads: OnceLock<Option<Reads>>,
    /// How those are connected, until they are.
    plan: Mutex<Option<Plan>>,
    runtime: Handle,
}

impl NodeClient {
    /// One that is being connected, and kept so.
    pub(crate) fn start(settings: &Settings, server: Config) -> Self {
        let (client, plan) = prepare(settings, server);
        let task = client.connect();
        Self::new(EndsWithUs::new(client, settings).with(task), plan)
    }

    /// The same, once it is connected.
    pub(crate) async fn connected(settings: &Settings, server: Config) -> Result<Self, Error> {
        let (client, plan) = prepare(settings, Config { fail_fast: true, ..server });
        let ends = EndsWithUs::new(client.clone(), settings);
        let task = client.init().await?;
        Ok(Self::new(ends.with(task), plan))
    }

    fn new(ends: EndsWithUs, plan: Option<Plan>) -> Self {
        let none = Options { timeout: Some(Duration::ZERO), ..Options::default() };
        let alone = ends.client().with_options(&none);
        let (reads, plan) = (OnceLock::new(), Mutex::new(plan));
        Self { alone, ends, reads, plan, runtime: Handle::current() }
    }

    /// The connection for reads, if it is up. The first who asks has it started.
    pub(crate) fn reads(&self) -> Option<&Reads> {
        let start = || self.plan.lock().take().map(|plan| Reads::start(plan, &self.runtime));
        self.reads.get_or_init(start).as_ref().filter(|reads| reads.is_up())
    }

    pub(crate) fn client(&self) -> &Client {
        self.ends.client()
    }

    pub(crate) fn alone(&self) -> &WithOptions<Client> {
        &self.alone
    }

    /// If it is not, fred would queue a command until its deadline.
    pub(crate) fn is_connected(&self) -> bool {
        self.client().state() == ClientState::Connected
    }
}

/// By node. Each has a task of its own in fred: none waits for another's.
pub(crate) struct Clients {
    nodes: PerNode<RwLock<Option<Arc<NodeClient>>>>,
    closed: Mutex<bool>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self { nodes: PerNode::new(), closed: Mutex::new(false) }
    }

    /// Commands for `node` go through `client`. After the end they go nowhere.
    pub(crate) fn join(&self, node: u32, client: NodeClient) {
        let closed = self.closed.lock();
        if !*closed {
            let before = self.of(node).write().replace(Arc::new(client));
            drop(before);
        }
    }

    /// The connection to `node` ends with the last command under way on it.
    pub(crate) fn leave(&self, node: u32) {
        let before = self.of(node).write().take();
        drop(before);
    }

    /// The connection to `node`, whatever it is like.
    pub(crate) fn get(&self, node: u32) -> Option<Arc<NodeClient>> {
        self.of(node).read().clone()
    }

    /// Whether there is a connection to `node` that is up.
    pub(crate) fn is_connected(&self, node: u32) -> bool {
        self.of(node).read().as_ref().is_some_and(|client| client.is_connected())
    }

    /// All that are there.
    pub(crate) fn all(&self) -> Vec<Arc<NodeClient>> {
        self.nodes.iter().filter_map(|node| node.read().clone()).collect()
    }

    /// Ends them all, for good.
    pub(crate) async fn close(&self) -> Result<(), Error> {
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

/// A client, and how to read beside it.
fn prepare(settings: &Settings, server: Config) -> (Client, Option<Plan>) {
    let client = client(settings, server.clone());
    let clustered = settings.server().is_ok_and(|it| it.server.is_clustered());
    // What is encrypted goes through fred.
    let plain = !server.uses_tls();
    let plan = plain.then(|| Plan::new(client.clone(), server, clustered, settings));
    (client, plan)
}

/// A client with none of fred's defaults that wait for ever. On a cluster it is one master's.
pub(crate) fn client(settings: &Settings, server: Config) -> Client {
    let (performance, connection) = settings.for_fred();
    Client::new(server, Some(performance), Some(connection), Some(settings.policy()))
}
