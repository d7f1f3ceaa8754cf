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
//! Every stay of a place in moka has a generation, and its slot in the index has the same.
//!
//! - Inserts and removals take the lock of the place. An insert puts the slot into the index, then
//!   its stay into moka; a removal goes the same way.
//! - When moka drops a stay, for whatever reason, a note of it reaches the engine ([`stay`]), soon
//!   but not at once, for moka drops what readers might still look at when those are gone. The
//!   engine then takes that generation, and no other, out of the index.
//!
//! So while nobody holds the lock of a place, index and moka both hold one generation of it, or
//! neither holds any, or the index holds one that a note is on its way for. An update of the same
//! weight keeps the generation, if moka still has it, and counts as a use. One of another weight is
//! a new stay, and moka first forgets the old one: moka loses count of a weight that changes when
//! its entry is removed soon after.
//!
//! [`stay`]: super::stay

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::clock::Clock;
use super::index::{Identity, Index, Slot};
use super::stay::{Ended, Generation, Place, Stay};
use super::{Engine, Seen};
use crate::thread;

/// An index beside moka. See the [module](self).
pub(crate) struct MokaEngine<K, T> {
    hasher: RandomState,
    index: Arc<Index<K, T>>,
    policy: moka::sync::Cache<Place, Stay, Identity>,
    ended: Arc<Ended>,
    weighted: bool,
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
    stays: AtomicU64,
    weight: AtomicU64,
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
        let mut policy = moka::sync::Cache::builder().max_capacity(capacity);
        if weighted {
            let index = Arc::clone(&index);
            policy = policy.weigher(move |place, _| index.weight_of(*place));
        }
        Self {
            hasher: RandomState::default(),
            index,
            policy: policy.build_with_hasher(Identity),
            ended: Arc::new(Ended::default()),
            weighted,
            most: capacity,
            capacity: AtomicU64::new(capacity),
            season: CachePadded::new(AtomicU8::new(0)),
            entered: CachePadded::new(Entered {
                stays: AtomicU64::new(0),
                weight: AtomicU64::new(0),
            }),
            locks: std::iter::repeat_with(|| Mutex::new(())).take(LOCKS).collect(),
            clock: Clock::new(),
            swept: AtomicUsize::new(0),
        }
    }

    /// moka learns that `place` was asked for. Returns the stay it has there.
    #[inline(never)]
    fn feed(&self, place: Place) -> Option<Generation> {
        self.policy.get(&place).map(|stay| stay.generation())
    }

    /// The generation of a stay that is about to begin.
    fn begin(&self, weight: u32) -> Generation {
        let weight = u64::from(weight);
        let entered = self.entered.weight.fetch_add(weight, Ordering::Relaxed) + weight;
        let season = (entered / (self.capacity() / SEASONS).max(1)) as u8;
        if self.season.load(Ordering::Relaxed) != season {
            self.season.store(season, Ordering::Relaxed);
        }
        Generation::new(self.entered.stays.fetch_add(1, Ordering::Relaxed))
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> Place {
        Place::new(self.hasher.hash_one(key))
    }

    /// Takes out of the index what moka dropped.
    fn follow(&self) {
        for (place, generation) in self.ended.take() {
            if self.index.remove_stay(place, generation) {
                self.index.count_evicted();
            }
        }
    }

    /// To be held while something at `place` goes in or out by our doing. Reads do not take it.
    fn lock(&self, place: Place) -> MutexGuard<'_, ()> {
        self.locks[place.part(LOCKS)].lock()
    }

    /// After an insert: holds the weight to the capacity.
    fn hold(&self) {
        self.follow();
        let capacity = self.capacity();
        if self.index.weight() <= capacity {
            return;
        }
        let least = if self.weighted { 1 } else { MOKA_BATCH };
        let slack = (capacity / 16).max(least);
        if capacity < self.most {
            self.trim(capacity, TRIM_ON_INSERT, false);
        } else {
            // moka evicts in batches of entries, which may be a lot of bytes, and drops what it
            // evicted when it has been through this twice more.
            let mut turns = 0;
            while self.index.weight() > capacity + slack && turns < 4 {
                self.policy.run_pending_tasks();
                self.follow();
                turns += 1;
            }
        }
        // It is held up by a thread that is not scheduled. Writers must not run away from it.
        if self.index.weight() > capacity + 2 * slack {
            self.trim(capacity + slack, TRIM_AT_ONCE, true);
        }
    }

    fn trim(&self, capacity: u64, at_most: usize, wait: bool) {
        self.clock.trim(&self.index, capacity, at_most, wait, |place, generation| {
            let unused = |slot: &Slot<K, T>| slot.generation() == generation && slot.uses() == 0;
            self.remove_place(place, unused)
        });
    }

    /// Takes what is at `place` out of both, if `condition` says so.
    fn remove_place(&self, place: Place, condition: impl Fn(&Slot<K, T>) -> bool) -> bool {
        // Before the lock, so that it goes after it: garbage is dropped when a guard is.
        let guard = self.index.guard(place);
        let _lock = self.lock(place);
        let removed = self.index.remove_if(place, condition, &guard).is_some();
        if removed {
            self.policy.invalidate(&place);
        }
        removed
    }

    fn retain_part(&self, part: usize, keep: &impl Fn(&K, &T) -> bool) -> (usize, u64) {
        let (mut visited, mut unwanted) = (0, Vec::new());
        self.index.visit(part, |place, slot| {
            visited += 1;
            if !keep(&slot.key, &slot.value) {
                unwanted.push((place, slot.generation()));
            }
            true
        });
        let mut removed = 0;
        for (place, generation) in unwanted {
            // Not what was inserted in the meantime. An update that kept the generation is asked
            // about again.
            let unwanted = |slot: &Slot<K, T>| {
                slot.generation() == generation && !keep(&slot.key, &slot.value)
            };
            removed += u64::from(self.remove_place(place, unwanted));
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
    fn read<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.place(key);
        let guard = self.index.guard(place);
        let slot = self.index.get(place, &guard).filter(|slot| slot.key.borrow() == key);
        let Some(slot) = slot else {
            drop(guard);
            self.feed(place);
            return None;
        };
        let first = slot.touch(self.season.load(Ordering::Relaxed));
        let seen = look(Seen::Held(&slot.value));
        drop(guard);
        if first || thread::draw() >> (64 - SAMPLE_BITS) == 0 {
            self.feed(place);
        }
        Some(seen)
    }

    fn peek<Q, R>(&self, key: &Q, look: impl FnOnce(Seen<'_, T>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.reach(key, |entry| look(Seen::Held(entry)))
    }

    fn reach<Q, R>(&self, key: &Q, look: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.place(key);
        let guard = self.index.guard(place);
        let slot = self.index.get(place, &guard).filter(|slot| slot.key.borrow() == key)?;
        Some(look(&slot.value))
    }

    fn insert(&self, key: K, value: T, weight: u32) -> bool {
        let weight = weight.max(1);
        if u64::from(weight) > self.capacity() {
            self.remove(&key);
            return false;
        }
        let place = self.place(&key);
        // Before the lock, as in `remove_place`.
        let guard = self.index.guard(place);
        let lock = self.lock(place);
        // Of whichever key: there is one slot in a place.
        let known = self.index.get(place, &guard).filter(|slot| slot.weight == weight);
        let uses = known.map_or(0, Slot::uses);
        let stays = known.map(Slot::generation).filter(|known| self.feed(place) == Some(*known));
        let generation = stays.unwrap_or_else(|| self.begin(weight));
        let slot = Slot::new(key, value, weight, generation, uses);
        let old = self.index.insert(place, slot, &guard).map(Slot::generation);
        if old == Some(generation) {
            return true;
        }
        if old.is_some() {
            self.policy.invalidate(&place);
        }
        // If the stay was to go on and its slot is not there any more, then the note of its end
        // has been dealt with, and it may begin again.
        self.policy.insert(place, Stay::offer(place, generation, &self.ended));
        drop(lock);
        drop(guard);
        self.hold();
        true
    }

    fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&T) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remove_place(self.place(key), |slot| {
            slot.key.borrow() == key && condition(&slot.value)
        })
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

    fn most(&self) -> u64 {
        self.most
    }

    fn set_capacity(&self, capacity: u64) {
        let capacity = capacity.min(self.most);
        self.capacity.store(capacity, Ordering::Relaxed);
        self.trim(capacity, TRIM_AT_ONCE, false);
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
        self.follow();
        let capacity = self.capacity();
        self.trim(capacity, TRIM_AT_ONCE, false);
        self.index.collect();
        capacity < self.most && self.index.weight() > capacity
    }
}

