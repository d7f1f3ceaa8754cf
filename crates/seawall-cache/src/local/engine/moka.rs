//! The default engine: reads are served by an index, and moka, which holds no values, decides who
//! stays.
//!
//! A read of moka costs several times a look-up, because it records every hit. Here moka learns of
//! every miss, of the first hit of each entry in each *season*, and of a random draw of the other
//! hits. A season is the time in which a quarter of the capacity goes in: what moka's order of use
//! says is never off by more, and while nothing goes in, next to nothing is recorded. The hit ratio
//! is that of moka (bench `cache_ratio`); with the draw alone it would be some points less on
//! skewed traffic, because moka weighs entries that miss, recorded each time, against entries that
//! hit, recorded seldom.
//!
//! # How index and policy stay one
//! Every stay of a key in the index has a generation, and moka holds it beside the hash.
//!
//! - Inserts and removals of a hash take its lock. An insert puts the slot into the index, then
//!   its generation into moka; a removal goes the same way.
//! - Whenever moka drops a generation, for whatever reason, its listener takes that generation,
//!   and no other, out of the index. It takes no lock: moka calls it wherever it likes.
//!
//! So while nobody holds the lock of a hash, index and moka both hold one generation of it, or
//! neither holds any, or a listener is about to make it neither. An update of the same weight
//! keeps the generation and counts as a use. One of another weight is a new stay that moka first
//! forgets the old one for: moka loses count of a weight that changes when its entry is removed
//! soon after.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::Engine;
use super::clock::Clock;
use super::index::{Identity, Index, Slot};
use crate::thread;

/// An index beside moka. See the [module](self).
pub(crate) struct MokaEngine<K, T> {
    hasher: RandomState,
    index: Arc<Index<K, T>>,
    policy: moka::sync::Cache<u64, Stay, Identity>,
    /// What moka was made with.
    most: u64,
    capacity: AtomicU64,
    /// Low bits of the number of the season. Apart, for reads look at it and it seldom changes.
    season: CachePadded<AtomicU8>,
    entered: CachePadded<Entered>,
    locks: Box<[Mutex<()>]>,
    clock: Clock,
    /// The part that `sweep` comes to next.
    swept: AtomicUsize,
}

/// What went in since the engine was made.
struct Entered {
    entries: AtomicU32,
    weight: AtomicU64,
}

/// What moka holds of an entry.
#[derive(Clone, Copy)]
struct Stay {
    generation: u32,
    weight: u32,
}

