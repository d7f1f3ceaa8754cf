//! Giving back the memory of entries that will not be served again.

use std::sync::Arc;

use super::Local;
use super::clock::Tick;
use super::engine::Engine as _;
use super::entry::{Entry, Phase};
use super::judge::Trust;
use crate::key::CacheKey;

/// Entries that were found dead: past their hard TTL, or gone by a mark. Correctness does not need
/// them to be removed, memory does.
#[derive(Debug)]
#[must_use = "removes nothing until `step` is called"]
pub(crate) struct Sweep<K, V> {
    dead: Vec<(K, Entry<V>)>,
}

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    R: Send + Sync + 'static,
{
    /// Does `pass`, a pass over all of L1, where it holds nobody up: a large one not on a thread
    /// of the runtime. `None`: the runtime is shutting down.
    pub(crate) async fn pass_over<T: Send + 'static>(
        self: &Arc<Self>,
        pass: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        if self.len() <= AT_ONCE {
            return Some(pass(self));
        }
        let local = Arc::clone(self);
        tokio::task::spawn_blocking(move || pass(&local)).await.ok()
    }
}

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Looks through all of L1 for entries that are dead at `now`. One pass, some ten nanoseconds
    /// an entry: see [`pass_over`](Self::pass_over).
    pub(crate) fn sweep(&self, now: Tick) -> Sweep<K, V> {
        let mut dead = Vec::new();
        self.engine().for_each(|key, entry| {
            if entry.phase(now, 0) == Phase::Expired || self.judge(key, entry, now).0 == Trust::Gone
            {
                dead.push((key.clone(), entry.clone()));
            }
        });
        Sweep { dead }
    }

    /// Removes what is past its hard TTL among the next sixtieth of L1, and does the engine's
    /// housekeeping. To be called every second or so, so that the memory of expired entries does
    /// not wait for their eviction. Returns how many went.
    pub(crate) fn tidy(&self, now: Tick) -> u64 {
        let at_most = usize::try_from(self.len() / 60).unwrap_or(usize::MAX).max(1_000);
        let live = |_: &K, entry: &Entry<V>| entry.phase(now, 0) != Phase::Expired;
        let removed = self.engine().sweep(at_most, live);
        self.engine().upkeep();
        removed
    }

    /// The entries whose version must be compared with L2's before they are served. One pass, as
    /// [`sweep`](Self::sweep).
    pub(crate) fn suspects(&self, now: Tick) -> Vec<(K, Entry<V>)> {
        let mut suspects = Vec::new();
        self.engine().for_each(|key, entry| {
            if entry.phase(now, 0) != Phase::Expired
                && self.judge(key, entry, now).0 == Trust::Suspect
            {
                suspects.push((key.clone(), entry.clone()));
            }
        });
        suspects
    }
}

impl<K, V> Sweep<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Removes at most `batch` of them, unless something else is under their keys by now. Returns
    /// how many went, and `None` when there are no more.
    pub(crate) fn step<R>(&mut self, local: &Local<K, V, R>, batch: usize) -> Option<usize> {
        if self.dead.is_empty() {
            return None;
        }
        let rest = self.dead.len().saturating_sub(batch.max(1));
        let removed = self.dead.drain(rest..).filter(|(key, entry)| local.discard(key, entry));
        Some(removed.count())
    }
}

/// Entries that are looked through in less than a millisecond.
const AT_ONCE: u64 = 10_000;
