//! A remote that may be down: deadline, breaker, and the removals it has not heard of yet.

mod breaker;
mod calls;
mod config;
mod nodes;
mod pending;
mod window;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use self::config::HOUR;
pub use self::config::OutageConfig;
pub use self::nodes::NodeStatus;
use self::nodes::{Attempt, Nodes};
use self::pending::{Pending, Task};
use super::{Fetched, Remote, RemoteError, RemoteFuture, Tracking};
use crate::config::MAX_TTL;
use crate::marks::MarkChange;

/// A [`Remote`] behind a deadline and a circuit breaker for each of its nodes, which also remembers the removals that
/// the remote did not acknowledge and repeats them until it does. Clones share all of it, so
/// caches that share a remote learn of its outage together.
///
/// [`Redis`](crate::Redis) holds one; wrap a remote of your own with [`Guarded::new`].
///
/// A background task repeats them, and tries nodes out whose breaker is open: no caller's call is
/// spent on that. It runs only while there is something to do, and ends when the last clone is
/// dropped; removals still waiting then are lost, which [`shutdown`](Self::shutdown) reports.
#[derive(Clone)]
pub struct Guarded {
    inner: Arc<Inner>,
}

/// The state of a [`Guarded`] remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Whether the breaker of any node is open (or half open), so that it is not asked. The
    /// background task tries such a node out, whether or not there are calls.
    pub breaker_open: bool,
    /// Removals that wait for the remote to acknowledge them.
    pub pending: usize,
    /// Whether so many removals came that nothing at all is read from the remote.
    pub blind: bool,
    /// Whether the remote tells of writes by others.
    pub tracking: Tracking,
}

impl Guarded {
    /// Guards `remote`. `name` is its label in metrics and events; `deadline` bounds every call, from
    /// 1 ms to an hour. Settings out of bounds are brought within them.
    #[must_use]
    pub fn new(
        remote: impl Remote,
        name: &'static str,
        deadline: Duration,
        config: &OutageConfig,
    ) -> Self {
        let deadline = deadline.clamp(Duration::from_millis(1), HOUR);
        let inner = Inner {
            bounds_reads: remote.bounds_reads(),
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
            tracking: self.inner.remote.tracking(),
        }
    }

