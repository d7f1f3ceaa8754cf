//! The four scripts that make Redis a [`Remote`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::scripts::Script;
use fred::types::{ClientState, ConnectHandle, FromValue, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::RedisConfig;
use crate::record;
use crate::remote::{Fetched, Fill, Put, Remote, RemoteError, RemoteFuture, Seen};

/// A connected client and its scripts.
pub(super) struct Connection {
    client: Client,
    _ends: EndsWithUs,
    key_prefix: Box<str>,
    command_timeout: Duration,
    clock: Clock,
    read: ScriptText,
    fill: ScriptText,
    put: ScriptText,
    remove: ScriptText,
}

impl Connection {
    pub(super) fn new(ends: EndsWithUs, config: &RedisConfig) -> Self {
        Self {
            client: ends.client.clone(),
            _ends: ends,
            key_prefix: config.key_prefix.as_str().into(),
            command_timeout: config.command_timeout,
            clock: Clock::new(),
            read: ScriptText::new(include_str!("read.lua")),
            fill: ScriptText::new(concat!(include_str!("peek.lua"), include_str!("fill.lua"))),
            put: ScriptText::new(concat!(include_str!("peek.lua"), include_str!("put.lua"))),
            remove: ScriptText::new(concat!(include_str!("peek.lua"), include_str!("remove.lua"))),
        }
    }

    async fn run<R: FromValue>(
        &self,
        script: &ScriptText,
        key: &str,
        arguments: Vec<Value>,
    ) -> Result<R, RemoteError> {
        connected(&self.client)?;
        let key = [&*self.key_prefix, key].concat();
        match script.script.evalsha(&self.client, key.as_str(), arguments.clone()).await {
            // EVAL both runs the script and loads it, on the node that owns the key.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                self.client.eval(script.text, key.as_str(), arguments).await
            }
            answer => answer,
        }
        .map_err(|error| classify(error, self.command_timeout))
    }
}

impl Remote for Connection {
    fn read<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Fetched> {
        Box::pin(async move {
            let (bytes, remaining, now): (Option<Bytes>, i64, u64) =
                self.run(&self.read, key, Vec::new()).await?;
            self.clock.learn(now, Instant::now());
            // Below zero: no TTL, which none of ours lacks, or no key.
            let remaining = Duration::from_millis(u64::try_from(remaining).unwrap_or(0));
            Ok(Fetched { bytes, remaining, now })
        })
    }

    fn fill<'a>(
        &'a self,
        key: &'a str,
        seen: Seen,
        keep: Duration,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        Box::pin(async move {
            let version = Bytes::copy_from_slice(&seen.version.to_be_bytes());
            let last_moment = seen.at.saturating_add(micros(keep));
            let arguments = vec![record.into(), millis(ttl), version.into(), integer(last_moment)];
            let (code, version): (u8, u64) = self.run(&self.fill, key, arguments).await?;
            match code {
                0 => Ok(Fill::Stored(version)),
                2 => Ok(Fill::Late),
                3 => Ok(Fill::OldSource),
                _ => Ok(Fill::Moved),
            }
        })
    }

    fn put<'a>(&'a self, key: &'a str, record: Bytes, ttl: Duration) -> RemoteFuture<'a, Put> {
        Box::pin(async move {
            let started = Instant::now();
            loop {
                let last_moment = self.clock.at(started + self.command_timeout);
                let arguments = vec![record.clone().into(), millis(ttl), integer(last_moment)];
                let (code, version, now): (u8, u64, u64) =
                    self.run(&self.put, key, arguments).await?;
                let answered = Instant::now();
                self.clock.learn(now, answered);
                match code {
                    0 => return Ok(Put::Stored(version)),
                    1 => return Ok(Put::Superseded),
                    // Late by what we knew of this node's clock; now we know better.
                    _ if answered < started + self.command_timeout => {}
                    _ => {
                        return Err(RemoteError::TimedOut { after: self.command_timeout });
                    }
                }
            }
        })
    }

    fn remove<'a>(&'a self, key: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, ()> {
        Box::pin(async move {
            let arguments = vec![record::tombstone(key, source).into(), millis(keep)];
            let now: u64 = self.run(&self.remove, key, arguments).await?;
            self.clock.learn(now, Instant::now());
            Ok(())
        })
    }

    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(async move {
            self.client.quit().await.map_err(|error| classify(error, self.command_timeout))
        })
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

/// What Redis's clock will surely have passed when ours reads a given time: so that a `put` that
/// sat in a socket or a frozen server is refused there once its caller has given up.
///
/// Each reply carries Redis's clock at some moment before it arrived; taking that moment for the
/// arrival errs to the early side. A cluster's nodes may differ by their clocks' skew, at the
/// price of one more round trip.
struct Clock {
    epoch: Instant,
    /// Redis's clock minus ours, in microseconds.
    offset: AtomicI64,
}

impl Clock {
    fn new() -> Self {
        Self { epoch: Instant::now(), offset: AtomicI64::new(0) }
    }

    fn at(&self, moment: Instant) -> u64 {
        let ours = signed(micros(moment.saturating_duration_since(self.epoch)));
        u64::try_from(ours.saturating_add(self.offset.load(Ordering::Relaxed))).unwrap_or(0)
    }

    fn learn(&self, redis: u64, answered: Instant) {
        let ours = signed(micros(answered.saturating_duration_since(self.epoch)));
        self.offset.store(signed(redis).saturating_sub(ours), Ordering::Relaxed);
    }
}

struct ScriptText {
    script: Script,
    text: &'static str,
}

impl ScriptText {
    fn new(text: &'static str) -> Self {
        Self { script: Script::from_lua(text), text }
    }
}

pub(super) async fn ping(client: &Client, deadline: Duration) -> Result<(), RemoteError> {
    connected(client)?;
    client.ping::<()>(None).await.map_err(|error| classify(error, deadline))
}

/// Without this fred would queue a command until its deadline.
fn connected(client: &Client) -> Result<(), RemoteError> {
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

/// At least 1: Redis refuses a TTL of 0.
fn millis(duration: Duration) -> Value {
    integer(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1))
}

fn integer(number: u64) -> Value {
    Value::Integer(signed(number))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
