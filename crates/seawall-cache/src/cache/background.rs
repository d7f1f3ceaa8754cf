//! What goes on when no caller waits: L1 is compared with L2 where it may have missed something.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Inner, Progress};
use crate::key::CacheKey;
use crate::local::{Cell, Check, Entry, Local};
use crate::remote::Watcher;
use crate::remote::guarded::Guarded;
use crate::stats::Counters;

/// The task of one cache that does it, and what wakes it.
pub(super) struct Background<K: Hash + Eq, V> {
    ears: Arc<Ears<K, V>>,
    running: Arc<AtomicBool>,
    /// Dropped with the cache, which ends the task.
    quit: watch::Sender<()>,
}

/// Hears what the remote tells, passes it on to L1, and wakes the task.
struct Ears<K, V> {
    local: Arc<Local<K, V, Progress<V>>>,
    counters: Arc<Counters>,
    /// Messages were lost.
    lost: Notify,
    /// Whether the remote has said if it tells.
    said: Mutex<bool>,
}

impl<K, V> Background<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(local: &Arc<Local<K, V, Progress<V>>>, counters: &Arc<Counters>) -> Self {
        let ears = Ears {
            local: Arc::clone(local),
            counters: Arc::clone(counters),
            lost: Notify::new(),
            said: Mutex::new(false),
        };
        let running = Arc::default();
        Self { ears: Arc::new(ears), running, quit: watch::Sender::new(()) }
    }

    /// From now on hears of what happens in `remote`, if it tells.
    pub(super) fn watch(&self, namespace: &str, remote: &Guarded) {
        let ears: Weak<Ears<K, V>> = Arc::downgrade(&self.ears);
        let tells = remote.watch(namespace, ears);
        // What it said meanwhile is newer.
        let said = self.ears.said.lock();
        if tells && !*said {
            self.ears.local.watched();
        }
    }

    /// Starts the task, if it is not running. It needs a runtime, which the cache may have been
    /// built without.
    pub(super) fn ensure(&self, inner: &Inner<K, V>) {
        let Some(remote) = &inner.remote else { return };
        if self.running.load(Ordering::Relaxed) || self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        // Made here, not in the task: a task may be dropped before its first poll.
        let running = Running(Arc::clone(&self.running));
        let work = Work {
            ears: Arc::clone(&self.ears),
            remote: remote.clone(),
            namespace: inner.namespace.clone(),
        };
        let mut quit = self.quit.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = quit.changed() => {}
                never = work.go_on() => match never.0 {},
            }
            drop(running);
        });
    }
}

/// Lets the next caller start the task again if its runtime shuts down under it.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What came of reading marks.
struct Reading<'c> {
    /// L2 did not answer for these.
    failed: Vec<&'c Arc<Cell>>,
    /// None has surely been advanced.
    unmoved: bool,
}

/// Marks that callers wait for: settled when it is dropped, wherever that is.
struct Settling<'l, K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    local: &'l Local<K, V, Progress<V>>,
    marks: u64,
    unmoved: bool,
}

impl<K, V> Drop for Settling<'_, K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.local.settle_marks(self.marks, self.unmoved);
    }
}

struct Work<K, V> {
    ears: Arc<Ears<K, V>>,
    remote: Guarded,
    namespace: Box<str>,
}

