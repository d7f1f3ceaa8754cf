//! L1: entries in memory, the fences that keep stale ones out, and the loads in flight.
//!
//! Reads touch moka only. Everything that writes an entry first takes a [`Lease`] on its key,
//! which remembers what the key's fences stood at; the entry goes in under the stripe's lock, and
//! only if they still stand there. A key has fences only while someone holds a lease on it, so
//! idle keys cost nothing and unrelated keys never disturb each other.

pub(crate) mod engine;
mod entry;
mod lease;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::entry::Entry;
pub(crate) use self::lease::Lease;

/// L1 of one cache. `R` is what a load in flight will answer.
pub(crate) struct Local<K, V, R> {
    entries: moka::sync::Cache<K, Entry<V>, RandomState>,
    stripes: Box<[Mutex<Stripe<K, R>>]>,
    hasher: RandomState,
    /// Versions for caches without an L2.
    versions: AtomicU64,
}

type Stripe<K, R> = HashMap<K, Fences<R>, RandomState>;

/// A load in flight, as its waiters see it: empty until it has ended.
pub(crate) type Flight<R> = watch::Receiver<Option<R>>;

/// What is known of a key that someone holds a lease on.
struct Fences<R> {
    leases: usize,
    /// Moved by every write and removal: loads and back-fills that began before are void.
    epoch: u64,
    /// Moved by removals: writes that began before are void.
    removals: u64,
    /// The newest version written while leases were held.
    written: u64,
    flight: Option<Flight<R>>,
}

/// How a caller that missed goes on.
pub(crate) enum Join<K: Hash + Eq, V, R> {
    /// Someone filled it in the meantime.
    Hit(Entry<V>),
    /// A load is in flight: wait for it.
    Wait(Flight<R>),
    /// This caller runs the load, holding the lease, and answers through the sender.
    Lead(Lease<K, V, R>, watch::Sender<Option<R>>),
}

impl<K, V, R> Local<K, V, R>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(capacity: u64) -> Self {
        let hasher = RandomState::default();
        let entries =
            moka::sync::Cache::builder().max_capacity(capacity).build_with_hasher(hasher.clone());
        let stripe = || Mutex::new(HashMap::with_hasher(hasher.clone()));
        let stripes = std::iter::repeat_with(stripe).take(STRIPES).collect();
        Self { entries, stripes, hasher, versions: AtomicU64::new(0) }
    }

    /// The live entry of `key`. Takes no lock of ours, allocates nothing.
    pub(crate) fn get<Q>(&self, key: &Q, now: Instant) -> Option<Entry<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key).filter(|entry| entry.expires > now)
    }

    /// A lease on `key`, for a back-fill or a write.
    pub(crate) fn lease(self: &Arc<Self>, key: K) -> Lease<K, V, R> {
        let mut stripe = self.stripe(&key).lock();
        let fences = stripe.entry(key.clone()).or_insert_with(Fences::new);
        fences.leases += 1;
        Lease::new(self, key, fences)
    }

    /// The load of `key`: an entry that came in the meantime, one in flight, or a new one to lead.
    pub(crate) fn join(self: &Arc<Self>, key: K, now: Instant) -> Join<K, V, R> {
        let mut stripe = self.stripe(&key).lock();
        if let Some(flight) = stripe.get(&key).and_then(|fences| fences.flight.clone()) {
            return Join::Wait(flight);
        }
        // A load commits before it leaves the table, so without this look a caller that missed
        // just before would load again.
        if let Some(entry) = self.get(&key, now) {
            return Join::Hit(entry);
        }
        let fences = stripe.entry(key.clone()).or_insert_with(Fences::new);
        fences.leases += 1;
        let (sender, flight) = watch::channel(None);
        fences.flight = Some(flight.clone());
        let mut lease = Lease::new(self, key, fences);
        lease.lead(flight);
        Join::Lead(lease, sender)
    }

    /// A version newer than all before, for caches without an L2.
    pub(crate) fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Entries, roughly: moka counts behind its writes, and expired ones until they are evicted.
    pub(crate) fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Keys with leases: 0 when nothing is in flight.
    #[cfg(test)]
    pub(crate) fn leased(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }
}

impl<K: Hash + Eq, V, R> Local<K, V, R> {
    fn stripe(&self, key: &K) -> &Mutex<Stripe<K, R>> {
        let hash = self.hasher.hash_one(key);
        // The high half: moka and the stripe's own map use the low bits.
        let index = ((hash >> 32) % self.stripes.len() as u64) as usize;
        &self.stripes[index]
    }
}

impl<R> Fences<R> {
    fn new() -> Self {
        Self { leases: 0, epoch: 0, removals: 0, written: 0, flight: None }
    }

    /// Voids what is in flight; who comes next starts anew.
    fn advance(&mut self) {
        self.epoch += 1;
        self.flight = None;
    }
}

impl<K, V, R> fmt::Debug for Local<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// Locks that misses and writes spread over.
const STRIPES: usize = 64;

#[cfg(test)]
mod tests;
