//! How commands are run: the ways to all nodes, the scripts, and what is known of clocks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{FromValue, Key, Value};
use futures_util::future::{join, join_all};
use seawall_redis::{
    Carry as _, Fold, Masters, Routes, Topology, Unasked, Way, is_redirection, plain,
};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::RedisConfig;
use super::clock::{Bounds, Clocks};
use super::get::{Getter, Reply, foreign};
use super::scripts::{ScriptText, Scripts};
use super::tracking::Listening;
use crate::config::MAX_TTL;
use crate::marks::Mark;
use crate::remote::{Fetched, RemoteError};

/// The ways to all nodes, and the scripts.
pub(super) struct Connection {
    pub(super) routes: Arc<Routes>,
    pub(super) key_prefix: Box<str>,
    /// The channel where the ends of leases are told.
    landed: String,
    pub(super) command_timeout: Duration,
    pub(super) clocks: Arc<Clocks>,
    getter: Getter,
    pub(super) reads: Fold<Getter>,
    listening: Arc<Listening>,
    pub(super) scripts: Scripts,
}

impl Connection {
    pub(super) fn new(masters: Masters, config: &RedisConfig, runtime: &Handle) -> Self {
        let routes = masters.routes();
        let clocks = Arc::new(Clocks::new());
        let getter = Getter::new(Arc::clone(&routes));
        Self {
            reads: Fold::new(getter.clone(), config.max_queued_commands, runtime.clone()),
            getter,
            listening: Arc::new(Listening::start(masters, Arc::clone(&clocks), config, runtime)),
            clocks,
            routes,
            key_prefix: config.key_prefix.as_str().into(),
            landed: [&config.key_prefix, "landed"].concat(),
            command_timeout: config.command_timeout,
            scripts: Scripts::new(),
        }
    }

    pub(super) fn listening(&self) -> Arc<Listening> {
        Arc::clone(&self.listening)
    }

    pub(super) fn topology(&self) -> &Topology {
        self.routes.topology()
    }

    pub(super) fn key(&self, text: &str) -> String {
        [&*self.key_prefix, text].concat()
    }

