//! The bounded table of keys.
//!
//! Fixed slots, allocated once. A key's hash picks a shard and two buckets of
//! eight slots in it; the key is in one of those or nowhere. A slot holds a
//! 64-bit tag and one TAT per policy, so that every policy of one subject is
//! decided under one lock.
//!
//! Nothing is ever swept. A slot whose TATs have all passed says the same as
//! no slot at all, so a new key may take it over, and forgetting is exact. If
//! all sixteen slots are live, none is evicted: the key is charged to one of
//! the shard's overflow cells, which it shares with others and which therefore
//! counts too much, never too little. A key that later finds a slot inherits
//! its cell's state, so that spending in the overflow is not forgiven either.

use parking_lot::Mutex;

/// The most policies that a limiter, and so a slot, can have.
pub(crate) const MAX_POLICIES: usize = 16;

/// Two independent seeded hashes of a key. Two keys are taken for one if they
/// agree in the tag and share a bucket: for a new key, 16 chances in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash {
    pub(crate) place: u64,
    /// Never 0.
    pub(crate) tag: u64,
}

/// See the module.
pub(crate) struct Table {
    shards: Box<[Shard]>,
}

impl Table {
    /// A table in which about `max_keys` keys can be live at once.
    pub(crate) fn new(max_keys: usize, policies: usize) -> Self {
        let shards = (max_keys / KEYS_PER_SHARD).next_power_of_two().clamp(1, MAX_SHARDS);
        // Half as many slots again as keys: at that load two buckets of eight
        // are both full for less than one key in a thousand.
        let slots = max_keys.saturating_mul(3).div_ceil(2);
        let buckets = slots.div_ceil(shards * WAYS).max(2);
        let shard = |_| Shard(Mutex::new(Slots::new(buckets, policies)));
        Self { shards: (0..shards).map(shard).collect() }
    }

    /// Lets `decide` read and change the key's TATs at the shard's time, under
    /// the shard's lock. Also tells whether the key had to share an overflow
    /// cell. A key whose TATs were not moved past now takes no slot.
    pub(crate) fn update<R>(
        &self,
        key: KeyHash,
        now: u64,
        decide: impl FnOnce(&mut [u64], u64) -> R,
    ) -> (R, bool) {
        let mut slots = self.shard(key).lock();
        let now = slots.observe(now);
        let (first, second) = slots.buckets(key);
        if let Some(slot) = slots.find(key.tag, first, second) {
            return (decide(slots.tats(slot), now), false);
        }
        let Some(slot) = slots.vacancy(key.tag, first, second, now) else {
            return (decide(slots.cell(key), now), true);
        };
        let mut fresh = [0; MAX_POLICIES];
        let cell = slots.cell(key);
        let fresh = &mut fresh[..cell.len()];
        fresh.copy_from_slice(cell);
        let answer = decide(fresh, now);
        if *fresh != *cell && fresh.iter().any(|tat| *tat > now) {
            slots.occupy(slot, key.tag, fresh);
        }
        (answer, false)
    }

    /// Lets `look` see the TATs that [`update`](Self::update) would; changes to
    /// them are lost.
    pub(crate) fn peek<R>(
        &self,
        key: KeyHash,
        now: u64,
        look: impl FnOnce(&mut [u64], u64) -> R,
    ) -> R {
        let mut slots = self.shard(key).lock();
        let now = slots.time(now);
        let (first, second) = slots.buckets(key);
        let tats = match slots.find(key.tag, first, second) {
            Some(slot) => slots.tats(slot),
            None => slots.cell(key),
        };
        let mut copy = [0; MAX_POLICIES];
        let copy = &mut copy[..tats.len()];
        copy.copy_from_slice(tats);
        drop(slots);
        look(copy, now)
    }

    /// Lets `change` alter the TATs of a key that has a slot. A key without
    /// one is left alone: what it spent is forgotten because it has refilled,
    /// or lies in an overflow cell that belongs to others too.
    pub(crate) fn amend(&self, key: KeyHash, change: impl FnOnce(&mut [u64])) {
        let mut slots = self.shard(key).lock();
        let (first, second) = slots.buckets(key);
        if let Some(slot) = slots.find(key.tag, first, second) {
            change(slots.tats(slot));
        }
    }

