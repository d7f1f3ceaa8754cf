//! Redis as a [`Remote`].

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClientState, ClusterHash, ConnectHandle, CustomCommand, FromValue, Value};
use fred::util::redis_keyslot;
use futures_util::future::{join, try_join_all};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::RedisConfig;
use super::scripts::{ScriptText, Scripts};
use crate::config::MAX_TTL;
use crate::marks::{Mark, MarkChange};
use crate::record;
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, Remote, RemoteError, RemoteFuture, Seen, Swept, Ticket,
};

/// A connected client and its scripts.
pub(super) struct Connection {
    pub(super) client: Client,
    _ends: EndsWithUs,
    pub(super) key_prefix: Box<str>,
    /// The channel where the ends of leases are told.
    landed: String,
    pub(super) command_timeout: Duration,
    clock: Clock,
    pub(super) scripts: Scripts,
}

impl Connection {
    pub(super) fn new(ends: EndsWithUs, config: &RedisConfig) -> Self {
        Self {
            client: ends.client.clone(),
            _ends: ends,
            key_prefix: config.key_prefix.as_str().into(),
            landed: [&config.key_prefix, "landed"].concat(),
            command_timeout: config.command_timeout,
            clock: Clock::new(),
            scripts: Scripts::new(),
        }
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
        let tick = self.learn(now, sent);
        let mark = Mark::from_bytes(&bytes)
            .ok_or_else(|| RemoteError::Refused("the script answered with no mark".into()))?;
        Ok((mark, tick))
    }

    async fn run<R: FromValue>(
        &self,
        script: &ScriptText,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, RemoteError> {
        connected(&self.client)?;
        let answer = script.run(&self.client, keys, arguments).await;
        answer.map_err(|error| self.classify(error))
    }

    pub(super) fn classify(&self, error: Error) -> RemoteError {
        classify(error, self.command_timeout)
    }

    fn learn(&self, now: u64, sent: Instant) -> Tick {
        let tick = Tick { now, sent, received: Instant::now() };
        self.clock.learn(tick);
        tick
    }

    /// What the clock of Redis is, asking it if that was not learned lately.
    async fn lately(&self, key: &str) -> Result<Tick, RemoteError> {
        if let Some(tick) = self.clock.last()
            && tick.received.elapsed() < LATELY
        {
            return Ok(tick);
        }
        let slot = ClusterHash::Custom(redis_keyslot(key.as_bytes()));
        let command = CustomCommand::new_static("TIME", slot, false);
        let sent = Instant::now();
        let answer = self.client.custom(command, Vec::<Value>::new()).await;
        let (seconds, micros): (u64, u64) = answer.map_err(|error| self.classify(error))?;
        Ok(self.learn(seconds.saturating_mul(1_000_000).saturating_add(micros), sent))
    }
}

impl Remote for Connection {
    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        Box::pin(async move {
            connected(&self.client)?;
            let key = self.key(text);
            let sent = Instant::now();
            let get = self.client.get::<Option<Bytes>, _>(&key);
            let (bytes, tick) = join(get, self.lately(&key)).await;
            let bytes = match bytes {
                // Another type: foreign, not absent. An empty string is foreign too.
                Err(error) if is_wrong_type(&error) => Some(Bytes::new()),
                bytes => bytes.map_err(|error| self.classify(error))?,
            };
            let tick = tick?;
            Ok(Fetched::of(bytes, tick.latest(sent), tick.earliest(sent)))
        })
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        Box::pin(async move {
            connected(&self.client)?;
            let version = async |text: &String| {
                let head = self.client.getrange::<Bytes, _>(self.key(text), 0, record::FIXED - 1);
                match head.await {
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
            self.learn(now, sent);
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
            self.learn(now, sent);
            Ok(ours == 1)
        })
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        Box::pin(async move {
            let sent = Instant::now();
            let now: u64 = self.entry(&self.scripts.release, text, [eight(token)]).await?;
            self.learn(now, sent);
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
            self.learn(now, sent);
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
                let last_moment = self.clock.last().map_or(0, |tick| tick.earliest(deadline));
                let arguments = [
                    record.clone().into(),
                    millis(ttl),
                    integer(last_moment),
                    millis(ttl.max(keep)),
                ];
                let sent = Instant::now();
                let (code, version, now): (u8, u64, u64) =
                    self.entry(&self.scripts.put, text, arguments).await?;
                self.learn(now, sent);
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
            self.learn(now, sent);
            Ok(version)
        })
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        Box::pin(async move {
            let read = async |text: &String| {
                let before = self.clock.last();
                let (mark, tick) = self.mark(&self.scripts.marks, text, []).await?;
                // Both what was known of the clock before and what is now: should it have been
                // set in between, the mark may have been advanced by the other one.
                let known = before.map_or(u64::MAX, |before| before.earliest(since));
                let unmoved = mark.version() < tick.earliest(since).min(known);
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

    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(async move { self.client.quit().await.map_err(|error| self.classify(error)) })
    }
}

/// Ends fred's task, which would outlive the client's last clone and hold the connection.
pub(super) struct EndsWithUs {
    client: Client,
    task: Option<ConnectHandle>,
    deadline: Duration,
    runtime: Handle,
}

impl EndsWithUs {
    pub(super) fn new(client: Client, config: &RedisConfig) -> Self {
        let deadline = config.command_timeout;
        Self { client, task: None, deadline, runtime: Handle::current() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn with(mut self, task: ConnectHandle) -> Self {
        self.task = Some(task);
        self
    }
}

impl Drop for EndsWithUs {
    fn drop(&mut self) {
        let (client, task, deadline) = (self.client.clone(), self.task.take(), self.deadline);
        self.runtime.spawn(async move {
            let _ = timeout(deadline, client.quit()).await;
            if let Some(task) = task {
                task.abort();
            }
        });
    }
}

/// What Redis's clock read at some moment between sending a command and receiving its answer.
#[derive(Debug, Clone, Copy)]
struct Tick {
    now: u64,
    sent: Instant,
    received: Instant,
}

impl Tick {
    /// The earliest that Redis's clock can have read at `moment`.
    fn earliest(&self, moment: Instant) -> u64 {
        self.at(self.received, moment)
    }

    /// The latest that it can have read.
    fn latest(&self, moment: Instant) -> u64 {
        self.at(self.sent, moment)
    }

    fn at(&self, read: Instant, moment: Instant) -> u64 {
        let after = micros(moment.saturating_duration_since(read));
        let before = micros(read.saturating_duration_since(moment));
        self.now.saturating_add(after).saturating_sub(before)
    }
}

/// The last that is known of Redis's clock. The nodes of a cluster may differ by their clocks'
/// skew.
struct Clock {
    last: Mutex<Option<Tick>>,
}

impl Clock {
    fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    fn learn(&self, tick: Tick) {
        *self.last.lock() = Some(tick);
    }

    fn last(&self) -> Option<Tick> {
        *self.last.lock()
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
    let error = Error::new(ErrorKind::IO, "not connected");
    Err(RemoteError::Disconnected(Box::new(error)))
}

fn classify(error: Error, deadline: Duration) -> RemoteError {
    match error.kind() {
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

fn is_wrong_type(error: &Error) -> bool {
    error.details().starts_with("WRONGTYPE")
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

/// After this long, drift and steps of a clock begin to count.
const LATELY: Duration = Duration::from_secs(1);