    /// The state of each node that was asked so far, by number.
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
    bounds_reads: bool,
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
        self: &'a Arc<Self>,
        text: &str,
        operation: impl FnOnce() -> RemoteFuture<'a, T>,
    ) -> Result<T, RemoteError> {
        let attempt = self.admit(self.remote.node(text), text)?;
        let answer = timeout_at(attempt.started() + self.deadline, operation())
            .await
            .unwrap_or(Err(RemoteError::TimedOut { after: self.deadline }));
        attempt.tell(answer.as_ref().err());
        answer
    }

    /// Lets a call through to `node` about `text`, one of its texts.
    fn admit<'a>(
        self: &'a Arc<Self>,
        node: u32,
        text: &'a str,
    ) -> Result<Attempt<'a, impl Fn() + 'a>, RemoteError> {
        let admitted = self.nodes.get(node).admit(text, || self.work());
        if admitted.is_err() {
            // The runtime of the task may be gone.
            self.work();
        }
        admitted
    }

    /// A call on a key that is not read while a removal of it waits.
    async fn call_unhidden<'a, T>(
        self: &'a Arc<Self>,
        key: &str,
        operation: impl FnOnce() -> RemoteFuture<'a, T>,
    ) -> Result<T, RemoteError> {
        if self.hides(key) {
            return Err(RemoteError::RemovalPending);
        }
        self.call(key, operation).await
    }

    fn hides(&self, key: &str) -> bool {
        let pending = self.pending.lock();
        !pending.table.hides_nothing() && pending.table.hides(key, Instant::now())
    }

    fn sequence(&self) -> u64 {
        self.pending.lock().table.sequence()
    }

    /// Reads, node by node at once: one that does not answer fails its own reads only, as far as
    /// the remote's connections are separate.
    async fn call_many(self: &Arc<Self>, texts: &[String]) -> Vec<Result<Fetched, RemoteError>> {
        let after = self.deadline;
        let read = async |node: u32, texts: &[String]| -> Vec<Result<Fetched, RemoteError>> {
            let first = texts.first().map_or("", String::as_str);
            let Ok(attempt) = self.admit(node, first) else {
                return texts.iter().map(|_| Err(RemoteError::BreakerOpen)).collect();
            };
            let reads = timeout(after, self.remote.read_many(texts));
            let mut answers = reads.await.unwrap_or_default();
            answers.resize_with(texts.len(), || Err(RemoteError::TimedOut { after }));
            let errors = || answers.iter().filter_map(|answer| answer.as_ref().err());
            attempt.tell(errors().find(|error| error.is_outage()).or_else(|| errors().next()));
            answers
        };
        let groups = self.by_node(texts);
        let answers = match groups.as_slice() {
            [(node, _)] => read(*node, texts).await,
            _ => {
                let reads = groups
                    .iter()
                    .map(async |(node, places)| (places, read(*node, &pick(texts, places)).await));
                in_order(texts.len(), join_all(reads).await)
            }
        };
        for fetched in answers.iter().flatten() {
            self.note_ttl(fetched.remaining);
        }
        answers
    }

    /// A call about many texts, node by node at once: one that is out of reach fails its own texts
    /// only.
    async fn call_all<T>(
        self: &Arc<Self>,
        texts: &[String],
        operation: impl for<'r> Fn(&'r dyn Remote, &'r [String]) -> RemoteFuture<'r, Vec<T>>,
    ) -> Vec<Result<T, RemoteError>> {
        let ask = async |texts: &[String]| -> Vec<Result<T, RemoteError>> {
            let first = texts.first().map_or("", String::as_str);
            let failed = match self.call(first, || operation(&*self.remote, texts)).await {
                Ok(answers) if answers.len() == texts.len() => {
                    return answers.into_iter().map(Ok).collect();
                }
                Ok(_) => RemoteError::Refused("not one answer for each text".into()),
                Err(error) => error,
            };
            texts.iter().map(|_| Err(failed.again())).collect()
        };
        let groups = self.by_node(texts);
        if groups.len() == 1 {
            return ask(texts).await;
        }
        let calls =
            groups.iter().map(async |(_, places)| (places, ask(&pick(texts, places)).await));
        in_order(texts.len(), join_all(calls).await)
    }

    /// The places of `texts`, by the node that serves them.
    fn by_node(&self, texts: &[String]) -> Vec<(u32, Vec<usize>)> {
        let mut groups = BTreeMap::<u32, Vec<usize>>::new();
        for (place, text) in texts.iter().enumerate() {
            groups.entry(self.remote.node(text)).or_default().push(place);
        }
        groups.into_iter().collect()
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
        // Writes that are under way may take effect until their deadline, and live from then on.
        let longest = Duration::from_millis(self.longest_ttl_ms.load(Ordering::Relaxed));
        let longest = longest.saturating_add(self.deadline);
        let mut pending = self.pending.lock();
        if pending.table.remember(key, task, longest, Instant::now()) {
            tracing::warn!(
                remote = self.name,
                "too many removals wait for the remote store; nothing is read from it"
            );
        }
        self.report_pending(&pending.table);
        drop(pending);
        self.work();
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

fn pick(texts: &[String], places: &[usize]) -> Vec<String> {
    places.iter().filter_map(|place| texts.get(*place)).cloned().collect()
}

/// Puts the answers for groups of places where they belong.
fn in_order<T>(count: usize, groups: Vec<(&Vec<usize>, Vec<T>)>) -> Vec<T> {
    let mut placed: Vec<Option<T>> = (0..count).map(|_| None).collect();
    for (places, answers) in groups {
        for (place, answer) in places.iter().zip(answers) {
            if let Some(slot) = placed.get_mut(*place) {
                *slot = Some(answer);
            }
        }
    }
    placed.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