    /// Counts the slots in use, locking one shard after the other.
    pub(crate) fn live(&self, now: u64) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().live(now)).sum()
    }

    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().tags.len() * WAYS).sum()
    }

    #[inline]
    fn shard(&self, key: KeyHash) -> &Mutex<Slots> {
        // The low half of the place picks the bucket. The count is a power of two.
        let index = (key.place >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index].0
    }
}

/// Apart by two cache lines: neighbours share none, adjacent-line prefetch included.
#[repr(align(128))]
struct Shard(Mutex<Slots>);

/// The tags of one bucket; 0 is an empty slot. One cache line.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Bucket([u64; WAYS]);

struct Slots {
    tags: Box<[Bucket]>,
    tats: Box<[u64]>,
    cells: Box<[u64]>,
    policies: usize,
    latest: u64,
}

impl Slots {
    fn new(buckets: usize, policies: usize) -> Self {
        Self {
            tags: vec![Bucket([0; WAYS]); buckets].into_boxed_slice(),
            tats: vec![0; buckets * WAYS * policies].into_boxed_slice(),
            cells: vec![0; CELLS * policies].into_boxed_slice(),
            policies,
            latest: 0,
        }
    }

    /// The time for a decision. Threads read the clock before they get the
    /// lock, so theirs may be a little behind one that was here first; were
    /// that believed, a slot just taken over could be forgiven its last
    /// instants. A long step back is the caller's wish, and believed.
    #[inline]
    fn time(&self, now: u64) -> u64 {
        if now < self.latest && self.latest - now < MAX_SKEW { self.latest } else { now }
    }

    #[inline]
    fn observe(&mut self, now: u64) -> u64 {
        self.latest = self.time(now);
        self.latest
    }

    #[inline]
    fn buckets(&self, key: KeyHash) -> (usize, usize) {
        let buckets = self.tags.len() as u64;
        let scale = |half: u64| (((half & 0xffff_ffff) * buckets) >> 32) as usize;
        (scale(key.place), scale(key.tag >> 32))
    }

    #[inline]
    fn find(&self, tag: u64, first: usize, second: usize) -> Option<usize> {
        [first, second].into_iter().find_map(|bucket| {
            let way = self.tags[bucket].0.iter().position(|stored| *stored == tag)?;
            Some(bucket * WAYS + way)
        })
    }

    /// A slot for a new key: in the first bucket while that has room to spare,
    /// else in the emptier one.
    fn vacancy(&self, tag: u64, first: usize, second: usize, now: u64) -> Option<usize> {
        let (room, slot) = self.room(tag, first, now);
        if room > WAYS / 3 {
            return slot;
        }
        let (other_room, other_slot) = self.room(tag, second, now);
        if other_room > room { other_slot } else { slot }
    }

    /// How many slots of a bucket are free, and one of them. Each key looks
    /// from a place of its own, so that keys which refill quickly do not take
    /// one and the same slot from each other again and again.
    fn room(&self, tag: u64, bucket: usize, now: u64) -> (usize, Option<usize>) {
        let slots = (0..WAYS).map(|way| bucket * WAYS + (tag as usize % WAYS + way) % WAYS);
        let mut vacant = slots.filter(|slot| !self.is_live(*slot, now));
        let slot = vacant.next();
        (usize::from(slot.is_some()) + vacant.count(), slot)
    }

    fn is_live(&self, slot: usize, now: u64) -> bool {
        let start = slot * self.policies;
        self.tats[start..start + self.policies].iter().any(|tat| *tat > now)
    }

    fn occupy(&mut self, slot: usize, tag: u64, tats: &[u64]) {
        self.tags[slot / WAYS].0[slot % WAYS] = tag;
        self.tats(slot).copy_from_slice(tats);
    }

    #[inline]
    fn tats(&mut self, slot: usize) -> &mut [u64] {
        let start = slot * self.policies;
        &mut self.tats[start..start + self.policies]
    }

    fn cell(&mut self, key: KeyHash) -> &mut [u64] {
        let start = key.tag as usize % CELLS * self.policies;
        &mut self.cells[start..start + self.policies]
    }

    fn live(&self, now: u64) -> usize {
        (0..self.tags.len() * WAYS).filter(|slot| self.is_live(*slot, now)).count()
    }
}

const WAYS: usize = 8;
const CELLS: usize = 16;
const MAX_SHARDS: usize = 64;
const KEYS_PER_SHARD: usize = 256;
const MAX_SKEW: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
