//! The engine on quick_cache: one structure holds the entries and decides who stays.
//!
//! quick_cache is made of shards, each with a lock and an equal part of the capacity. A hit takes
//! the shared lock of one, and gets a clone of the entry.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Lifecycle, OptionsBuilder, Weighter};

use super::{Engine, Seen};

/// quick_cache. `W` is what says how much an entry weighs: `u32`, or [`Same`] where all weigh 1,
/// which takes no room. See the [module](self).
pub(crate) struct QuickEngine<K, T, W> {
    entries: Entries<K, T, W>,
    /// What it was made with.
    most: u64,
    /// What quick_cache is never shrunk below: it would lose the proportions of its parts to
    /// rounding, for ever.
    least: u64,
    /// What it was told; quick_cache rounds up to whole shards.
    capacity: AtomicU64,
    hasher: RandomState,
    evicted: Arc<AtomicU64>,
    /// How many entries `sweep` has gone past in this round.
    swept: AtomicUsize,
}

type Entries<K, T, W> = Cache<K, Held<T, W>, Weights, RandomState, Gone<K, T, W>>;

#[derive(Clone)]
struct Held<T, W> {
    value: T,
    weight: W,
}

/// How much an entry weighs.
pub(crate) trait Weight: Copy + Send + Sync + 'static {
    /// Whether weights differ.
    const DIFFERS: bool;

    fn new(weight: u32) -> Self;

    fn get(self) -> u32;
}

impl Weight for u32 {
    const DIFFERS: bool = true;

    fn new(weight: u32) -> Self {
        weight
    }

    fn get(self) -> u32 {
        self
    }
}

/// Every entry weighs 1.
#[derive(Clone, Copy)]
pub(crate) struct Same;

impl Weight for Same {
    const DIFFERS: bool = false;

    fn new(_: u32) -> Self {
        Self
    }

    fn get(self) -> u32 {
        1
    }
}

/// Looks a borrowed key up. quick_cache asks for its own trait.
#[derive(Hash)]
struct Key<'q, Q: ?Sized>(&'q Q);

impl<Q: Eq + ?Sized, K: Borrow<Q>> Equivalent<K> for Key<'_, Q> {
    fn equivalent(&self, key: &K) -> bool {
        self.0 == key.borrow()
    }
}

impl<K, T, W> QuickEngine<K, T, W>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    W: Weight,
{
    /// Holds up to `capacity`.
    pub(crate) fn new(capacity: u64) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let gone = Gone { evicted: Arc::clone(&evicted), held: PhantomData };
        let hasher = RandomState::default();
        let items = if W::DIFFERS { capacity / TYPICAL_WEIGHT } else { capacity };
        let items = usize::try_from(items).unwrap_or(usize::MAX).max(1);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(capacity).hot_allocation(HOT);
        if W::DIFFERS {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let shards = usize::try_from(capacity / LEAST_SHARD).unwrap_or(usize::MAX);
            options.shards(shards.clamp(1, 4 * cores));
        }
        let entries = match options.build() {
            Ok(options) => Cache::with_options(options, Weights, hasher.clone(), gone),
            // Only for want of what was just given.
            Err(_) => Cache::with(items, capacity, Weights, hasher.clone(), gone),
        };
        let shards = entries.num_shards() as u64;
        Self {
            entries,
            most: capacity,
            least: (capacity / 64).max(128 * shards).min(capacity),
            capacity: AtomicU64::new(capacity),
            hasher,
            evicted,
            swept: AtomicUsize::new(0),
        }
    }

    /// What an entry may weigh: quick_cache takes it only if it could be among the hot ones.
    fn heaviest(&self) -> u64 {
        let shard = self.entries.shard_capacity();
        ((shard as f64 * HOT) as u64).max(shard.min(1))
    }
}