impl<K, V> Work<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    async fn go_on(&self) -> (Infallible, Infallible) {
        // Side by side: after lost messages all of L1 is compared, and what is queued, which is
        // served meanwhile, must not wait for that.
        let queued = async {
            loop {
                self.ears.local.checks().await;
                self.check_queued().await;
            }
        };
        let suspects = async {
            loop {
                self.ears.lost.notified().await;
                self.check_suspects().await;
            }
        };
        tokio::join!(queued, suspects)
    }

    /// What L1 goes on serving while L2 is asked whether it is still right.
    async fn check_queued(&self) {
        loop {
            let checks = self.ears.local.take_checks(AT_ONCE);
            if checks.is_empty() {
                return;
            }
            let (mut entries, mut cells) = (Vec::new(), Vec::new());
            for check in checks {
                match check {
                    Check::Entry(key, entry) => entries.push((key, entry)),
                    Check::Mark(cell) => cells.push(cell),
                }
            }
            let local = &self.ears.local;
            let mut settling = Settling { local, marks: cells.len() as u64, unmoved: false };
            let began = local.oldest_flight();
            let read = self.read_marks(&cells, began.unwrap_or_else(Instant::now)).await;
            for cell in &read.failed {
                local.doubt(cell);
            }
            settling.unmoved = began.is_none() || read.unmoved;
            drop(settling);
            for (key, entry) in self.compare(&entries).await {
                local.discard(key, entry);
            }
        }
    }

    /// After messages were lost: compares all of L1 by version instead of dropping it.
    async fn check_suspects(&self) {
        let local = &self.ears.local;
        let now = local.clock().now();
        let suspects = local.pass_over(move |local| local.suspects(now)).await.unwrap_or_default();
        if suspects.is_empty() {
            return;
        }
        tracing::debug!(cache = &*self.namespace, entries = suspects.len(), "comparing L1 with L2");
        let mut cells = vec![Arc::clone(local.namespace())];
        for (_, entry) in &suspects {
            cells.extend(entry.tags().iter().map(|(cell, _)| Arc::clone(cell)));
        }
        cells.sort_unstable_by(|a, b| a.text().cmp(b.text()));
        cells.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for cells in cells.chunks(AT_ONCE) {
            self.read_marks(cells, Instant::now()).await;
        }
        let mut rest = suspects.into_iter().peekable();
        let chunks = std::iter::from_fn(|| {
            rest.peek()?;
            Some(rest.by_ref().take(AT_ONCE).collect::<Vec<_>>())
        });
        // What fails stays suspect: the next read of it asks L2.
        stream::iter(chunks)
            .map(|chunk| async move { self.compare(&chunk).await.len() })
            .buffer_unordered(CHUNKS)
            .count()
            .await;
    }

    /// `since`: see [`MarkRead::unmoved`](crate::MarkRead::unmoved).
    async fn read_marks<'c>(&self, cells: &'c [Arc<Cell>], since: Instant) -> Reading<'c> {
        let mut reading = Reading { failed: Vec::new(), unmoved: true };
        if cells.is_empty() {
            return reading;
        }
        let local = &self.ears.local;
        let texts: Vec<_> = cells.iter().map(|cell| cell.text().to_owned()).collect();
        cells.iter().for_each(|cell| cell.place(self.remote.node(cell.text())));
        let ask = local.ask(local.clock().now());
        let reads = self.remote.marks(&texts, since).await;
        let now = local.clock().now();
        for (cell, read) in cells.iter().zip(reads) {
            match read {
                Ok(read) => {
                    reading.unmoved &= read.unmoved;
                    local.learn(cell, ask, read.mark, now);
                }
                Err(error) => {
                    if reading.failed.is_empty() {
                        self.ears.counters.remote_error(&error);
                    }
                    reading.unmoved = false;
                    reading.failed.push(cell);
                }
            }
        }
        reading
    }

    /// Compares entries with L2 by version. Returns those that L2 did not answer for.
    async fn compare<'e>(&self, entries: &'e [(K, Entry<V>)]) -> Vec<&'e (K, Entry<V>)> {
        if entries.is_empty() {
            return Vec::new();
        }
        let local = &self.ears.local;
        let text = |(key, _): &(K, _)| crate::text::entry(&self.namespace, key);
        let texts: Vec<_> = entries.iter().map(text).collect();
        let epoch = local.coherence().epoch();
        let versions = self.remote.versions(&texts).await;
        let now = local.clock().now();
        let mut failed = Vec::new();
        for ((compared, text), version) in entries.iter().zip(&texts).zip(versions) {
            let (key, entry) = compared;
            match version {
                Ok(version) => {
                    let same =
                        local.settle(key, entry, (self.remote.node(text), version), epoch, now);
                    self.ears.counters.revalidated(same);
                }
                Err(error) => {
                    if failed.is_empty() {
                        self.ears.counters.remote_error(&error);
                    }
                    self.ears.counters.not_revalidated();
                    failed.push(compared);
                }
            }
        }
        failed
    }
}

impl<K, V> Watcher for Ears<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn changed(&self, text: &str, version: Option<u64>) {
        self.local.changed(text, version);
    }

    fn landed(&self, text: &str) {
        self.local.landed(text);
    }

    fn lost(&self, node: Option<u32>) {
        self.local.lost(node);
        self.lost.notify_one();
    }

    fn link(&self, node: u32, up: bool) {
        self.local.link(node, up);
        if up {
            self.lost.notify_one();
        }
    }

    fn proved(&self, at: Instant) {
        self.local.proved(at);
    }

    fn tells(&self, tells: bool) {
        let mut said = self.said.lock();
        *said = true;
        self.local.tells(tells);
        drop(said);
        self.lost.notify_one();
    }
}

/// Entries compared with one command.
const AT_ONCE: usize = 256;

/// Such commands that are under way at the same time.
const CHUNKS: usize = 4;
