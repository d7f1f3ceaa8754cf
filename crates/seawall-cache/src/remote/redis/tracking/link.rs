//! One connection after another to one master.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{
    ClientInterface, ClientLike, EventInterface, PubsubInterface, TrackingInterface,
};
use fred::types::client::Toggle;
use fred::types::config::Config;
use fred::types::{RespVersion, Value};
use seawall_redis::EndsWithUs;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::listen::Listener;

/// Keeps one master listened to.
pub(super) struct Link {
    node: u32,
    config: Config,
    /// Nodes whose messages may have been missed until this one is first listened to.
    also: Vec<u32>,
    shared: Arc<Shared>,
}

/// Why there is no connection.
enum Failure {
    /// Try again soon.
    Down,
    /// The server will not have it: try again much later.
    Refused(Error),
}

impl Link {
    pub(super) fn new(node: u32, config: Config, also: Vec<u32>, shared: Arc<Shared>) -> Self {
        Self { node, config, also, shared }
    }

    /// For ever.
    pub(super) async fn keep(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let tracking = self.shared.config.tracking;
            let connected = if tracking { self.track().await } else { self.hear(None).await };
            let started = Instant::now();
            match connected {
                Ok(mut listener) => {
                    listener.listen().await;
                    self.shared.board.down(self.node);
                    self.shared.routes.doubt();
                }
                Err(Failure::Refused(error)) => {
                    if self.shared.board.refused(self.node) {
                        let node = self.node;
                        tracing::warn!(node, %error, "Redis does not allow tracking");
                    }
                    self.hear_meanwhile().await;
                    self.shared.board.down(self.node);
                }
                Err(Failure::Down) => self.shared.routes.doubt(),
            }
            let most = self.shared.config.reconnect_max_delay;
            pause = if started.elapsed() >= most { FIRST_PAUSE } else { (pause * 2).min(most) };
            // All nodes of a service lost it at the same moment.
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    /// A connection that tells of writes, and has told that it may have missed some.
    async fn track(&mut self) -> Result<Listener, Failure> {
        let mut listener = self.arm().await?;
        let hears = self.subscribe(listener.client()).await.is_ok();
        if !hears {
            // fred may by now take the refusal for the answer to another command.
            listener = self.arm().await?;
        }
        listener.make_canary().await.map_err(judge)?;
        self.shared.board.armed(self.node, hears, &self.also);
        self.also.clear();
        Ok(listener)
    }

    async fn arm(&self) -> Result<Listener, Failure> {
        let listener = self.connect(RespVersion::RESP3).await?;
        let (prefix, client) = (self.shared.config.key_prefix.clone(), listener.client());
        client
            .client_tracking::<Value, _, _>(Toggle::On, None, prefix, true, false, false, false)
            .await
            .map_err(judge)?;
        Ok(listener)
    }

    /// A connection that tells of the ends of leases only.
    async fn hear(&self, most: Option<Duration>) -> Result<Listener, Failure> {
        let listener = self.connect(RespVersion::RESP2).await?;
        self.subscribe(listener.client()).await.map_err(|_| Failure::Down)?;
        self.shared.board.hears(self.node);
        Ok(listener.only_ends_of_leases(most))
    }

    /// Until it is time to ask for more.
    async fn hear_meanwhile(&self) {
        let (since, again) = (Instant::now(), self.shared.config.heartbeat * ASK_AGAIN);
        if let Ok(mut listener) = self.hear(Some(again)).await {
            listener.listen().await;
        }
        // Without a connection as well: it would be refused again.
        sleep(again.saturating_sub(since.elapsed())).await;
    }

    async fn connect(&self, version: RespVersion) -> Result<Listener, Failure> {
        let config = &self.shared.config;
        let mut server = self.config.clone();
        server.version = version;
        server.fail_fast = true;
        // It has no policy: a client is one connection.
        let (mut performance, connection) = self.shared.settings.for_fred();
        performance.default_command_timeout = config.command_timeout * 2;
        performance.broadcast_channel_capacity = CHANNEL;
        let client = Client::new(server, Some(performance), Some(connection), None);
        let (writes, messages) = (client.invalidation_rx(), client.message_rx());
        let ends = EndsWithUs::new(client.clone(), &self.shared.settings);
        match timeout(config.connect_timeout, client.init()).await {
            Ok(Ok(task)) => {
                let shared = Arc::clone(&self.shared);
                Ok(Listener::new(self.node, shared, ends, task, writes, messages))
            }
            Ok(Err(error)) => Err(judge(error)),
            Err(_) => Err(Failure::Down),
        }
    }

    /// fred does not tell whether it worked: what comes next does.
    async fn subscribe(&self, client: &Client) -> Result<(), Error> {
        let channel = [&self.shared.config.key_prefix, "landed"].concat();
        client.subscribe(channel).await?;
        client.ping::<Value>(None).await.map(drop)
    }
}

/// Whether an error says that the server does not know or allow what was asked.
fn judge(error: Error) -> Failure {
    let says = |word: &str| error.details().starts_with(word);
    let passing = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "READONLY"];
    let refused = match error.kind() {
        ErrorKind::Auth | ErrorKind::InvalidCommand | ErrorKind::InvalidArgument => true,
        ErrorKind::Unknown => ["ERR", "NOPERM", "NOPROTO"].iter().any(|word| says(word)),
        _ => false,
    };
    if refused && !passing.iter().any(|word| says(word)) {
        Failure::Refused(error)
    } else {
        Failure::Down
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A server that refused may have been changed: a minute, by default, in heartbeats.
const ASK_AGAIN: u32 = 240;

/// Messages that fit between fred and us; each may hold many keys. fred has nine channels of this
/// size, about 0.7 MB a master.
const CHANNEL: usize = 1_024;
