//! Redis as a [`Remote`].

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClientState, ClusterHash, CustomCommand, FromValue, Key, Value};
use fred::util::redis_keyslot;
use futures_util::future::{join, join_all, try_join_all};
use tokio::time::Instant;

use super::RedisConfig;
use super::clock::{Bounds, Clocks};
use super::ends::EndsWithUs;
use super::fold::{Fetch, Fold, Reply};
use super::get::{Getter, again, is_wrong_type, redirected};
use super::scripts::{ScriptText, Scripts};
use super::topology::Topology;
use super::tracking::Listening;
use crate::config::MAX_TTL;
use crate::marks::{Mark, MarkChange};
use crate::record;
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, ReadMany, Remote, RemoteError, RemoteFuture, Seen, Swept,
    Ticket, Tracking, Watcher,
};

/// A connected client and its scripts.
pub(super) struct Connection {
    pub(super) client: Client,
    ends: EndsWithUs,
    pub(super) key_prefix: Box<str>,
    /// The channel where the ends of leases are told.
    landed: String,
    pub(super) command_timeout: Duration,
    pub(super) topology: Arc<Topology>,
    clocks: Arc<Clocks>,
    getter: Getter,
    reads: Fold<Getter>,
    listening: Arc<Listening>,
    pub(super) scripts: Scripts,
}

impl Connection {
    pub(super) fn new(ends: EndsWithUs, config: &RedisConfig) -> Self {
        let (client, runtime) = (ends.client().clone(), ends.runtime().clone());
        let clustered = client.is_clustered();
        let topology = Arc::new(if clustered { Topology::cluster() } else { Topology::single() });
        let clocks = Arc::new(Clocks::new());
        let getter = Getter::new(client.clone());
        Self {
            reads: Fold::new(getter.clone(), config.max_queued_commands, runtime.clone()),
            getter,
            listening: Arc::new(Listening::start(
                &client,
                Arc::clone(&topology),
                Arc::clone(&clocks),
                config,
                &runtime,
            )),
            topology,
            clocks,
            client,
            ends,
            key_prefix: config.key_prefix.as_str().into(),
            landed: [&config.key_prefix, "landed"].concat(),
            command_timeout: config.command_timeout,
            scripts: Scripts::new(),
        }
    }

    pub(super) fn listening(&self) -> Arc<Listening> {
        Arc::clone(&self.listening)
    }

    fn key(&self, text: &str) -> String {
        [&*self.key_prefix, text].concat()
    }