    /// Runs a script about the entry of `text`. Also returns which node did.
    pub(super) async fn entry<R: FromValue>(
        &self,
        script: &ScriptText,
        text: &str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<(R, u32), RemoteError> {
        let arguments: Vec<Value> = arguments.into_iter().collect();
        self.entry_for(script, text, |_| arguments.clone()).await
    }

    /// The same, with arguments for the node that is asked.
    pub(super) async fn entry_for<R: FromValue>(
        &self,
        script: &ScriptText,
        text: &str,
        arguments: impl Fn(u32) -> Vec<Value>,
    ) -> Result<(R, u32), RemoteError> {
        let key = self.key(text);
        // In the same slot, since all of the entry's key is in braces.
        let lease = ["lease{", &key, "}"].concat();
        let all = |node| [vec![Value::from(self.landed.as_str())], arguments(node)].concat();
        self.run(script, vec![key, lease], all).await
    }

    /// Runs a script about the mark of `text`, which answers with it. Says when and where that was.
    pub(super) async fn mark(
        &self,
        script: &ScriptText,
        text: &str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<(Mark, Tick, u32), RemoteError> {
        let mut all = vec![integer(micros(Mark::GRACE)), millis(MAX_TTL)];
        all.extend(arguments);
        let sent = Instant::now();
        let ((bytes, now), by): ((Bytes, u64), u32) =
            self.run(script, vec![self.key(text)], |_| all.clone()).await?;
        let tick = self.learn(by, now, sent);
        let mark = Mark::from_bytes(&bytes)
            .ok_or_else(|| RemoteError::Refused("the script answered with no mark".into()))?;
        Ok((mark, tick, by))
    }

    async fn run<R: FromValue>(
        &self,
        script: &ScriptText,
        mut keys: Vec<String>,
        arguments: impl Fn(u32) -> Vec<Value>,
    ) -> Result<(R, u32), RemoteError> {
        let node = keys.first().map_or(0, |key| self.topology().node(key.as_bytes()));
        let run = |keys: &[String], way: Way| {
            let (keys, arguments) = (keys.to_vec(), arguments(way.node()));
            async move { script.run(&way, keys, arguments).await }
        };
        let mut answer = self.routes.ask(node, |way| run(&keys, way)).await;
        // While a slot moves, keys of which only some have moved cannot be named together. The
        // entry is what counts: without its lease nothing is fenced, and versions still are.
        if keys.len() > 1 && answer.as_ref().is_err_and(|error| says(error, &["TRYAGAIN"])) {
            keys.truncate(1);
            answer = self.routes.ask(node, |way| run(&keys, way)).await;
        }
        answer.map_err(|error| self.classify(error))
    }

    pub(super) fn classify(&self, error: Error) -> RemoteError {
        classify(error, self.command_timeout)
    }

    /// `node`'s clock read `now` in an answer to what was sent at `sent`.
    pub(super) fn learn(&self, node: u32, now: u64, sent: Instant) -> Tick {
        let received = Instant::now();
        self.clocks.learn(node, now, sent, received);
        Tick { now, received }
    }

    /// What the clock of `node` read at `moment`, asking for it if that was not learned lately.
    pub(super) async fn clock(&self, node: u32, moment: Instant) -> Result<Bounds, RemoteError> {
        if let Some(bounds) = self.clocks.at(node, moment, Instant::now()) {
            return Ok(bounds);
        }
        let way = self.routes.to(node).map_err(|error| self.classify(error))?;
        let sent = Instant::now();
        let answer = way.client().custom(plain("TIME"), Vec::<Value>::new()).await;
        let (seconds, micros): (u64, u64) = answer.map_err(|error| self.classify(error))?;
        let (now, received) = (seconds.saturating_mul(1_000_000) + micros, Instant::now());
        self.clocks.learn(node, now, sent, received);
        self.clocks
            .at(node, moment, received)
            .ok_or_else(|| RemoteError::TimedOut { after: received.duration_since(sent) })
    }

    /// What `node` was asked for at `sent`, when its clock read `clock`.
    pub(super) async fn fetched(
        &self,
        (node, sent): (u32, Instant),
        reply: Reply,
        clock: Result<Bounds, RemoteError>,
    ) -> Result<Fetched, RemoteError> {
        let (bytes, by) = reply.map_err(|error| self.classify(error))?;
        // Another has it by now, with a clock of its own.
        let clock = if by == node { clock? } else { Box::pin(self.clock(by, sent)).await? };
        Ok(Fetched::of(bytes, clock.latest, clock.earliest))
    }

    /// Reads a key, as one of many in a command.
    pub(super) async fn get(&self, node: u32, key: String, until: Instant) -> Reply {
        let way = self.routes.to(node)?;
        let Some(reads) = way.reads() else {
            return self.reads.ask_until(node, key.into(), until).await;
        };
        if !self.topology().is_cluster() {
            let answer = reads.ask(key.into(), until).await.or_else(foreign);
            return answer.map(|bytes| (bytes, node));
        }
        // Kept, for where it may have to be asked for.
        match reads.ask(Bytes::copy_from_slice(key.as_bytes()), until).await.or_else(foreign) {
            Err(error) if is_redirection(&error) => {
                // Asked for by itself: it has its own deadline, and may be led to a node that hangs.
                let one = Box::pin(self.getter.one(node, key.into()));
                timeout_at(until, one).await.unwrap_or_else(|_| self.getter.unasked(Unasked::Late))
            }
            Err(error) => {
                // Such as that it is no master any more: to be looked at.
                self.routes.redirect(&error, node);
                Err(error)
            }
            answer => answer.map(|bytes| (bytes, node)),
        }
    }

    /// Reads a key of a node whose clock is not known.
    pub(super) async fn read_and_clock(
        &self,
        (node, sent): (u32, Instant),
        key: String,
    ) -> Result<Fetched, RemoteError> {
        let until = sent + self.command_timeout;
        let read = async {
            let reply = self.get(node, key, until);
            let (reply, clock) = join(reply, self.clock(node, sent)).await;
            self.fetched((node, sent), reply, clock).await
        };
        self.within(until, read).await
    }

    pub(super) async fn within<T>(
        &self,
        until: Instant,
        answer: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let after = self.command_timeout;
        timeout_at(until, answer).await.unwrap_or(Err(RemoteError::TimedOut { after }))
    }

    /// Reads keys of one node.
    pub(super) async fn read_node(
        &self,
        node: u32,
        keys: Vec<Key>,
    ) -> Vec<Result<Fetched, RemoteError>> {
        let sent = Instant::now();
        let (replies, clock) = join(self.getter.all(node, keys), self.clock(node, sent)).await;
        let fetched = replies.into_iter().map(|reply| {
            let clock = match &clock {
                Ok(bounds) => Ok(*bounds),
                Err(error) => Err(error.again()),
            };
            self.fetched((node, sent), reply, clock)
        });
        join_all(fetched).await
    }
}

/// What the clock of a node read before an answer was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    now: u64,
    received: Instant,
}

impl Tick {
    /// The earliest that it can have read at `moment`.
    pub(super) fn earliest(&self, moment: Instant) -> u64 {
        let after = micros(moment.saturating_duration_since(self.received));
        let before = micros(self.received.saturating_duration_since(moment));
        self.now.saturating_add(after).saturating_sub(before)
    }
}

pub(super) fn classify(error: Error, deadline: Duration) -> RemoteError {
    match error.kind() {
        // A slot is on its way: the nodes are there.
        _ if is_redirection(&error) => RemoteError::Refused(Box::new(error)),
        // Nothing can be done on this node until someone has mended it or another took over.
        _ if says(&error, &["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN"]) => {
            RemoteError::Disconnected(Box::new(error))
        }
        ErrorKind::Timeout => RemoteError::TimedOut { after: deadline },
        ErrorKind::IO
        | ErrorKind::Canceled
        | ErrorKind::Routing
        | ErrorKind::Cluster
        | ErrorKind::Sentinel
        | ErrorKind::Auth
        | ErrorKind::Backpressure => RemoteError::Disconnected(Box::new(error)),
        _ => RemoteError::Refused(Box::new(error)),
    }
}

fn says(error: &Error, words: &[&str]) -> bool {
    words.iter().any(|word| error.details().starts_with(word))
}

/// At least 1, since Redis refuses a TTL of 0, and at most [`MAX_TTL`].
pub(super) fn millis(ttl: Duration) -> Value {
    integer(u64::try_from(ttl.min(MAX_TTL).as_millis()).unwrap_or(u64::MAX).max(1))
}

/// As the scripts compare it.
pub(super) fn eight(number: u64) -> Value {
    Bytes::copy_from_slice(&number.to_be_bytes()).into()
}

pub(super) fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
