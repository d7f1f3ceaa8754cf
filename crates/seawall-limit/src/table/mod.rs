//! The bounded table of keys.
//!
//! Fixed slots, allocated once. A key's hash picks a shard and two buckets of
//! eight slots in it; the key is in one of those or nowhere. A slot holds a
//! 64-bit tag and the state of every policy, so that all policies of one subject
//! are decided under one lock.
//!
//! Nothing is ever swept. A slot whose times have all passed says the same as
//! no slot at all, so a new key may take it over, and forgetting is exact. If
//! all sixteen slots are live, none is evicted: the key is charged to the shard's
//! [`Sketch`], which counts too much, never too little. A key that later finds a
//! slot inherits what the sketch says, so that spending in the overflow is not
//! forgiven either.
//!
//! # Order of locks
//!
//! A decision about one key takes one lock. A joint decision takes the locks of
//! all its shards first, in the order of their addresses and each once, and
//! holds them to its end; no lock is taken while another is waited for out of
//! that order, so two joint decisions cannot hold each other up.

mod joint;
mod sketch;
mod slots;

pub(crate) use joint::{Loaded, update_all};

use self::slots::Slots;
use super::lock::{Mutex, MutexGuard};

/// The most policies that a limiter, and so a slot, can have.
pub(crate) const MAX_POLICIES: usize = 16;

/// The most words of a slot: a time for each policy, and at most one count.
pub(crate) const MAX_WORDS: usize = 2 * MAX_POLICIES;

/// A seeded hash of a key, and a mix of it. Two keys are taken for one if they
/// agree in all 64 bits: for a new key, one chance in 2^64 a key in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash {
    pub(crate) place: u64,
    /// Never 0.
    pub(crate) tag: u64,
}

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The key's own: the times of all policies, then the counts of those that count.
    Slot,
    /// Shared with other keys: a TAT for each policy, and no counts.
    Overflow,
}

/// What the table has to know of the policies.
pub(crate) struct Layout {
    /// For each policy, how far ahead of now its time can be at most.
    pub(crate) ceilings: Box<[u64]>,
    /// How many policies have a count.
    pub(crate) counts: usize,
    /// Turns the TATs of a key in the overflow into the words of a slot.
    pub(crate) inherit: Box<Inherit>,
}

/// The words, and now.
pub(crate) type Inherit = dyn Fn(&mut [u64], u64) + Send + Sync;

/// See the module.
pub(crate) struct Table {
    shards: Box<[Shard]>,
    layout: Layout,
}

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) live: usize,
    pub(crate) slots: usize,
    /// The chance that a key charged to the overflow meets only cells that
    /// others have charged.
    pub(crate) collision: f64,
}

impl KeyHash {
    /// From one 64-bit hash with a secret seed, or from a tag: all but one hash
    /// in 2^64 are their tags.
    #[inline]
    pub(crate) fn new(hash: u64) -> Self {
        let wide = u128::from(hash) * u128::from(MIX);
        // 0 marks an empty slot.
        Self { place: (wide >> 64) as u64 ^ wide as u64, tag: hash.max(1) }
    }
}

impl Table {
    /// A table in which about `max_keys` keys can be live at once.
    pub(crate) fn new(max_keys: usize, layout: Layout) -> Self {
        let shards = (max_keys / KEYS_PER_SHARD).next_power_of_two().clamp(1, MAX_SHARDS);
        // Half as many slots again as keys: at that load two buckets of eight
        // are both full for less than one key in a thousand.
        let slots = max_keys.saturating_mul(3).div_ceil(2);
        let shard = |_| Shard(Mutex::new(Slots::new(slots.div_ceil(shards), &layout)));
        Self { shards: (0..shards).map(shard).collect(), layout }
    }

    /// Lets `decide` read and change the key's words at the shard's time, under
    /// the shard's lock. A key whose times were not moved past now takes no slot.
    #[inline]
    pub(crate) fn update<R>(
        &self,
        key: KeyHash,
        now: u64,
        decide: impl FnOnce(&mut [u64], Place, u64) -> R,
    ) -> R {
        let mut slots = self.shard(key).0.lock();
        let now = slots.observe(now);
        let buckets = slots.buckets(key);
        if let Some(slot) = slots.find(key.tag, buckets) {
            return decide(slots.words(slot), Place::Slot, now);
        }
        self.update_newcomer(&mut slots, key, now, decide)
    }

    /// Apart, so that the way of a key that is there is short.
    #[inline(never)]
    fn update_newcomer<R>(
        &self,
        slots: &mut Slots,
        key: KeyHash,
        now: u64,
        decide: impl FnOnce(&mut [u64], Place, u64) -> R,
    ) -> R {
        let mut loaded = slots.newcomer(key, slots.buckets(key), now, &self.layout, &[]);
        let place = loaded.place;
        let answer = decide(loaded.words_mut(), place, now);
        slots.settle(key, &loaded);
        answer
    }

    /// Lets `look` see the words that [`update`](Self::update) would; changes to
    /// them are lost.
    pub(crate) fn peek<R>(
        &self,
        key: KeyHash,
        now: u64,
        look: impl FnOnce(&mut [u64], Place, u64) -> R,
    ) -> R {
        let mut slots = self.shard(key).0.lock();
        let now = slots.time(now);
        let mut loaded = slots.load(key, now, &self.layout, &[]);
        drop(slots);
        let place = loaded.place;
        look(loaded.words_mut(), place, now)
    }

    /// Lets `change` alter the words of a key that has a slot. A key without
    /// one is left alone: what it spent is forgotten because it has refilled,
    /// or lies in the overflow, where it is not told from what others spent.
    pub(crate) fn amend(&self, key: KeyHash, change: impl FnOnce(&mut [u64])) {
        let mut slots = self.shard(key).0.lock();
        let buckets = slots.buckets(key);
        if let Some(slot) = slots.find(key.tag, buckets) {
            change(slots.words(slot));
        }
    }

    /// Counts what is in use, locking one shard after the other.
    pub(crate) fn load(&self, now: u64) -> Load {
        let mut load = Load { live: 0, slots: 0, collision: 0.0 };
        for shard in &self.shards {
            let slots = shard.0.lock();
            load.live += slots.live(now);
            load.slots += slots.len();
            load.collision += slots.collision(now);
        }
        load.collision /= self.shards.len() as f64;
        load
    }

    /// Calls back with each key that is live at `now` in a slot of its own, with
    /// no lock held.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(crate) fn each(&self, now: u64, mut visit: impl FnMut(KeyHash)) {
        for shard in &self.shards {
            let tags = shard.0.lock().tags(now);
            tags.into_iter().map(KeyHash::new).for_each(&mut visit);
        }
    }

    #[inline]
    fn shard(&self, key: KeyHash) -> &Shard {
        // The low half of the place picks the bucket. The count is a power of two.
        let index = (key.place >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index]
    }
}

/// Apart by two cache lines: neighbours share none, adjacent-line prefetch included.
#[repr(align(128))]
struct Shard(Mutex<Slots>);

const MAX_SHARDS: usize = 256;
const KEYS_PER_SHARD: usize = 256;
/// An odd number of random bits (the golden ratio's): spreads any hash.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(all(test, not(seawall_loom)))]
mod tests;
