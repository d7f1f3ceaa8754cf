//! Engines: they hold the entries of L1, find them by key, and decide who goes when the capacity
//! is used up. They know nothing of time, versions or L2.
//!
//! - [`MokaEngine`], the default: a concurrent index serves the reads, moka keeps the policy.
//! - `QuickEngine`, feature `quick`: quick_cache does both. Faster and smaller per entry.
//!
//! Which to choose is said at [`EngineKind`]. Both pass the same tests (`tests.rs`).

mod clock;
mod index;
mod moka;
#[cfg(feature = "quick")]
mod quick;
mod stay;

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::Deref;

pub(crate) use self::moka::MokaEngine;
#[cfg(feature = "quick")]
pub(crate) use self::quick::{QuickEngine, Same};

/// What holds the entries of L1, in place: a reader that looks at one goes through no pointer but
/// the engine's own. A clone of a `T` is a snapshot, and cheap: it allocates nothing.
///
/// Every operation is atomic for its key, whoever else works on it. None calls back into the cache.
/// A `T` may be dropped in any of them, under locks, some time after its entry went: dropping it
/// must not enter the engine.
pub(crate) trait Engine<K, T>: Send + Sync
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Shows the entry of `key` to `look`. The hot path: no allocation, and no lock in
    /// [`MokaEngine`]. The policy learns of it, hit or miss.
    ///
    /// `look` must be short and must not enter the engine.
    fn read<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized;

    /// [`read`](Self::read) that the policy does not learn of.
    fn peek<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized;

    /// [`peek`](Self::peek) at the very entry that is held, never at a clone: what `look` changes
    /// in it, through atomics, stays. Not for hits: it may take a lock that readers wait for.
    fn reach<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized;

    /// A clone of the entry of `key`. The policy learns of it, hit or miss.
    #[cfg(test)]
    fn get<Q>(&self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.read(key, own)
    }

    /// Holds `value` under `key`, over what was there. `weight`: its share of the capacity, at
    /// least 1. The policy may drop it or others at once or soon after.
    ///
    /// Returns `false` if it is heavier than an engine of this capacity can hold, or if the engine
    /// was shrunk to next to nothing: then nothing is under `key` afterwards.
    fn insert(&self, key: K, value: T, weight: u32) -> bool;

    /// Drops the entry of `key`. Returns whether there was one.
    fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remove_if(key, |_| true)
    }

    /// Drops the entry of `key` if `condition` says so. Returns whether it did. `condition` may be
    /// called more than once; the same rules as for [`read`](Self::read).
    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized;

    /// Entries held.
    fn len(&self) -> u64;

    /// The sum of their weights. May be above the capacity by an eighth (if not weighted, by 128 if
    /// that is more), and by what is just going in.
    fn weight(&self) -> u64;

    /// What `weight` is held to.
    fn capacity(&self) -> u64;

    /// The capacity that it was made with.
    fn most(&self) -> u64;

    /// Changes the capacity, up to what the engine was made with. If it shrinks, entries go, those
    /// that were not used lately first: some thousands now, the rest with the next inserts and
    /// [`upkeep`](Self::upkeep)s. Reads are not held up, and entries that stay stay readable.
    fn set_capacity(&self, capacity: u64);

    /// Entries the policy dropped for want of capacity, since the engine was made.
    fn evicted(&self) -> u64;

    /// Shows every entry, or a clone of it, to `visit`; those that come or go meanwhile may or may
    /// not be among them. Tens of nanoseconds an entry.
    fn for_each(&self, visit: impl FnMut(&K, &T));

    /// Drops, of the next part of the entries, those that `keep` does not want: about `at_most`, in
    /// whole parts of the engine. Calls go round. Returns how many were dropped.
    fn sweep(&self, at_most: usize, keep: impl Fn(&K, &T) -> bool) -> u64;

    /// Housekeeping that else waits for the next insert: to be called every second or so. Returns
    /// whether there is more to do at once, which is when a shrunk capacity is not reached yet.
    fn upkeep(&self) -> bool;
}

/// What a reader is shown.
pub(crate) enum Seen<'e, T> {
    /// The entry, where it is held.
    Held(&'e T),
    /// A clone, which is the reader's own.
    #[cfg(feature = "quick")]
    Own(T),
}

impl<T> Deref for Seen<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Held(entry) => entry,
            #[cfg(feature = "quick")]
            Self::Own(entry) => entry,
        }
    }
}