impl<K, T> MokaEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Holds up to `capacity`. Not `weighted`: all entries weigh 1, and moka is told so, because
    /// its sketch of frequencies is then sized right from the start.
    pub(crate) fn new(capacity: u64, weighted: bool) -> Self {
        let entries = if weighted { capacity / TYPICAL_WEIGHT } else { capacity };
        let index = Arc::new(Index::new(entries));
        let listening = Arc::clone(&index);
        let builder = moka::sync::Cache::builder().max_capacity(capacity).eviction_listener(
            move |hash: Arc<u64>, stay: Stay, cause| {
                let removed = listening.remove_stay(*hash, stay.generation);
                if removed && cause == moka::notification::RemovalCause::Size {
                    listening.count_evicted();
                }
            },
        );
        let builder =
            if weighted { builder.weigher(|_, stay: &Stay| stay.weight) } else { builder };
        Self {
            hasher: RandomState::default(),
            index,
            policy: builder.build_with_hasher(Identity),
            most: capacity,
            capacity: AtomicU64::new(capacity),
            season: CachePadded::new(AtomicU8::new(0)),
            entered: CachePadded::new(Entered {
                entries: AtomicU32::new(0),
                weight: AtomicU64::new(0),
            }),
            locks: std::iter::repeat_with(|| Mutex::new(())).take(LOCKS).collect(),
            clock: Clock::new(),
            swept: AtomicUsize::new(0),
        }
    }

    /// moka learns that `hash` was asked for.
    #[inline(never)]
    fn feed(&self, hash: u64) {
        let _ = self.policy.get(&hash);
    }

    /// A stay begins. Returns its generation.
    fn begin_stay(&self, weight: u32) -> u32 {
        let weight = u64::from(weight);
        let entered = self.entered.weight.fetch_add(weight, Ordering::Relaxed) + weight;
        let season = (entered / (self.capacity() / SEASONS).max(1)) as u8;
        if self.season.load(Ordering::Relaxed) != season {
            self.season.store(season, Ordering::Relaxed);
        }
        self.entered.entries.fetch_add(1, Ordering::Relaxed)
    }

    /// To be held while something under `hash` goes in or out. Reads do not take it, nor does
    /// moka's listener.
    fn lock(&self, hash: u64) -> MutexGuard<'_, ()> {
        // Bits that do not choose the part of the index.
        self.locks[(hash >> 40) as usize % LOCKS].lock()
    }

    /// After an insert: holds the weight to the capacity.
    fn hold(&self) {
        let (weight, capacity) = (self.index.weight(), self.capacity());
        if weight <= capacity {
            return;
        }
        if capacity < self.most {
            self.trim(capacity, TRIM_ON_INSERT);
        } else if weight - capacity > capacity / 16 {
            // moka evicts in batches of entries, which may be a lot of bytes.
            self.policy.run_pending_tasks();
        }
    }

    fn trim(&self, capacity: u64, at_most: usize) {
        self.clock.trim(&self.index, capacity, at_most, |hash, generation| {
            let unused = |slot: &Slot<K, T>| slot.generation() == generation;
            self.remove_hash(hash, unused).is_some()
        });
    }

    /// Takes the slot of `hash` out of both, if `condition` says so.
    fn remove_hash(&self, hash: u64, condition: impl Fn(&Slot<K, T>) -> bool) -> Option<T> {
        let _lock = self.lock(hash);
        let guard = self.index.guard(hash);
        let removed = self.index.remove_if(hash, condition, &guard)?.value.clone();
        drop(guard);
        self.policy.invalidate(&hash);
        Some(removed)
    }

    fn retain_part(&self, part: usize, keep: &impl Fn(&K, &T) -> bool) -> (usize, u64) {
        let (mut visited, mut unwanted) = (0, Vec::new());
        self.index.visit(part, |hash, slot| {
            visited += 1;
            if !keep(&slot.key, &slot.value) {
                unwanted.push((hash, slot.generation()));
            }
            true
        });
        let mut removed = 0;
        for (hash, generation) in unwanted {
            // Not what was inserted in the meantime. An update that kept the generation is asked
            // about again.
            let unwanted = |slot: &Slot<K, T>| {
                slot.generation() == generation && !keep(&slot.key, &slot.value)
            };
            removed += u64::from(self.remove_hash(hash, unwanted).is_some());
        }
        (visited, removed)
    }
}

