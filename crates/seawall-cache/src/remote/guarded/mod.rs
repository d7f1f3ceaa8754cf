//! A remote that may be down: deadline, breaker, and the removals it has not heard of yet.

mod breaker;
mod config;
mod nodes;
mod pending;
mod window;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use self::config::HOUR;
pub use self::config::OutageConfig;
use self::nodes::Nodes;
pub use self::nodes::NodeStatus;
use self::pending::Pending;
use super::{Fetched, Fill, Put, Remote, RemoteError, RemoteFuture, Seen};
use crate::config::MAX_TTL;
use crate::record;

/// A [`Remote`] behind a deadline and a circuit breaker, which also remembers the removals that
/// the remote did not acknowledge and repeats them until it does. Clones share all of it, so
/// caches that share a remote learn of its outage together.
///
/// [`Redis`](crate::Redis) holds one; wrap a remote of your own with [`Guarded::new`].
///
/// The background task runs only while removals wait, and ends when the last clone is dropped;
/// removals still waiting then are lost, which [`shutdown`](Self::shutdown) reports.
#[derive(Clone)]
pub struct Guarded {
    inner: Arc<Inner>,
}

/// The state of a [`Guarded`] remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Whether the breaker of any node is open (or half open), so that it is not asked.
    pub breaker_open: bool,
    /// Removals that wait for the remote to acknowledge them.
    pub pending: usize,
    /// Whether so many removals came that nothing at all is read from the remote.
    pub blind: bool,
}

impl Guarded {
    /// Guards `remote`. `name` is its label in metrics and events; `deadline` bounds every call, by
    /// an hour at most. Settings out of bounds are brought within them.
    #[must_use]
    pub fn new(
        remote: impl Remote,
        name: &'static str,
        deadline: Duration,
        config: &OutageConfig,
    ) -> Self {
        let deadline = deadline.min(HOUR);
        let inner = Inner {
            remote: Box::new(remote),
            name,
            deadline,
            nodes: Nodes::new(name, config.rules(deadline)),
            pending: Mutex::new(Waitlist {
                table: Pending::new(config.max_pending.max(1)),
                worker: false,
            }),
            longest_ttl_ms: AtomicU64::new(0),
            pending_removals: gauge!("seawall_cache_pending_removals", "remote" => name),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether the remote is in reach, and what it has not heard of.
    #[must_use]
    pub fn status(&self) -> RemoteStatus {
        let pending = self.inner.pending.lock();
        RemoteStatus {
            breaker_open: self.inner.nodes.is_any_open(),
            pending: pending.table.len(),
            blind: pending.table.blinds(Instant::now()),
        }
    }

    /// The state of each node that was ever asked, by number.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.inner.nodes.status(Instant::now())
    }

    /// Tries the waiting removals until the remote has acknowledged them or `patience` has passed,
    /// then closes the remote. Returns how many removals it never heard of.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        let _ = timeout(patience, self.inner.drain()).await;
        let _ = timeout(self.inner.deadline, self.inner.remote.close()).await;
        self.inner.pending.lock().table.len()
    }

    /// A cache that keeps records for `ttl` uses this remote.
    pub(crate) fn expect_ttl(&self, ttl: Duration) {
        self.inner.note_ttl(ttl);
    }

    /// [`Remote::read`], unless a removal that waits hides the key.
    ///
    /// # Errors
    /// Within the deadline, if the remote does not answer, or is not asked.
    pub async fn read(&self, key: &str) -> Result<Fetched, RemoteError> {
        if self.inner.pending.lock().table.hides(key, Instant::now()) {
            return Err(RemoteError::RemovalPending);
        }
        let fetched = self.inner.call(key, || self.inner.remote.read(key)).await?;
        self.inner.note_ttl(fetched.remaining);
        Ok(fetched)
    }

