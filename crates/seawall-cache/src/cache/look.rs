//! What L2 has, and whether its marks allow it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Inner;
use super::marks::Stamped;
use crate::config::MAX_TTL;
use crate::key::CacheKey;
use crate::local::{self, Cell, Draft, Entry, Tick};
use crate::marks::Verdict;
use crate::record::{self, Record, Stored};
use crate::remote::guarded::Guarded;
use crate::remote::{Fetched, RemoteError, Seen};

/// What a look into L2 brought.
pub(super) enum Looked<V> {
    /// An entry, fresh or stale. `marked`: a mark makes it stale.
    Found {
        draft: Draft<V>,
        marked: bool,
        seen: Seen,
    },
    /// Nothing that counts. A fill must show `seen`, and come from `min_source` or newer: what a
    /// tombstone asks for, or what the entry came from that is there no more.
    /// `removed`: L2 says that the key was removed or cleared.
    Miss {
        seen: Seen,
        min_source: u64,
        removed: bool,
    },
    Failed(RemoteError),
}

/// What is asked of L2.
pub(super) struct Asked<'a, K, V> {
    pub(super) key: &'a K,
    pub(super) text: &'a str,
    /// An entry from an older source is a miss.
    pub(super) min_source: u64,
    /// What L1 has: if L2 has the same, it is not decoded again.
    pub(super) known: Option<&'a Entry<V>>,
}

/// Marks by their text, as L2 answered: one that cannot be read fails the entries that carry it.
type Marks = HashMap<Box<str>, Result<crate::marks::Mark, RemoteError>>;

/// A look that may still lack marks.
enum Half<V> {
    Looked(Looked<V>),
    Marks { draft: Draft<V>, seen: Seen },
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Looks one key up in L2.
    pub(super) async fn look(&self, remote: &Guarded, asked: Asked<'_, K, V>) -> Looked<V> {
        // Before the request: L1 must not think the entry lives longer than L2 does.
        let at = self.local.clock().now();
        let (fetched, ()) = tokio::join!(remote.read(asked.text), self.know_namespace());
        let half = self.open(remote, &asked, at, fetched);
        let cells = half.cells(self.local.namespace());
        if cells.is_empty() {
            return self.finish(asked.key, half, &Marks::new());
        }
        let marks = self.marks_of(remote, &cells).await;
        self.finish(asked.key, half, &marks)
    }