/// A snapshot of the entry.
#[cfg_attr(
    not(feature = "quick"),
    expect(clippy::needless_pass_by_value, reason = "what is the reader's own is moved out")
)]
pub(crate) fn own<T: Clone>(seen: Seen<'_, T>) -> T {
    match seen {
        Seen::Held(entry) => entry.clone(),
        #[cfg(feature = "quick")]
        Seen::Own(entry) => entry,
    }
}

/// Which engine holds the entries of L1.
///
/// | | [`Moka`](Self::Moka) | `Quick` (feature `quick`) |
/// |---|---|---|
/// | policy | TinyLFU of moka | S3-FIFO of quick_cache |
/// | a hit | no lock | a shared lock of one of some shards |
/// | memory beside key and value | about 420 bytes an entry | about 90 |
/// | an entry may weigh up to | the capacity | the capacity of one shard |
///
/// Of `Moka`'s bytes, moka's own policy takes about 290, the entry 72. Of `Quick`'s, quick_cache
/// takes about 35 and the entry the rest; once it is full, what it remembers of entries that went
/// takes as much room as half as many entries more. With tags, add 64 bytes and 16 for each.
///
/// `Quick` is the faster and smaller one and often has the better hit ratio; `Moka` never makes a
/// reader wait for a writer, holds large entries, and its policy is the better tested one. The
/// bench `cache_hit` has both side by side, `cache_memory` what they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EngineKind {
    /// An index of its own beside moka's policy.
    #[default]
    Moka,
    /// quick_cache.
    #[cfg(feature = "quick")]
    Quick,
}

/// The engine of one cache: a choice made once, so that the hot path has a branch that is always
/// the same instead of a virtual call.
#[cfg_attr(
    feature = "quick",
    expect(clippy::large_enum_variant, reason = "one a cache, and a box would cost every read")
)]
pub(crate) enum AnyEngine<K, T> {
    Moka(MokaEngine<K, T>),
    #[cfg(feature = "quick")]
    Quick(QuickEngine<K, T, Same>),
    #[cfg(feature = "quick")]
    QuickWeighted(QuickEngine<K, T, u32>),
}

/// Runs the same on whichever it is.
macro_rules! on {
    ($engine:expr, $name:ident => $run:expr) => {
        match $engine {
            AnyEngine::Moka($name) => $run,
            #[cfg(feature = "quick")]
            AnyEngine::Quick($name) => $run,
            #[cfg(feature = "quick")]
            AnyEngine::QuickWeighted($name) => $run,
        }
    };
}

impl<K, T> AnyEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// An engine that holds up to `capacity`, counted in entries of weight 1 unless `weighted`.
    pub(crate) fn new(kind: EngineKind, capacity: u64, weighted: bool) -> Self {
        match kind {
            EngineKind::Moka => Self::Moka(MokaEngine::new(capacity, weighted)),
            #[cfg(feature = "quick")]
            EngineKind::Quick if weighted => Self::QuickWeighted(QuickEngine::new(capacity)),
            #[cfg(feature = "quick")]
            EngineKind::Quick => Self::Quick(QuickEngine::new(capacity)),
        }
    }
}

impl<K, T> Engine<K, T> for AnyEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    #[inline]
    fn read<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        on!(self, engine => engine.read(key, look))
    }

    #[inline]
    #[cfg(test)]
    fn get<Q>(&self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        on!(self, engine => engine.get(key))
    }

    fn peek<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        on!(self, engine => engine.peek(key, look))
    }

    fn reach<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        on!(self, engine => engine.reach(key, look))
    }

    fn insert(&self, key: K, value: T, weight: u32) -> bool {
        on!(self, engine => engine.insert(key, value, weight))
    }

    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        on!(self, engine => engine.remove_if(key, condition))
    }

    fn len(&self) -> u64 {
        on!(self, engine => engine.len())
    }

    fn weight(&self) -> u64 {
        on!(self, engine => engine.weight())
    }

    fn capacity(&self) -> u64 {
        on!(self, engine => engine.capacity())
    }

    fn most(&self) -> u64 {
        on!(self, engine => engine.most())
    }

    fn set_capacity(&self, capacity: u64) {
        on!(self, engine => engine.set_capacity(capacity));
    }

    fn evicted(&self) -> u64 {
        on!(self, engine => engine.evicted())
    }

    fn for_each(&self, visit: impl FnMut(&K, &T)) {
        on!(self, engine => engine.for_each(visit));
    }

    fn sweep(&self, at_most: usize, keep: impl Fn(&K, &T) -> bool) -> u64 {
        on!(self, engine => engine.sweep(at_most, keep))
    }

    fn upkeep(&self) -> bool {
        on!(self, engine => engine.upkeep())
    }
}

#[cfg(test)]
mod tests;
