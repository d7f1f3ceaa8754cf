//! Redis as a [`Remote`].

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::Config;
use fred::types::{FromValue, Key, Value};
use futures_util::future::{join, join_all, try_join_all};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::RedisConfig;
use super::clock::{Bounds, Clocks};
use super::fold::{Fetch, Fold, Reply};
use super::get::{Getter, is_wrong_type};
use super::routes::{Routes, Way, is_redirection, plain};
use super::scripts::{ScriptText, Scripts};
use super::topology::{Master, Topology};
use super::tracking::Listening;
use crate::config::MAX_TTL;
use crate::marks::{Mark, MarkChange};
use crate::record;
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, ReadMany, Remote, RemoteError, RemoteFuture, Seen, Swept,
    Ticket, Tracking, Watcher,
};

/// The ways to all nodes, and the scripts.
pub(super) struct Connection {
    pub(super) routes: Arc<Routes>,
    pub(super) key_prefix: Box<str>,
    /// The channel where the ends of leases are told.
    landed: String,
    pub(super) command_timeout: Duration,
    clocks: Arc<Clocks>,
    getter: Getter,
    reads: Fold<Getter>,
    listening: Arc<Listening>,
    pub(super) scripts: Scripts,
}

impl Connection {
    /// `server`: how to reach it; `found`: the masters of a cluster, if they are known already.
    pub(super) fn new(
        routes: Arc<Routes>,
        config: &RedisConfig,
        server: Config,
        found: Vec<Master>,
        runtime: &Handle,
    ) -> Self {
        let clocks = Arc::new(Clocks::new());
        let getter = Getter::new(Arc::clone(&routes));
        Self {
            reads: Fold::new(getter.clone(), config.max_queued_commands, runtime.clone()),
            getter,
            listening: Arc::new(Listening::start(
                Arc::clone(&routes),
                Arc::clone(&clocks),
                config,
                server,
                found,
                runtime,
            )),
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

    fn topology(&self) -> &Topology {
        &self.routes.topology
    }

    fn key(&self, text: &str) -> String {
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
    async fn entry_for<R: FromValue>(
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
    async fn mark(
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
            let (keys, arguments) = (keys.to_vec(), arguments(way.node));
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
    fn learn(&self, node: u32, now: u64, sent: Instant) -> Tick {
        let received = Instant::now();
        self.clocks.learn(node, now, sent, received);
        Tick { now, received }
    }

    /// What the clock of `node` read at `moment`, asking for it if that was not learned lately.
    async fn clock(&self, node: u32, moment: Instant) -> Result<Bounds, RemoteError> {
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
    async fn fetched(
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

    /// Reads keys of one node.
    async fn read_node(&self, node: u32, keys: Vec<Key>) -> Vec<Result<Fetched, RemoteError>> {
        let sent = Instant::now();
        let (replies, clock) = join(self.getter.many(node, keys), self.clock(node, sent)).await;
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

impl Remote for Connection {
    fn node(&self, text: &str) -> u32 {
        let topology = self.topology();
        if topology.is_cluster() { topology.node(self.key(text).as_bytes()) } else { 0 }
    }

    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        Box::pin(async move {
            let key = Key::from(self.key(text));
            let node = self.topology().node(key.as_bytes());
            let sent = Instant::now();
            if let Some(clock) = self.clocks.at(node, sent, sent) {
                let reply = self.reads.get(node, key).await;
                return self.fetched((node, sent), reply, Ok(clock)).await;
            }
            // Boxed, so that the other reads need not carry it about.
            let clock = Box::pin(self.clock(node, sent));
            let (reply, clock) = join(self.reads.get(node, key), clock).await;
            self.fetched((node, sent), reply, clock).await
        })
    }

    fn read_many<'a>(&'a self, texts: &'a [String]) -> ReadMany<'a> {
        Box::pin(async move {
            let mut nodes = BTreeMap::<u32, (Vec<usize>, Vec<Key>)>::new();
            for (place, text) in texts.iter().enumerate() {
                let key = Key::from(self.key(text));
                let (places, keys) = nodes.entry(self.topology().node(key.as_bytes())).or_default();
                places.push(place);
                keys.push(key);
            }
            let reads = nodes.into_iter().map(async |(node, (places, keys))| {
                places.into_iter().zip(self.read_node(node, keys).await)
            });
            let mut answers: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
            answers.sort_unstable_by_key(|(place, _)| *place);
            answers.into_iter().map(|(_, answer)| answer).collect()
        })
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let version = async |text: &String| {
                let key = self.key(text);
                let node = self.topology().node(key.as_bytes());
                match self.routes.ask(node, |way| head(way, key.clone())).await {
                    Ok((head, _)) => Ok(record::peek(&head).version),
                    Err(error) if is_wrong_type(&error) => Ok(0),
                    Err(error) => Err(self.classify(error)),
                }
            };
            try_join_all(texts.iter().map(version)).await
        })
    }

    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased> {
        Box::pin(async move {
            let arguments = [eight(seen.version), eight(token), millis(hold)];
            let sent = Instant::now();
            let ((code, ms, now), by): ((u8, u64, u64), u32) =
                self.entry(&self.scripts.lease, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(match code {
                0 => Leased::Granted,
                // A moment more: Redis counts down to the millisecond in which it ends.
                1 => Leased::Held { for_at_most: Duration::from_millis(ms + 1) },
                _ => Leased::Moved,
            })
        })
    }

    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool> {
        Box::pin(async move {
            let sent = Instant::now();
            let ((ours, now), by): ((u8, u64), u32) =
                self.entry(&self.scripts.renew, text, [eight(token), millis(hold)]).await?;
            self.learn(by, now, sent);
            Ok(ours == 1)
        })
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        Box::pin(async move {
            let sent = Instant::now();
            let (now, by): (u64, u32) =
                self.entry(&self.scripts.release, text, [eight(token)]).await?;
            self.learn(by, now, sent);
            Ok(())
        })
    }

    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        Box::pin(async move {
            let arguments = [
                record.into(),
                millis(ttl),
                eight(ticket.seen.version),
                integer(ticket.seen.at.saturating_add(micros(ticket.keep))),
                ticket.token.map_or_else(|| Value::from(Bytes::new()), eight),
                millis(ticket.keep),
            ];
            let sent = Instant::now();
            let ((code, version, now), by): ((u8, u64, u64), u32) =
                self.entry(&self.scripts.fill, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(match code {
                0 => Fill::Stored(version),
                2 => Fill::Late,
                3 => Fill::OldSource,
                4 => Fill::Fenced,
                _ => Fill::Moved,
            })
        })
    }

    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put> {
        Box::pin(async move {
            let started = Instant::now();
            let deadline = started + self.command_timeout;
            loop {
                // What Redis's clock will surely have passed when the caller has given up: a put
                // that sat in a socket or a frozen server is refused there from then on.
                let arguments = |node: u32| {
                    let last_moment = self
                        .clocks
                        .at(node, deadline, Instant::now())
                        .map_or(0, |bounds| bounds.earliest);
                    let record = record.clone().into();
                    vec![record, millis(ttl), integer(last_moment), millis(ttl.max(keep))]
                };
                let sent = Instant::now();
                let ((code, version, now), by): ((u8, u64, u64), u32) =
                    self.entry_for(&self.scripts.put, text, arguments).await?;
                self.learn(by, now, sent);
                match code {
                    0 => return Ok(Put::Stored(version)),
                    1 => return Ok(Put::Superseded),
                    // Late by what we knew of this node's clock; now we know better.
                    _ if Instant::now() < deadline => {}
                    _ => {
                        return Err(RemoteError::TimedOut { after: self.command_timeout });
                    }
                }
            }
        })
    }

    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64> {
        Box::pin(async move {
            let arguments = [record::tombstone(text, source).into(), millis(keep)];
            let sent = Instant::now();
            let ((version, now), by): ((u64, u64), u32) =
                self.entry(&self.scripts.remove, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(version)
        })
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        Box::pin(async move {
            let read = async |text: &String| {
                let node = self.node(text);
                let before = self.clocks.earliest_throughout(node, since);
                let (mark, tick, by) = self.mark(&self.scripts.marks, text, []).await?;
                // Both what was known of the clock before and what is now: should it have been
                // set in between, or another server have taken over, the mark may have been
                // advanced by the other one. Not known: that cannot be ruled out.
                let unmoved = by == node
                    && self.topology().settled_since(since)
                    && before.is_some_and(|it| mark.version() < tick.earliest(since).min(it));
                Ok(MarkRead { mark, unmoved })
            };
            try_join_all(texts.iter().map(read)).await
        })
    }

    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark> {
        Box::pin(async move {
            let arguments = match change.bounded() {
                MarkChange::Hard => vec!["hard".into()],
                MarkChange::Soft => vec!["soft".into()],
                MarkChange::Clear { pattern, hard } => {
                    vec!["clear".into(), pattern.into(), i64::from(hard).into()]
                }
            };
            Ok(self.mark(&self.scripts.advance, text, arguments).await?.0)
        })
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept> {
        Box::pin(super::sweep::sweep(self, pattern, before, keep, progress))
    }

    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        self.listening.watch(namespace, watcher)
    }

    fn tracking(&self) -> Tracking {
        self.listening.status()
    }

    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(async move {
            self.listening.stop();
            self.routes.clients.close().await.map_err(|error| self.classify(error))
        })
    }
}

/// What the clock of a node read before an answer was received.
#[derive(Debug, Clone, Copy)]
struct Tick {
    now: u64,
    received: Instant,
}

impl Tick {
    /// The earliest that it can have read at `moment`.
    fn earliest(&self, moment: Instant) -> u64 {
        let after = micros(moment.saturating_duration_since(self.received));
        let before = micros(self.received.saturating_duration_since(moment));
        self.now.saturating_add(after).saturating_sub(before)
    }
}

/// As much of a record as says its version.
async fn head(way: Way, key: String) -> Result<Bytes, Error> {
    let (first, last) = (0, record::FIXED - 1);
    if way.asking {
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let words = vec![key.into(), Value::Integer(first), Value::Integer(last)];
        return way.after_asking("GETRANGE", words).await;
    }
    way.client().getrange(key, 0, last).await
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

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