    /// Looks many keys up in L2, with one command or pipeline for each of its nodes and
    /// [`AT_ONCE`] keys. The answers are in the order of `asked`.
    pub(super) async fn look_many(
        &self,
        remote: &Guarded,
        asked: &[Asked<'_, K, V>],
    ) -> Vec<Looked<V>> {
        let at = self.local.clock().now();
        let reads = asked.chunks(AT_ONCE).map(|asked| async move {
            let texts: Vec<_> = asked.iter().map(|asked| asked.text.to_owned()).collect();
            remote.read_many(&texts).await
        });
        let (fetched, ()) = tokio::join!(join_all(reads), self.know_namespace());
        let mut fetched = fetched.into_iter().flatten();
        let mut halves = Vec::with_capacity(asked.len());
        let mut cells = Vec::new();
        for asked in asked {
            let missing = || Err(RemoteError::Refused("not one answer for each key".into()));
            let half = self.open(remote, asked, at, fetched.next().unwrap_or_else(missing));
            cells.extend(half.cells(self.local.namespace()));
            halves.push(half);
        }
        cells.sort_unstable_by(|a, b| a.text().cmp(b.text()));
        cells.dedup_by(|a, b| a.text() == b.text());
        let marks = match cells.is_empty() {
            true => Marks::new(),
            false => self.marks_of(remote, &cells).await,
        };
        let halves = asked.iter().zip(halves);
        halves.map(|(asked, half)| self.finish(asked.key, half, &marks)).collect()
    }

    /// Checks what was fetched, as far as that goes with the marks this node knows.
    fn open(
        &self,
        remote: &Guarded,
        asked: &Asked<'_, K, V>,
        at: Tick,
        fetched: Result<Fetched, RemoteError>,
    ) -> Half<V> {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                self.counters.remote_error(&error);
                return Half::Looked(Looked::Failed(error));
            }
        };
        let bytes: &[u8] = fetched.bytes.as_deref().unwrap_or_default();
        let there = record::peek(bytes);
        let seen = Seen { version: there.version, at: fetched.now };
        let miss = |min_source, removed| Half::Looked(Looked::Miss { seen, min_source, removed });
        if fetched.bytes.is_none() {
            return miss(0, false);
        }
        let stored = match record::open(bytes, asked.text, self.config.schema, self.bounds) {
            Ok(Record::Entry(stored)) => stored,
            Ok(Record::Tombstone) => return miss(there.source, true),
            Err(damage) => {
                self.counters.corrupt(damage);
                return miss(0, false);
            }
        };
        if stored.source > 0 && stored.source < asked.min_source {
            return miss(stored.source, true);
        }
        let tags: Stamped = stored.tags().map(|(tag, stamp)| (self.tag(tag), stamp)).collect();
        // Format 1 had no stamps, and those who write it know of no marks. It was written after the
        // advances up to its version.
        let mark = || self.local.namespace().last_known().unwrap_or(u64::MAX);
        let namespace = match stored.fresh {
            Some(_) => stored.namespace,
            None => stored.version.min(mark()),
        };
        let stamped = self.local.stamped(asked.key, namespace, &tags, 0, at);
        if stamped == local::Stamped::Gone {
            return miss(stored.source, true);
        }
        let known = asked.known.filter(|known| known.version() == stored.version);
        let value = match (known, &self.codec) {
            (Some(known), _) => Ok(known.value().cloned()),
            (None, Some(codec)) => {
                stored.value(&**codec, self.bounds).map(|value| value.map(Arc::new))
            }
            (None, None) => Err(record::Damage::Codec),
        };
        let value = match value {
            Ok(value) => value,
            Err(damage) => {
                self.counters.corrupt(damage);
                return miss(0, false);
            }
        };
        let (left, window) = (fetched.remaining.min(MAX_TTL), stale_window(&stored, bytes));
        let age = Duration::from_micros(fetched.now.saturating_sub(stored.version));
        // One that is stale counts from when it began to be.
        let overdue = window.saturating_sub(left);
        let draft = Draft {
            value,
            at: at.minus(overdue),
            age: age.saturating_sub(overdue),
            fresh: left.saturating_sub(window),
            hard: left + overdue,
            l1: self.policy.l1_share() + overdue,
            delta: stored.load,
            version: stored.version,
            source: stored.source,
            node: remote.node(asked.text),
            namespace,
            tags,
            degraded: false,
        };
        match stamped {
            local::Stamped::Unknown => Half::Marks { draft, seen },
            stamped => {
                let marked = stamped == local::Stamped::Stale;
                Half::Looked(Looked::Found { draft, marked, seen })
            }
        }
    }

    async fn marks_of(&self, remote: &Guarded, cells: &[Arc<Cell>]) -> Marks {
        let reads = self.read_marks(remote, cells, Instant::now()).await;
        let texts = cells.iter().map(|cell| cell.text().into());
        texts.zip(reads.into_iter().map(|read| read.map(|read| read.mark))).collect()
    }

    /// Compares a half look with the marks it lacked.
    fn finish(&self, key: &K, half: Half<V>, marks: &Marks) -> Looked<V> {
        let (draft, seen) = match half {
            Half::Looked(looked) => return looked,
            Half::Marks { draft, seen } => (draft, seen),
        };
        let gone = |min_source| Looked::Miss { seen, min_source, removed: true };
        let namespace = (self.local.namespace(), draft.namespace);
        let stamps = draft.tags.iter().map(|(cell, stamp)| (cell, *stamp)).chain([namespace]);
        let mut read = Vec::with_capacity(draft.tags.len() + 1);
        for (cell, stamp) in stamps {
            match marks.get(cell.text()) {
                Some(Ok(mark)) => read.push((mark, stamp)),
                Some(Err(error)) => return Looked::Failed(error.again()),
                // Each was read: that is what makes it whole.
                None => return gone(draft.source),
            }
        }
        // Advances of this node that L2 may not know of yet count as well.
        let now = self.local.clock().now();
        let ours = self.local.stamped(key, draft.namespace, &draft.tags, 0, now);
        match self.local.compare(key, read) {
            Verdict::Gone => gone(draft.source),
            _ if ours == local::Stamped::Gone => gone(draft.source),
            verdict => {
                let marked = verdict == Verdict::Stale || ours == local::Stamped::Stale;
                Looked::Found { draft, marked, seen }
            }
        }
    }
}

impl<V> Half<V> {
    /// The cells whose marks it lacks.
    fn cells(&self, namespace: &Arc<Cell>) -> Vec<Arc<Cell>> {
        match self {
            Self::Looked(_) => Vec::new(),
            Self::Marks { draft, .. } => {
                draft.tags.iter().map(|(cell, _)| cell).chain([namespace]).cloned().collect()
            }
        }
    }
}

/// How long before its end an entry stops being fresh. Counted from the end, because what remains
/// until then is known better than what has passed.
fn stale_window(stored: &Stored<'_>, bytes: &[u8]) -> Duration {
    let (Some(fresh), Some(expires)) = (stored.fresh, record::expires(bytes)) else {
        return Duration::ZERO;
    };
    Duration::from_micros(expires.saturating_sub(stored.version)).saturating_sub(fresh)
}

/// Keys read from L2 with one command.
pub(super) const AT_ONCE: usize = 256;
