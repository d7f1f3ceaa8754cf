//! The default engine: reads are served by an index, and moka, which holds no values, decides who
//! stays.
//!
//! A read of moka costs several times a look-up, because it records every hit. Here moka learns of
//! every miss and of one hit in [`SAMPLE`], drawn at random, which leaves its hit ratio what it
//! was: the misses matter, and hits that are common enough to matter are sampled often enough.
//!
//! # How index and policy stay one
//! Every stay of a key in the index has a generation, and moka holds it beside the hash.
//!
//! - An insert puts its slot into the index, then its generation into moka, then looks whether the
//!   index still has that generation; if not, it takes the hash out of moka.
//! - Whoever takes a slot out of the index then takes its hash out of moka.
//! - Whenever moka drops a generation, for whatever reason, its listener takes that generation,
//!   and no other, out of the index.
//!
//! So whatever the order, a slot in the index whose generation moka does not hold is one whose
//! insert or listener is still on its way, and so is the reverse. An update of the same weight
//! keeps the generation and counts as a use; one of another weight is a new stay, because moka
//! loses count of weights that change while their entry is removed.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;

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
    generations: AtomicU32,
    clock: Clock,
    /// The part that `sweep` comes to next.
    swept: AtomicUsize,
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
            generations: AtomicU32::new(0),
            clock: Clock::new(),
            swept: AtomicUsize::new(0),
        }
    }

    /// moka learns that `hash` was asked for.
    #[inline(never)]
    fn feed(&self, hash: u64) {
        let _ = self.policy.get(&hash);
    }

    fn next_generation(&self) -> u32 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// moka holds `hash` from now on, if the index still does.
    fn enter(&self, hash: u64, stay: Stay) {
        self.policy.insert(hash, stay);
        if !self.index.has_stay(hash, stay.generation) {
            self.policy.invalidate(&hash);
        }
    }

    /// The index holds a slot that was to go on with stay `from`, but that stay ended meanwhile:
    /// begins another. `None` if the slot is gone too.
    fn restart(&self, hash: u64, from: u32) -> Option<u32> {
        let guard = self.index.guard(hash);
        let slot = self.index.get(hash, &guard)?;
        let to = self.next_generation();
        slot.renumber(from, to).then_some(to)
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
        self.clock.trim(&self.index, capacity, at_most, |hash| self.policy.invalidate(&hash));
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
            let guard = self.index.guard(hash);
            let unwanted = |slot: &Slot<K, T>| {
                slot.generation() == generation && !keep(&slot.key, &slot.value)
            };
            if self.index.remove_if(hash, unwanted, &guard).is_some() {
                drop(guard);
                self.policy.invalidate(&hash);
                removed += 1;
            }
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
        slot.touch();
        let seen = look(&slot.value);
        drop(guard);
        if thread::draw() >> (64 - SAMPLE_BITS) == 0 {
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
        let guard = self.index.guard(hash);
        let known = self.index.get(hash, &guard).filter(|slot| slot.weight == weight);
        let (generation, uses) = match known {
            Some(known) => (known.generation(), known.uses()),
            None => (self.next_generation(), 0),
        };
        let known = known.is_some();
        let slot = Slot::new(key, value, weight, generation, uses);
        let old = self.index.insert(hash, slot, &guard).map(Slot::generation);
        drop(guard);
        if known && old == Some(generation) {
            self.feed(hash);
            return true;
        }
        if old.is_some() {
            self.policy.invalidate(&hash);
        }
        let generation = if known { self.restart(hash, generation) } else { Some(generation) };
        if let Some(generation) = generation {
            self.enter(hash, Stay { generation, weight });
            self.hold();
        }
        true
    }

    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let guard = self.index.guard(hash);
        let wanted = |slot: &Slot<K, T>| slot.key.borrow() == key && condition(&slot.value);
        let removed = self.index.remove_if(hash, wanted, &guard)?.value.clone();
        drop(guard);
        self.policy.invalidate(&hash);
        Some(removed)
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

/// One hit in as many is fed to the policy; chosen by the hit ratio, see the bench `cache_ratio`.
const SAMPLE_BITS: u32 = 4;

/// What an entry of a weighted cache weighs, to guess how many there will be. Only a hint.
const TYPICAL_WEIGHT: u64 = 1_024;

/// Entries that an insert takes out at most, if the capacity was shrunk: more than goes in, so
/// that the weight goes down.
const TRIM_ON_INSERT: usize = 16;

/// Entries that `set_capacity` and `upkeep` take out at most: some milliseconds.
const TRIM_AT_ONCE: usize = 8_192;
