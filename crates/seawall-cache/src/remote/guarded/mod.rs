//! A remote that may be down: deadline, breaker, and the removals it has not heard of yet.

mod breaker;
mod calls;
mod pending;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use self::breaker::{Admission, Breaker, Change};
use self::pending::{Pending, Task};
use super::{Fetched, Remote, RemoteError, RemoteFuture};
use crate::config::MAX_TTL;
use crate::error::ConfigError;
use crate::marks::MarkChange;

/// How a [`Guarded`] deals with a remote that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct OutageConfig {
    /// How many calls in a row must fail before the breaker opens. At least 1. Default: 3.
    pub failures: u32,
    /// How long the breaker stays open before it lets one probe through. 1 ms to 1 hour.
    /// Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub open_for: Duration,
    /// How many keys to remove and marks to advance are remembered while the remote is out of reach, about 150 bytes each.
    /// When more come, nothing is read from the remote until these are acknowledged and the
    /// longest TTL seen has passed. At least 1. Default: 10 000.
    pub max_pending: usize,
}

impl Default for OutageConfig {
    fn default() -> Self {
        Self { failures: 3, open_for: Duration::from_secs(1), max_pending: 10_000 }
    }
}

impl OutageConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        ConfigError::check(self.failures >= 1, "failures", &self.failures, "at least 1")?;
        ConfigError::check(
            (ms..=HOUR).contains(&self.open_for),
            "open_for",
            &self.open_for,
            "1 ms to 1 hour",
        )?;
        ConfigError::check(self.max_pending >= 1, "max_pending", &self.max_pending, "at least 1")
    }
}

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
    /// Whether the breaker is open (or half open), so that the remote is not asked.
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
        let inner = Inner {
            remote: Box::new(remote),
            name,
            deadline: deadline.min(HOUR),
            breaker: Mutex::new(Breaker::new(config.failures.max(1), config.open_for.min(HOUR))),
            pending: Mutex::new(Waitlist {
                table: Pending::new(config.max_pending.max(1)),
                worker: false,
            }),
            longest_ttl_ms: AtomicU64::new(0),
            breaker_open: gauge!("seawall_cache_breaker_open", "remote" => name),
            pending_removals: gauge!("seawall_cache_pending_removals", "remote" => name),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether the remote is in reach, and what it has not heard of.
    #[must_use]
    pub fn status(&self) -> RemoteStatus {
        let pending = self.inner.pending.lock();
        RemoteStatus {
            breaker_open: self.inner.breaker.lock().is_open(),
            pending: pending.table.len(),
            blind: pending.table.blinds(Instant::now()),
        }
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
    breaker: Mutex<Breaker>,
    pending: Mutex<Waitlist>,
    /// How long a record may outlive a removal that was forgotten: see [`Pending`].
    longest_ttl_ms: AtomicU64,
    breaker_open: Gauge,
    pending_removals: Gauge,
}

struct Waitlist {
    table: Pending,
    /// Whether the task that works it off is running.
    worker: bool,
}

impl Inner {
    /// One call to the remote, under the deadline and the breaker.
    async fn call<'a, T>(
        &'a self,
        operation: impl FnOnce() -> RemoteFuture<'a, T>,
    ) -> Result<T, RemoteError> {
        let admission = self.breaker.lock().admit(Instant::now());
        if admission == Admission::Refused {
            return Err(RemoteError::BreakerOpen);
        }
        let mut attempt = Attempt { inner: self, admission, told: false };
        let answer = timeout(self.deadline, operation())
            .await
            .unwrap_or(Err(RemoteError::TimedOut { after: self.deadline }));
        attempt.tell(answer.as_ref().err());
        answer
    }

    /// A call on a key that is not read while a removal of it waits.
    async fn call_unhidden<'a, T>(
        &'a self,
        key: &str,
        operation: impl FnOnce() -> RemoteFuture<'a, T>,
    ) -> Result<T, RemoteError> {
        if self.hides(key) {
            return Err(RemoteError::RemovalPending);
        }
        self.call(operation).await
    }

    fn hides(&self, key: &str) -> bool {
        self.pending.lock().table.hides(key, Instant::now())
    }

    fn sequence(&self) -> u64 {
        self.pending.lock().table.sequence()
    }

    /// As many reads in one call. One that is out of reach tells the breaker.
    async fn call_many(&self, texts: &[String]) -> Vec<Result<Fetched, RemoteError>> {
        if texts.is_empty() {
            return Vec::new();
        }
        let admission = self.breaker.lock().admit(Instant::now());
        if admission == Admission::Refused {
            return texts.iter().map(|_| Err(RemoteError::BreakerOpen)).collect();
        }
        let mut attempt = Attempt { inner: self, admission, told: false };
        let after = self.deadline;
        let mut answers = timeout(after, self.remote.read_many(texts)).await.unwrap_or_default();
        answers.resize_with(texts.len(), || Err(RemoteError::TimedOut { after }));
        let errors = || answers.iter().filter_map(|answer| answer.as_ref().err());
        attempt.tell(errors().find(|error| error.is_outage()).or_else(|| errors().next()));
        for fetched in answers.iter().flatten() {
            self.note_ttl(fetched.remaining);
        }
        answers
    }

    /// What waited for the mark `key` before `sequence` is settled, as far as `change` did it.
    fn settle_advance(&self, key: &str, sequence: u64, change: &MarkChange) {
        let mut pending = self.pending.lock();
        pending.table.settle_advance(key, sequence, change);
        self.report_pending(&pending.table);
    }

    /// What waited for `key` before `sequence` is settled.
    fn settle(&self, key: &str, sequence: u64) {
        let mut pending = self.pending.lock();
        pending.table.settle(key, sequence);
        self.report_pending(&pending.table);
    }

    /// What is to be done to `key` waits from now on: before its caller hears of the failure.
    fn remember(self: &Arc<Self>, key: &str, task: Task) {
        let longest = Duration::from_millis(self.longest_ttl_ms.load(Ordering::Relaxed));
        let mut pending = self.pending.lock();
        if pending.table.remember(key, task, longest, Instant::now()) {
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

    fn announce(&self, change: Option<Change>) {
        match change {
            Some(Change::Opened) => {
                self.breaker_open.set(1.0);
                tracing::warn!(remote = self.name, "remote store out of reach, breaker opened");
            }
            Some(Change::Closed) => {
                self.breaker_open.set(0.0);
                tracing::info!(remote = self.name, "remote store in reach again, breaker closed");
            }
            None => {}
        }
    }
}

/// Tells the breaker how a call ended, also when it is dropped half-way.
struct Attempt<'a> {
    inner: &'a Inner,
    admission: Admission,
    told: bool,
}

impl Attempt<'_> {
    fn tell(&mut self, error: Option<&RemoteError>) {
        self.told = true;
        let mut breaker = self.inner.breaker.lock();
        let change = if error.is_some_and(RemoteError::is_outage) {
            breaker.failed(self.admission, Instant::now())
        } else {
            breaker.succeeded(self.admission)
        };
        drop(breaker);
        self.inner.announce(change);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.inner.breaker.lock().abandoned(self.admission, Instant::now());
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
