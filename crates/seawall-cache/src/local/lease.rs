//! The right to write one key of L1, as of one moment.

use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Entry, Fences, Flight, Local};

/// Remembers what the fences of a key stood at. Dropping it gives it back, and ends the load it
/// leads: callers that come later start a new one.
pub(crate) struct Lease<K: Hash + Eq, V, R> {
    local: Arc<Local<K, V, R>>,
    key: K,
    epoch: u64,
    removals: u64,
    leads: Option<Flight<R>>,
}

impl<K: Hash + Eq, V, R> Lease<K, V, R> {
    pub(super) fn new(local: &Arc<Local<K, V, R>>, key: K, fences: &Fences<R>) -> Self {
        let local = Arc::clone(local);
        Self { local, key, epoch: fences.epoch, removals: fences.removals, leads: None }
    }

    pub(super) fn lead(&mut self, flight: Flight<R>) {
        self.leads = Some(flight);
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

impl<K, V, R> Lease<K, V, R>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps what a load or a back-fill brought, unless the key was written or removed since the
    /// lease was taken, or a newer version is in. Returns whether it was kept.
    pub(crate) fn fill(&self, entry: Entry<V>) -> bool {
        self.locked(|fences| {
            let known = self.local.get(&self.key, Instant::now());
            if fences.epoch != self.epoch
                || known.is_some_and(|known| known.version > entry.version)
            {
                return false;
            }
            self.local.entries.insert(self.key.clone(), entry);
            true
        })
    }

    /// A write ended: keeps its entry, unless the key was removed since the lease was taken or a
    /// newer write is in. Returns whether it was kept.
    pub(crate) fn end_write(&self, entry: Entry<V>) -> bool {
        self.locked(|fences| {
            // Loads in flight may have read L2 before the write reached it.
            fences.advance();
            if fences.removals != self.removals {
                // Removed before or after? L2 knows. What L1 has may be from before the write.
                self.local.entries.invalidate(&self.key);
                return false;
            }
            let known = self.local.entries.get(&self.key);
            if entry.version < fences.written
                || entry.source > 0 && known.is_some_and(|known| known.source > entry.source)
            {
                return false;
            }
            fences.written = entry.version;
            self.local.entries.insert(self.key.clone(), entry);
            true
        })
    }

    /// Removes the entry and voids all that is in flight.
    pub(crate) fn remove(&self) {
        self.locked(|fences| {
            fences.advance();
            fences.removals += 1;
            self.local.entries.invalidate(&self.key);
        });
    }

    /// The newest version written while this lease was held.
    pub(crate) fn written(&self) -> u64 {
        self.locked(|fences| fences.written)
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Fences<R>) -> T) -> T {
        let mut stripe = self.local.stripe(&self.key).lock();
        // The lease itself keeps the fences there.
        act(stripe.entry(self.key.clone()).or_insert_with(Fences::new))
    }
}

impl<K: Hash + Eq, V, R> Drop for Lease<K, V, R> {
    fn drop(&mut self) {
        let mut stripe = self.local.stripe(&self.key).lock();
        let Some(fences) = stripe.get_mut(&self.key) else {
            return;
        };
        if let (Some(mine), Some(flight)) = (&self.leads, &fences.flight)
            && mine.same_channel(flight)
        {
            fences.flight = None;
        }
        fences.leases -= 1;
        if fences.leases == 0 {
            stripe.remove(&self.key);
        }
    }
}
