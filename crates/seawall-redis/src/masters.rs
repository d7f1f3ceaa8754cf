//! A connection for commands to each master, as masters come and go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::types::config::Config;
use tokio::time::{Instant, sleep, timeout};

use crate::clients::NodeClient;
use crate::discovery::Discovery;
use crate::error::Error;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::topology::{Change, Master};

/// Who is master, and a connection to each: [`follow`](Self::follow) keeps both up to date.
///
/// Dropping it leaves the connections to the [`Routes`], and ends what keeps up with a cluster.
#[must_use = "follow() keeps up with the masters"]
pub struct Masters {
    routes: Arc<Routes>,
    settings: Settings,
    /// How to reach Redis.
    server: Config,
    /// What is known of a cluster already.
    found: Vec<Master>,
}

/// How to reach a master, for who needs a connection of its own to it.
#[derive(Clone)]
pub struct Reach {
    routes: Arc<Routes>,
    /// But for the address of a master.
    server: Config,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reach").field(&self.routes).finish()
    }
}

impl Reach {
    /// The settings for a connection to `node`; `None` if it is not one any more.
    #[must_use]
    pub fn to(&self, node: u32) -> Option<Config> {
        if !self.routes.topology().is_cluster() {
            return Some(self.server.clone());
        }
        Some(Discovery::reach(&self.server, self.routes.topology().server(node)?))
    }
}

impl Masters {
    /// Connects, and waits until the server has answered, or on a cluster some node has said who is
    /// master. Those are connected to when they are [followed](Self::follow).
    ///
    /// Cancel safety: dropping the future ends what was begun.
    ///
    /// # Errors
    /// If a setting or the URL is not valid, or there is no answer within
    /// [`connect_timeout`](Settings::connect_timeout).
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let server = settings.server()?;
        let after = settings.connect_timeout;
        let connecting = async {
            let clustered = server.server.is_clustered();
            let routes = Arc::new(Routes::new(clustered));
            let found = if clustered {
                Discovery::new(Arc::clone(&routes), settings, server.clone())
                    .ask_configured()
                    .await?
            } else {
                let client = NodeClient::connected(settings, server.clone()).await?;
                routes.clients().join(0, client);
                Vec::new()
            };
            Ok(Self { routes, settings: settings.clone(), server: server.clone(), found })
        };
        match timeout(after, connecting).await {
            Ok(connected) => {
                connected.map_err(|error: fred::error::Error| Error::Connect(Box::new(error)))
            }
            Err(_) => Err(Error::Timeout { after }),
        }
    }

    /// Starts connecting to a server and returns at once; a cluster is looked for when it is
    /// [followed](Self::follow).
    ///
    /// # Errors
    /// If a setting or the URL is not valid.
    ///
    /// # Panics
    /// Never, but it must be called within a Tokio runtime.
    pub fn connect_lazy(settings: &Settings) -> Result<Self, Error> {
        let server = settings.server()?;
        let routes = Routes::new(server.server.is_clustered());
        if !routes.topology().is_cluster() {
            routes.clients().join(0, NodeClient::start(settings, server.clone()));
        }
        let (routes, settings) = (Arc::new(routes), settings.clone());
        Ok(Self { routes, settings, server, found: Vec::new() })
    }

    /// The ways to them.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    /// How to reach one by a connection of one's own.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach { routes: Arc::clone(&self.routes), server: self.server.clone() }
    }

    /// For ever. Without a cluster it tells once that node 0 joined. Looks who is master every
    /// second, four times a second while one is out of reach, and at every sign of a change;
    /// connects to new ones, lets those go that are none any more, and then tells `changed` of it.
    ///
    /// Cancel safety: dropping the future ends it; the connections stay as they are.
    pub async fn follow(self, mut changed: impl FnMut(&Change, &Reach) + Send) {
        if !self.routes.topology().is_cluster() {
            changed(&Change { joined: vec![0], ..Change::default() }, &self.reach());
            return std::future::pending().await;
        }
        let reach = self.reach();
        let Self { routes, settings, server, found } = self;
        let discovery = Discovery::new(Arc::clone(&routes), &settings, server);
        Follower { routes, settings, discovery, reach }.follow(&found, &mut changed).await;
    }
}

impl fmt::Debug for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masters").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// Of a cluster.
struct Follower {
    routes: Arc<Routes>,
    settings: Settings,
    discovery: Discovery,
    reach: Reach,
}

impl Follower {
    async fn follow(
        mut self,
        found: &[Master],
        changed: &mut (impl FnMut(&Change, &Reach) + Send),
    ) {
        self.apply(found, changed).await;
        // At once, if nothing is known.
        let mut next = if found.is_empty() { Duration::ZERO } else { LOOK_EVERY };
        let mut pause = FIRST_PAUSE;
        let mut not_sooner = NOT_SOONER;
        loop {
            let doubted = tokio::select! {
                () = self.routes.doubted() => {
                    sleep(not_sooner).await;
                    true
                }
                () = sleep(next) => false,
            };
            match self.discovery.look(doubted).await {
                Ok(found) => {
                    let change = self.apply(&found, changed).await;
                    // Doubt that a look does not end, such as about a slot that is stuck on its way,
                    // is with every command: the nodes have better to do than to say the same.
                    let again = doubted && change == Change::default();
                    not_sooner = if again { (not_sooner * 2).min(LOOK_OFTEN) } else { NOT_SOONER };
                    let (_, all) = self.routes.connected();
                    next = if all { LOOK_EVERY } else { LOOK_OFTEN };
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    tracing::debug!(%error, "no node says who is master");
                    // All nodes of a service ask at the same moment.
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(self.settings.reconnect_max_delay);
                    next = Duration::ZERO;
                }
            }
        }
    }

    async fn apply(
        &mut self,
        found: &[Master],
        changed: &mut (impl FnMut(&Change, &Reach) + Send),
    ) -> Change {
        self.connect(found).await;
        let change = self.routes.topology().update(found);
        for node in &change.left {
            self.routes.clients().leave(*node);
        }
        if change != Change::default() {
            changed(&change, &self.reach);
        }
        change
    }

    /// Connects to new masters and waits a little for that: once they are known for masters, calls
    /// that fail open their breakers.
    async fn connect(&self, found: &[Master]) {
        let routes = &self.routes;
        let mut new = Vec::new();
        for (master, node) in found.iter().zip(routes.topology().indexes(found)) {
            if routes.clients().get(node).is_none() {
                let to = Discovery::reach(&self.reach.server, master.server.clone());
                routes.clients().join(node, NodeClient::start(&self.settings, to));
                new.push(node);
            }
        }
        let end = Instant::now() + SETTLED_WITHIN;
        while new.iter().any(|node| routes.to(*node).is_err()) && Instant::now() < end {
            sleep(SETTLING).await;
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// While a replica may take over from one.
const LOOK_OFTEN: Duration = Duration::from_millis(250);

/// Before it is tried again when no node answered; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A cluster in trouble causes doubt all the time. Doubled, up to [`LOOK_OFTEN`], while looks change nothing.
const NOT_SOONER: Duration = Duration::from_millis(20);

/// How long new masters are waited for.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);

const SETTLING: Duration = Duration::from_millis(2);
