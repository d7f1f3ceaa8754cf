//! A remote in this process, by the same rules as the Redis one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Fetched, Fill, Put, Remote, RemoteFuture, Seen};
use crate::config::MAX_TTL;
use crate::record::{self, Peek};

/// A [`Remote`] in this process: for tests, and for several caches of one process that share
/// entries. Clones share the store.
///
/// It follows the same rules as Redis and passes the same conformance tests. It never fails.
/// At most `capacity` entries are kept; when it is full, entries that expire soonest make room,
/// by sample. Tombstones do not count and are never evicted; they expire by themselves.
#[derive(Clone)]
pub struct MemoryRemote {
    store: Arc<Mutex<Store>>,
}

impl MemoryRemote {
    /// An empty store of at most `capacity` entries (at least 1).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let now = Instant::now();
        let store = Store { records: HashMap::new(), entries: 0, capacity, epoch: now, swept: now };
        Self { store: Arc::new(Mutex::new(store)) }
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
        let store = self.store.lock();
        f.debug_struct("MemoryRemote")
            .field("entries", &store.entries)
            .field("capacity", &store.capacity)
            .finish()
    }
}

impl Remote for MemoryRemote {
    fn read<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Fetched> {
        self.answer(move |store, now| {
            let found = store.live(key, now);
            Fetched {
                bytes: found.map(|stored| stored.bytes.clone()),
                remaining: found.map_or(Duration::ZERO, |stored| stored.expires - now),
                now: store.micros(now),
            }
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
        self.answer(move |store, now| {
            let there = store.peek(key, now);
            let waited = Duration::from_micros(store.micros(now).saturating_sub(seen.at));
            if there.version != seen.version {
                Fill::Moved
            } else if waited > keep {
                Fill::Late
            } else if there.tombstone && record::peek(&record).source < there.source {
                Fill::OldSource
            } else {
                let source = record::peek(&record).source;
                Fill::Stored(store.write(key, &record, source, ttl, now))
            }
        })
    }

    fn put<'a>(&'a self, key: &'a str, record: Bytes, ttl: Duration) -> RemoteFuture<'a, Put> {
        self.answer(move |store, now| {
            let source = record::peek(&record).source;
            if source > 0 && store.peek(key, now).source > source {
                return Put::Superseded;
            }
            Put::Stored(store.write(key, &record, source, ttl, now))
        })
    }

    fn remove<'a>(&'a self, key: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, ()> {
        self.answer(move |store, now| {
            let there = store.peek(key, now);
            let inherits = there.tombstone || source > 0;
            let source = if inherits { source.max(there.source) } else { 0 };
            store.write(key, &record::tombstone(key, source), source, keep, now);
        })
    }
}

impl MemoryRemote {
    fn answer<'a, T>(
        &'a self,
        operation: impl FnOnce(&mut Store, Instant) -> T + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        Box::pin(async { Ok(operation(&mut self.store.lock(), Instant::now())) })
    }
}

struct Store {
    records: HashMap<Box<str>, Stored>,
    /// Records that are not tombstones.
    entries: usize,
    capacity: usize,
    epoch: Instant,
    swept: Instant,
}

struct Stored {
    bytes: Bytes,
    expires: Instant,
    tombstone: bool,
}

impl Store {
    fn live(&self, key: &str, now: Instant) -> Option<&Stored> {
        self.records.get(key).filter(|stored| stored.expires > now)
    }

    fn peek(&self, key: &str, now: Instant) -> Peek {
        self.live(key, now).map_or_else(Peek::default, |stored| record::peek(&stored.bytes))
    }

    /// Never 0, which stands for absence.
    fn micros(&self, now: Instant) -> u64 {
        u64::try_from((now - self.epoch).as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn write(&mut self, key: &str, record: &[u8], source: u64, ttl: Duration, now: Instant) -> u64 {
        let version = self.micros(now).max(self.peek(key, now).version + 1);
        let bytes = record::stamp(record, version, source);
        let tombstone = record::peek(&bytes).tombstone;
        self.drop_record(key);
        self.sweep(now);
        if !tombstone {
            self.make_room();
            self.entries += 1;
        }
        self.records
            .insert(key.into(), Stored { bytes, expires: now + ttl.min(MAX_TTL), tombstone });
        version
    }

    /// Drops what has expired, at most once a second.
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        self.records.retain(|_, stored| stored.expires > now);
        self.entries = self.records.values().filter(|stored| !stored.tombstone).count();
    }

    fn make_room(&mut self) {
        while self.entries >= self.capacity.max(1) {
            let sample = self.records.iter().filter(|(_, stored)| !stored.tombstone).take(SAMPLE);
            let Some((key, _)) = sample.min_by_key(|(_, stored)| stored.expires) else {
                return;
            };
            let key = key.clone();
            self.drop_record(&key);
        }
    }

    fn drop_record(&mut self, key: &str) {
        if self.records.remove(key).is_some_and(|stored| !stored.tombstone) {
            self.entries -= 1;
        }
    }
}

/// How many entries are compared to find one to evict.
const SAMPLE: usize = 8;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