impl<K, T> Engine<K, T> for MokaEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    #[inline]
    fn read<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let guard = self.index.guard(hash);
        let slot = self.index.get(hash, &guard).filter(|slot| slot.key.borrow() == key);
        let Some(slot) = slot else {
            drop(guard);
            self.feed(hash);
            return None;
        };
        let first = slot.touch(self.season.load(Ordering::Relaxed));
        let seen = look(&slot.value);
        drop(guard);
        if first || thread::draw() >> (64 - SAMPLE_BITS) == 0 {
            self.feed(hash);
        }
        Some(seen)
    }

    fn peek<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let guard = self.index.guard(hash);
        let slot = self.index.get(hash, &guard).filter(|slot| slot.key.borrow() == key)?;
        Some(look(&slot.value))
    }

    fn insert(&self, key: K, value: T, weight: u32) -> bool {
        let weight = weight.max(1);
        if u64::from(weight) > self.capacity() {
            self.remove(&key);
            return false;
        }
        let hash = self.hasher.hash_one(&key);
        let lock = self.lock(hash);
        let guard = self.index.guard(hash);
        // Also if it is of another key: there is one place for a hash.
        let known = self.index.get(hash, &guard).filter(|slot| slot.weight == weight);
        let generation = known.map_or_else(|| self.begin_stay(weight), Slot::generation);
        let uses = known.map_or(0, Slot::uses);
        let slot = Slot::new(key, value, weight, generation, uses);
        let old = self.index.insert(hash, slot, &guard).map(Slot::generation);
        drop(guard);
        if old == Some(generation) {
            drop(lock);
            self.feed(hash);
            return true;
        }
        if old.is_some() {
            self.policy.invalidate(&hash);
        }
        // If a stay was to go on and is not there any more, the listener has been and will not
        // come back for its generation: it may begin again.
        self.policy.insert(hash, Stay { generation, weight });
        drop(lock);
        self.hold();
        true
    }

    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.remove_hash(hash, |slot| slot.key.borrow() == key && condition(&slot.value))
    }

    fn len(&self) -> u64 {
        self.index.len()
    }

    fn weight(&self) -> u64 {
        self.index.weight()
    }

    fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    fn set_capacity(&self, capacity: u64) {
        let capacity = capacity.min(self.most);
        self.capacity.store(capacity, Ordering::Relaxed);
        self.trim(capacity, TRIM_AT_ONCE);
    }

    fn evicted(&self) -> u64 {
        self.index.evicted()
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &T)) {
        for part in 0..self.index.parts() {
            self.index.visit(part, |_, slot| {
                visit(&slot.key, &slot.value);
                true
            });
        }
    }

    fn retain(&self, keep: impl Fn(&K, &T) -> bool) -> u64 {
        (0..self.index.parts()).map(|part| self.retain_part(part, &keep).1).sum()
    }

    fn sweep(&self, at_most: usize, keep: impl Fn(&K, &T) -> bool) -> u64 {
        let (mut visited, mut removed) = (0, 0);
        for _ in 0..self.index.parts() {
            let part = self.swept.fetch_add(1, Ordering::Relaxed) % self.index.parts();
            let (more, gone) = self.retain_part(part, &keep);
            (visited, removed) = (visited + more, removed + gone);
            if visited >= at_most {
                break;
            }
        }
        removed
    }

    fn upkeep(&self) -> bool {
        self.policy.run_pending_tasks();
        let capacity = self.capacity();
        self.trim(capacity, TRIM_AT_ONCE);
        self.index.collect();
        capacity < self.most && self.index.weight() > capacity
    }
}

#[cfg(test)]
impl<K, T> MokaEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What index and policy do not agree on, when nothing is in flight: stays that only one of
    /// them has, and counts that are wrong.
    pub(super) fn disagreements(&self) -> Vec<String> {
        use std::collections::HashMap;
        // moka takes its notes in batches.
        for _ in 0..64 {
            self.policy.run_pending_tasks();
        }
        let policy: HashMap<u64, u32> =
            self.policy.iter().map(|(hash, stay)| (*hash, stay.generation)).collect();
        let (mut index, mut weight, mut found) = (HashMap::new(), 0, Vec::new());
        for part in 0..self.index.parts() {
            self.index.visit(part, |hash, slot| {
                index.insert(hash, slot.generation());
                weight += u64::from(slot.weight);
                true
            });
        }
        for (hash, generation) in &index {
            if policy.get(hash) != Some(generation) {
                found.push(format!("index {generation}, policy {:?}", policy.get(hash)));
            }
        }
        for (hash, generation) in &policy {
            if index.get(hash) != Some(generation) {
                found.push(format!("policy {generation}, index {:?}", index.get(hash)));
            }
        }
        let counts = [
            ("length", self.len(), index.len() as u64),
            ("weight", self.weight(), weight),
            ("moka's length", self.policy.entry_count(), index.len() as u64),
            ("moka's weight", self.policy.weighted_size(), weight),
        ];
        let wrong = counts.iter().filter(|(_, said, is)| said != is);
        found.extend(wrong.map(|(what, said, is)| format!("{what} {said}, in truth {is}")));
        found
    }
}

/// Of the hits that are not the first of a season, one in 2 to the power of this is recorded, which
/// keeps frequencies true.
const SAMPLE_BITS: u32 = 6;

/// Seasons in the time in which the whole capacity goes in. Two to sixteen make no difference to
/// the hit ratio.
const SEASONS: u64 = 4;

/// Locks that inserts and removals spread over.
const LOCKS: usize = 64;

/// What an entry of a weighted cache weighs, to guess how many there will be. Only a hint.
const TYPICAL_WEIGHT: u64 = 1_024;

/// Entries that an insert takes out at most, if the capacity was shrunk: more than goes in, so
/// that the weight goes down.
const TRIM_ON_INSERT: usize = 16;

/// Entries that `set_capacity` and `upkeep` take out at most: some milliseconds.
const TRIM_AT_ONCE: usize = 8_192;