impl<K, T, W> Engine<K, T> for QuickEngine<K, T, W>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    W: Weight,
{
    #[inline]
    fn read<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(&Key(key)).map(|held| look(Seen::Own(held.value)))
    }

    fn peek<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.peek(&Key(key)).map(|held| look(Seen::Own(held.value)))
    }

    fn reach<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        // The one call that shows what is held, under the lock, without a count as a use.
        let mut seen = None;
        self.entries.remove_if(&Key(key), |held| {
            seen = Some(look(&held.value));
            false
        });
        seen
    }

    fn insert(&self, key: K, value: T, weight: u32) -> bool {
        let weight = weight.max(1);
        let capacity = self.capacity();
        if u64::from(weight) > self.heaviest().min(capacity)
            || capacity < self.least && self.weight() + u64::from(weight) > capacity
        {
            self.remove(&key);
            return false;
        }
        let hash = self.hasher.hash_one(&key);
        let gone = self.entries.insert_with_lifecycle(key, Held { value, weight: W::new(weight) });
        // What was replaced is among them.
        let evicted = gone.iter().filter(|(key, _)| self.hasher.hash_one(key) != hash).count();
        if evicted > 0 {
            self.evicted.fetch_add(evicted as u64, Ordering::Relaxed);
        }
        true
    }

    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.remove_if(&Key(key), |held| condition(&held.value)).is_some()
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn weight(&self) -> u64 {
        self.entries.weight()
    }

    fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    fn most(&self) -> u64 {
        self.most
    }

    fn set_capacity(&self, capacity: u64) {
        let capacity = capacity.min(self.most);
        self.capacity.store(capacity, Ordering::Relaxed);
        self.entries.set_capacity(capacity.max(self.least));
        self.upkeep();
    }

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &T)) {
        for (key, held) in self.entries.iter() {
            visit(&key, &held.value);
        }
    }

    fn sweep(&self, at_most: usize, keep: impl Fn(&K, &T) -> bool) -> u64 {
        // quick_cache has no way to begin in the middle, but going past an entry is cheap.
        let from = self.swept.load(Ordering::Relaxed);
        let passed = Cell::new(0);
        // Dropped after the shard's lock is.
        let gone = RefCell::new(Vec::new());
        self.entries.retain(|key, held| {
            let at = passed.replace(passed.get() + 1);
            let keep = at < from || at - from >= at_most || keep(key, &held.value);
            if !keep {
                gone.borrow_mut().push(held.value.clone());
            }
            keep
        });
        let removed = gone.into_inner().len() as u64;
        let to = from.saturating_add(at_most);
        let next = if to >= passed.get() { 0 } else { to - removed as usize };
        self.swept.store(next, Ordering::Relaxed);
        removed
    }

    fn upkeep(&self) -> bool {
        // Below its least, quick_cache does not decide who goes. It hardly matters there.
        let excess = Cell::new(self.weight().saturating_sub(self.capacity()));
        if excess.get() > 0 && self.capacity() < self.least {
            self.entries.retain(|_, held| {
                let goes = excess.get() > 0;
                let weight = u64::from(held.weight.get());
                excess.set(excess.get().saturating_sub(weight * u64::from(goes)));
                !goes
            });
        }
        false
    }
}

#[derive(Clone)]
struct Weights;

impl<K, T, W: Weight> Weighter<K, Held<T, W>> for Weights {
    fn weight(&self, _: &K, held: &Held<T, W>) -> u64 {
        held.weight.get().into()
    }
}

/// Takes what goes out from under the shard's lock, to be counted and dropped later.
struct Gone<K, T, W> {
    evicted: Arc<AtomicU64>,
    held: PhantomData<fn(K, T, W)>,
}

/// What one insert made go. Most make one go at most, which needs no allocation.
struct Few<K, T>(Option<(K, T)>, Vec<(K, T)>);

impl<K, T> Few<K, T> {
    fn iter(&self) -> impl Iterator<Item = &(K, T)> {
        self.0.iter().chain(&self.1)
    }
}

impl<K, T, W> Lifecycle<K, Held<T, W>> for Gone<K, T, W> {
    type RequestState = Few<K, T>;

    fn begin_request(&self) -> Few<K, T> {
        Few(None, Vec::new())
    }

    fn on_evict(&self, state: &mut Few<K, T>, key: K, held: Held<T, W>) {
        if let Some(before) = state.0.replace((key, held.value)) {
            state.1.push(before);
        }
    }

    // Not of an insert, which asks for the state: of a smaller capacity.
    fn end_request(&self, state: Few<K, T>) {
        self.evicted.fetch_add(state.iter().count() as u64, Ordering::Relaxed);
    }
}

impl<K, T, W> Clone for Gone<K, T, W> {
    fn clone(&self) -> Self {
        Self { evicted: Arc::clone(&self.evicted), held: PhantomData }
    }
}

/// Of each shard, the part for entries in use. quick_cache's own default.
const HOT: f64 = 0.97;

/// What an entry of a weighted cache weighs, to guess how many there will be. Only a hint.
const TYPICAL_WEIGHT: u64 = 1_024;

/// A shard of a weighted cache holds at least as much, so that large entries fit.
const LEAST_SHARD: u64 = 4 << 20;
