//! Who is master: asked of any node that answers.

use std::sync::Arc;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::Value;
use fred::types::config::{Config, Server, ServerConfig};
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use crate::ends::EndsWithUs;
use crate::routes::{Routes, plain};
use crate::settings::Settings;
use crate::topology::{self, Master};

/// Asks a master that is connected to, or, if none answers, the nodes of the URL.
pub(crate) struct Discovery {
    routes: Arc<Routes>,
    settings: Settings,
    /// How to reach a node, but for its address.
    template: Config,
    /// Who answered last, and is asked again.
    last: Option<u32>,
}

impl Discovery {
    pub(crate) fn new(routes: Arc<Routes>, settings: &Settings, template: Config) -> Self {
        Self { routes, settings: settings.clone(), template, last: None }
    }

    /// The settings for a connection to one node, as to the others.
    pub(crate) fn reach(template: &Config, server: Server) -> Config {
        Config { server: ServerConfig::Centralized { server }, ..template.clone() }
    }

    /// The masters. `doubted`: something is odd; who answered last may know nothing of it.
    pub(crate) async fn look(&mut self, doubted: bool) -> Result<Vec<Master>, Error> {
        let hint = self.routes.take_hint();
        let last = self.last.take();
        let mut order: Vec<u32> = hint.into_iter().chain(last.filter(|_| !doubted)).collect();
        order.extend(self.routes.topology().masters().into_iter().filter(|it| Some(*it) != last));
        order.extend(last);
        for (place, node) in order.iter().enumerate() {
            if order[..place].contains(node) {
                continue;
            }
            let Ok(way) = self.routes.to(*node) else { continue };
            let Some(server) = self.routes.topology().server(*node) else { continue };
            if let Ok(masters) = ask(way.client(), &server).await {
                self.last = Some(*node);
                return Ok(masters);
            }
        }
        self.ask_configured().await
    }

    /// Asks the nodes of the URL, some at once: the first to answer counts.
    pub(crate) async fn ask_configured(&self) -> Result<Vec<Master>, Error> {
        let servers = self.template.server.hosts();
        let answers = stream::iter(servers).map(|server| self.ask_once(server));
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        let mut last = Error::new(ErrorKind::Config, "no node is configured");
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(masters) => return Ok(masters),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Over a connection for this alone.
    async fn ask_once(&self, server: Server) -> Result<Vec<Master>, Error> {
        let config = Config { fail_fast: true, ..Self::reach(&self.template, server.clone()) };
        let (mut performance, connection) = self.settings.for_fred();
        performance.default_command_timeout = self.settings.connect_timeout;
        // It has no policy: a client is one connection.
        let client = Client::new(config, Some(performance), Some(connection), None);
        let ends = EndsWithUs::new(client.clone(), &self.settings);
        let connected = timeout(self.settings.connect_timeout, client.init()).await;
        let task =
            connected.map_err(|_| Error::new(ErrorKind::Timeout, "not connected in time"))?;
        let _ends = ends.with(task?);
        ask(&client, &server).await
    }
}

/// What one node knows. One that knows of no slot is no help.
async fn ask(client: &Client, server: &Server) -> Result<Vec<Master>, Error> {
    let words = vec![Value::from_static_str("NODES")];
    let nodes: String = client.custom(plain("CLUSTER"), words).await?;
    let masters = topology::masters(&nodes, server);
    if masters.iter().all(|master| master.slots.is_empty()) {
        return Err(Error::new(ErrorKind::Cluster, "the node knows of no slots"));
    }
    Ok(masters)
}

/// Of the nodes of the URL.
const AT_ONCE: usize = 8;