    /// [`Remote::fill`], unless a removal that waits hides the key.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn fill(
        &self,
        key: &str,
        seen: Seen,
        keep: Duration,
        record: Bytes,
        ttl: Duration,
    ) -> Result<Fill, RemoteError> {
        if self.inner.pending.lock().table.hides(key, Instant::now()) {
            return Err(RemoteError::RemovalPending);
        }
        self.inner.note_ttl(ttl);
        self.inner.call(key, || self.inner.remote.fill(key, seen, keep, record, ttl)).await
    }

    /// [`Remote::put`]. If it fails, the removal of `key` is remembered, to be kept for `keep`.
    /// The future must be polled to its end: dropping it remembers nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn put(
        &self,
        key: &str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> Result<Put, RemoteError> {
        self.inner.note_ttl(ttl);
        let source = record::peek(&record).source;
        let sequence = self.inner.pending.lock().table.sequence();
        let answer = self.inner.call(key, || self.inner.remote.put(key, record, ttl)).await;
        match answer {
            Ok(Put::Stored(_)) => self.inner.settle(key, sequence),
            // Nothing was stored, so a removal that waits is still to be made.
            Ok(Put::Superseded) => {}
            // What the put had seen, fills must have seen too.
            Err(_) => self.inner.remember(key, source, keep),
        }
        answer
    }

    /// [`Remote::remove`]. If it fails, it is remembered.
    /// The future must be polled to its end: dropping it remembers nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn remove(&self, key: &str, source: u64, keep: Duration) -> Result<(), RemoteError> {
        let sequence = self.inner.pending.lock().table.sequence();
        let answer = self.inner.call(key, || self.inner.remote.remove(key, source, keep)).await;
        match answer {
            Ok(()) => self.inner.settle(key, sequence),
            Err(_) => self.inner.remember(key, source, keep),
        }
        answer
    }
}

impl<R: Remote> From<R> for Guarded {
    /// With a deadline of 100 ms and the default [`OutageConfig`].
    fn from(remote: R) -> Self {
        Self::new(remote, "remote", Duration::from_millis(100), &OutageConfig::default())
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("name", &self.inner.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct Inner {
    remote: Box<dyn Remote>,
    name: &'static str,
    deadline: Duration,
    nodes: Nodes,
    pending: Mutex<Waitlist>,
    /// How long a record may outlive a removal that was forgotten: see [`Pending`].
    longest_ttl_ms: AtomicU64,
    pending_removals: Gauge,
}

struct Waitlist {
    table: Pending,
    /// Whether the task that works it off is running.
    worker: bool,
}

impl Inner {
    /// One call about `text`, under the deadline and the breaker of its node.
    async fn call<'a, T>(
        &'a self,
        text: &str,
        operation: impl FnOnce() -> RemoteFuture<'a, T>,
    ) -> Result<T, RemoteError> {
        let attempt = self.nodes.get(self.remote.node(text)).admit()?;
        let answer = timeout(self.deadline, operation())
            .await
            .unwrap_or(Err(RemoteError::TimedOut { after: self.deadline }));
        attempt.tell(answer.as_ref().err());
        answer
    }

    /// What waited for `key` before `sequence` is settled.
    fn settle(&self, key: &str, sequence: u64) {
        let mut pending = self.pending.lock();
        pending.table.settle(key, sequence);
        self.report_pending(&pending.table);
    }

    /// The removal of `key` waits from now on: before its caller hears of the failure.
    fn remember(self: &Arc<Self>, key: &str, source: u64, keep: Duration) {
        let longest = Duration::from_millis(self.longest_ttl_ms.load(Ordering::Relaxed));
        let mut pending = self.pending.lock();
        if pending.table.remember(key, source, keep, longest, Instant::now()) {
            tracing::warn!(
                remote = self.name,
                "too many removals wait for the remote store; nothing is read from it"
            );
        }
        self.report_pending(&pending.table);
        let running = std::mem::replace(&mut pending.worker, true);
        drop(pending);
        if !running {
            worker::start(self);
        }
    }

    fn report_pending(&self, table: &Pending) {
        self.pending_removals.set(table.len() as f64);
    }

    fn note_ttl(&self, ttl: Duration) {
        let ms = u64::try_from(ttl.min(MAX_TTL).as_millis()).unwrap_or(u64::MAX);
        if ms > self.longest_ttl_ms.load(Ordering::Relaxed) {
            self.longest_ttl_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
