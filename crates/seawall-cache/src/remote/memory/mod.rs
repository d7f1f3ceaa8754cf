//! A remote in this process, by the same rules as the Redis one.

mod store;
mod watchers;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::store::Store;
use self::watchers::{Told, Watchers};
use super::{
    Fetched, Fill, Leased, MarkRead, Put, Remote, RemoteFuture, Seen, Swept, Ticket, Tracking,
    Watcher,
};
use crate::marks::{Mark, MarkChange};

/// A [`Remote`] in this process: for tests, and for several caches of one process that share
/// entries. Clones share the store.
///
/// It follows the same rules as Redis and passes the same conformance tests. It never fails.
/// At most `capacity` entries are kept; when it is full, entries that expire soonest make room,
/// by sample. Tombstones do not count and are never evicted; they expire by themselves. Marks are
/// bounded apart, by `capacity` or 1024: a mark that had to go comes back as one that invalidates
/// no less.
///
/// Watchers are told before the write that concerns them is acknowledged, by the task that made
/// it. Expiry and eviction are not told.
#[derive(Clone)]
pub struct MemoryRemote {
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    watchers: Watchers,
}

impl MemoryRemote {
    /// An empty store of at most `capacity` entries (at least 1).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let store = Mutex::new(Store::new(capacity.max(1), Instant::now()));
        Self { shared: Arc::new(Shared { store, watchers: Watchers::default() }) }
    }

    /// Does `act` under the lock, and tells the watchers of `text` about it after.
    fn answer<'a, T>(
        &'a self,
        text: &'a str,
        act: impl FnOnce(&mut Store, Instant) -> (T, Told) + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        Box::pin(async move {
            let (answer, told) = act(&mut self.shared.store.lock(), Instant::now());
            self.shared.watchers.tell(text, told);
            Ok(answer)
        })
    }

    /// Does what no watcher cares about.
    fn look<'a, T>(
        &'a self,
        act: impl FnOnce(&mut Store, Instant) -> T + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        Box::pin(async move { Ok(act(&mut self.shared.store.lock(), Instant::now())) })
    }
}

impl Default for MemoryRemote {
    /// Room for 100 000 entries.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl fmt::Debug for MemoryRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.shared.store.lock();
        f.debug_struct("MemoryRemote")
            .field("entries", &store.entries())
            .field("capacity", &store.capacity())
            .finish()
    }
}

impl Remote for MemoryRemote {
    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        self.look(move |store, now| store.read(text, now))
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        self.look(move |store, now| texts.iter().map(|text| store.version(text, now)).collect())
    }

    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased> {
        self.look(move |store, now| store.lease(text, seen, token, hold, now))
    }

    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool> {
        self.look(move |store, now| store.renew(text, token, hold, now))
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        self.answer(text, move |store, now| ((), store.end_own_lease(text, Some(token), now)))
    }

    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        self.answer(text, move |store, now| store.fill(text, ticket, &record, ttl, now))
    }

    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put> {
        self.answer(text, move |store, now| store.put(text, &record, ttl, keep, now))
    }

    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64> {
        self.answer(text, move |store, now| store.remove(text, source, keep, now))
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        self.look(move |store, now| {
            let since = store.micros(since);
            let read = |text: &String| {
                let mark = store.mark(text, now).clone();
                MarkRead { unmoved: mark.version() < since, mark }
            };
            texts.iter().map(read).collect()
        })
    }

    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark> {
        self.answer(text, move |store, now| {
            let at = store.micros(now);
            let mark = store.mark_to_advance(text, now);
            let version = mark.advance(change, at);
            (mark.clone(), Told { changed: Some(version), landed: false })
        })
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept> {
        Box::pin(async move {
            let texts = self.shared.store.lock().matching(pattern);
            let mut swept = Swept { nodes: 1, ..Swept::default() };
            for step in texts.chunks(STEP) {
                let mut told = Vec::new();
                {
                    let (mut store, now) = (self.shared.store.lock(), Instant::now());
                    for text in step {
                        if let Some(change) = store.sweep(text, before, keep, now) {
                            told.push((text, change));
                        }
                    }
                }
                swept.scanned += step.len() as u64;
                swept.removed += told.len() as u64;
                for (text, change) in told {
                    self.shared.watchers.tell(text, change);
                }
                progress(swept);
                tokio::task::yield_now().await;
            }
            swept.nodes_done = 1;
            progress(swept);
            Ok(swept)
        })
    }

    fn tracking(&self) -> Tracking {
        Tracking::Up
    }

    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        self.shared.watchers.add(namespace, watcher);
        true
    }
}

/// Entries that a sweep looks at under one lock.
const STEP: usize = 512;

#[cfg(test)]
mod tests;