impl<K, T> Drop for MokaEngine<K, T> {
    fn drop(&mut self) {
        self.ended.close();
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
        // moka works in batches.
        for _ in 0..64 {
            self.upkeep();
        }
        let policy: HashMap<Place, Generation> =
            self.policy.iter().map(|(place, stay)| (*place, stay.generation())).collect();
        let (mut index, mut weight, mut found) = (HashMap::new(), 0, Vec::new());
        for part in 0..self.index.parts() {
            self.index.visit(part, |place, slot| {
                index.insert(place, slot.generation());
                weight += u64::from(slot.weight);
                true
            });
        }
        for (place, generation) in &index {
            if policy.get(place) != Some(generation) {
                found.push(format!("index {generation:?}, policy {:?}", policy.get(place)));
            }
        }
        for (place, generation) in &policy {
            if index.get(place) != Some(generation) {
                found.push(format!("policy {generation:?}, index {:?}", index.get(place)));
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

/// Inserts that moka takes note of at a time.
const MOKA_BATCH: u64 = 64;

/// Locks that inserts and removals spread over.
const LOCKS: usize = 64;

/// What an entry of a weighted cache weighs, to guess how many there will be. Only a hint.
const TYPICAL_WEIGHT: u64 = 1_024;

/// Entries that an insert takes out at most, if the capacity was shrunk: more than goes in, so
/// that the weight goes down.
const TRIM_ON_INSERT: usize = 16;

/// Entries that `set_capacity` and `upkeep` take out at most: some milliseconds.
const TRIM_AT_ONCE: usize = 8_192;