    /// Runs a script about the entry of `text`.
    pub(super) async fn entry<R: FromValue>(
        &self,
        script: &ScriptText,
        text: &str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<R, RemoteError> {
        let key = self.key(text);
        // In the same slot, since all of the entry's key is in braces.
        let lease = ["lease{", &key, "}"].concat();
        let mut all = vec![Value::from(self.landed.as_str())];
        all.extend(arguments);
        self.run(script, vec![key, lease], all).await
    }

    /// Runs a script about the mark of `text`, which answers with it. Says when that was.
    async fn mark(
        &self,
        script: &ScriptText,
        text: &str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<(Mark, Tick), RemoteError> {
        let mut all = vec![integer(micros(Mark::GRACE)), millis(MAX_TTL)];
        all.extend(arguments);
        let sent = Instant::now();
        let (bytes, now): (Bytes, u64) = self.run(script, vec![self.key(text)], all).await?;
        let tick = self.learn(text, now, sent);
        let mark = Mark::from_bytes(&bytes)
            .ok_or_else(|| RemoteError::Refused("the script answered with no mark".into()))?;
        Ok((mark, tick))
    }

    async fn run<R: FromValue>(
        &self,
        script: &ScriptText,
        mut keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, RemoteError> {
        connected(&self.client)?;
        let run = |keys: &[String]| script.run(&self.client, keys.to_vec(), arguments.clone());
        let mut answer = again(|| run(&keys)).await;
        // While a slot moves, keys of which only some have moved cannot be named together. The
        // entry is what counts: without its lease nothing is fenced, and versions still are.
        if keys.len() > 1 && answer.as_ref().is_err_and(|error| says(error, &["TRYAGAIN"])) {
            keys.truncate(1);
            answer = again(|| run(&keys)).await;
        }
        answer.map_err(|error| self.classify(error))
    }

    pub(super) fn classify(&self, error: Error) -> RemoteError {
        classify(error, self.command_timeout)
    }

    fn learn(&self, text: &str, now: u64, sent: Instant) -> Tick {
        let received = Instant::now();
        self.clocks.learn(self.node(text), now, sent, received);
        Tick { now, received }
    }

    /// What the clock of a key's node read at `moment`, asking for it if that was not learned
    /// lately.
    async fn clock(&self, node: u32, key: &Key, moment: Instant) -> Result<Bounds, RemoteError> {
        if let Some(bounds) = self.clocks.at(node, moment, Instant::now()) {
            return Ok(bounds);
        }
        let slot = ClusterHash::Custom(redis_keyslot(key.as_bytes()));
        let command = CustomCommand::new_static("TIME", slot, false);
        let sent = Instant::now();
        let answer = self.client.custom(command, Vec::<Value>::new()).await;
        let (seconds, micros): (u64, u64) = answer.map_err(|error| self.classify(error))?;
        let (now, received) = (seconds.saturating_mul(1_000_000) + micros, Instant::now());
        self.clocks.learn(node, now, sent, received);
        self.clocks
            .at(node, moment, received)
            .ok_or_else(|| RemoteError::TimedOut { after: received.duration_since(sent) })
    }

    fn fetched(
        &self,
        bytes: Reply,
        clock: Result<Bounds, RemoteError>,
    ) -> Result<Fetched, RemoteError> {
        let bytes = bytes.map_err(|error| self.classify(error))?;
        let clock = clock?;
        Ok(Fetched::of(bytes, clock.latest, clock.earliest))
    }

    /// Reads keys of one node.
    async fn read_node(&self, node: u32, keys: Vec<Key>) -> Vec<Result<Fetched, RemoteError>> {
        let Some(first) = keys.first().cloned() else { return Vec::new() };
        let sent = Instant::now();
        let (replies, clock) = join(self.getter.many(keys), self.clock(node, &first, sent)).await;
        let fetched = |bytes| {
            let clock = match &clock {
                Ok(bounds) => Ok(*bounds),
                Err(error) => Err(error.again()),
            };
            self.fetched(bytes, clock)
        };
        replies.into_iter().map(fetched).collect()
    }
}

impl Remote for Connection {
    fn node(&self, text: &str) -> u32 {
        if self.topology.is_cluster() { self.topology.node(self.key(text).as_bytes()) } else { 0 }
    }

    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        Box::pin(async move {
            connected(&self.client)?;
            let key = Key::from(self.key(text));
            let node = self.topology.node(key.as_bytes());
            let sent = Instant::now();
            if let Some(clock) = self.clocks.at(node, sent, sent) {
                return self.fetched(self.reads.get(node, key).await, Ok(clock));
            }
            // Boxed, so that the other reads need not carry it about.
            let clock = Box::pin(self.clock(node, &key, sent));
            let (bytes, clock) = join(self.reads.get(node, key.clone()), clock).await;
            self.fetched(bytes, clock)
        })
    }

    fn read_many<'a>(&'a self, texts: &'a [String]) -> ReadMany<'a> {
        Box::pin(async move {
            let mut nodes = BTreeMap::<u32, (Vec<usize>, Vec<Key>)>::new();
            for (place, text) in texts.iter().enumerate() {
                let key = Key::from(self.key(text));
                let (places, keys) = nodes.entry(self.topology.node(key.as_bytes())).or_default();
                places.push(place);
                keys.push(key);
            }
            let reads = nodes.into_iter().map(async |(node, (places, keys))| {
                let answers = match connected(&self.client) {
                    Ok(()) => self.read_node(node, keys).await,
                    Err(_) => keys.iter().map(|_| Err(gone())).collect(),
                };
                places.into_iter().zip(answers)
            });
            let mut answers: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
            answers.sort_unstable_by_key(|(place, _)| *place);
            answers.into_iter().map(|(_, answer)| answer).collect()
        })
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        Box::pin(async move {
            connected(&self.client)?;
            let version = async |text: &String| {
                let key = self.key(text);
                let head = || self.client.getrange::<Bytes, _>(&key, 0, record::FIXED - 1);
                match again(head).await {
                    Ok(head) => Ok(record::peek(&head).version),
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
            let (code, ms, now): (u8, u64, u64) =
                self.entry(&self.scripts.lease, text, arguments).await?;
            self.learn(text, now, sent);
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
            let (ours, now): (u8, u64) =
                self.entry(&self.scripts.renew, text, [eight(token), millis(hold)]).await?;
            self.learn(text, now, sent);
            Ok(ours == 1)
        })
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        Box::pin(async move {
            let sent = Instant::now();
            let now: u64 = self.entry(&self.scripts.release, text, [eight(token)]).await?;
            self.learn(text, now, sent);
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
            let (code, version, now): (u8, u64, u64) =
                self.entry(&self.scripts.fill, text, arguments).await?;
            self.learn(text, now, sent);
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
                let last_moment = self
                    .clocks
                    .at(self.node(text), deadline, Instant::now())
                    .map_or(0, |bounds| bounds.earliest);
                let arguments = [
                    record.clone().into(),
                    millis(ttl),
                    integer(last_moment),
                    millis(ttl.max(keep)),
                ];
                let sent = Instant::now();
                let (code, version, now): (u8, u64, u64) =
                    self.entry(&self.scripts.put, text, arguments).await?;
                self.learn(text, now, sent);
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
            let (version, now): (u64, u64) =
                self.entry(&self.scripts.remove, text, arguments).await?;
            self.learn(text, now, sent);
            Ok(version)
        })
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        Box::pin(async move {
            let read = async |text: &String| {
                let before = self.clocks.earliest_throughout(self.node(text), since);
                let (mark, tick) = self.mark(&self.scripts.marks, text, []).await?;
                // Both what was known of the clock before and what is now: should it have been
                // set in between, or another server have taken over, the mark may have been
                // advanced by the other one. Not known: that cannot be ruled out.
                let unmoved = self.topology.settled_since(since)
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
            self.ends.closing();
            self.listening.stop();
            self.client.quit().await.map_err(|error| self.classify(error))
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

pub(super) async fn ping(client: &Client, deadline: Duration) -> Result<(), RemoteError> {
    connected(client)?;
    client.ping::<()>(None).await.map_err(|error| classify(error, deadline))
}

/// Without this fred would queue a command until its deadline.
pub(super) fn connected(client: &Client) -> Result<(), RemoteError> {
    if client.state() == ClientState::Connected {
        return Ok(());
    }
    Err(gone())
}

fn gone() -> RemoteError {
    RemoteError::Disconnected(Box::new(Error::new(ErrorKind::IO, "not connected")))
}

fn classify(error: Error, deadline: Duration) -> RemoteError {
    match error.kind() {
        // A slot is on its way: the nodes are there.
        _ if redirected(&error) => RemoteError::Refused(Box::new(error)),
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
