//! The bounded table of keys that a node knows something of.
//!
//! As the local limiter's: seeded hashes, fixed places, two buckets of eight for a key, no sweep on
//! the way of a decision, and a key that is not idle is never evicted. A key for which there is no
//! place is decided by Redis every time; without Redis it shares a state with others, which counts
//! too much and never too little.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::lease::Terms;
use super::state::KeyState;
use super::subject::Subject;
use crate::key::Key;

/// See the module.
pub(crate) struct Table {
    shards: Box<[Shard]>,
    buckets: usize,
    policies: usize,
    seeds: [RandomState; 2],
}

/// Two seeded hashes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    place: u64,
    /// Never 0, which is an empty slot.
    tag: u64,
}

impl Table {
    pub(crate) fn new(max_keys: usize, policies: usize) -> Self {
        let count = (max_keys / KEYS_PER_SHARD).next_power_of_two().clamp(1, MAX_SHARDS);
        let slots = max_keys.saturating_mul(3).div_ceil(2);
        let buckets = slots.div_ceil(count * WAYS).max(2);
        let slots = || Slots {
            tags: vec![[0; WAYS]; buckets].into_boxed_slice(),
            states: (0..buckets * WAYS).map(|_| None).collect(),
            shared: KeyState::new(Subject::of(Key::Unknown), policies, 0),
        };
        let shards = (0..count).map(|_| Shard(Mutex::new(slots()))).collect();
        Self { shards, buckets, policies, seeds: [RandomState::default(), RandomState::default()] }
    }

    /// One of the same size in which keys have the same places, with what `carry` makes of each.
    pub(crate) fn after(&self, policies: usize, carry: impl Fn(&KeyState) -> KeyState) -> Self {
        let shard = |Shard(slots): &Shard| {
            let slots = slots.lock();
            let states = slots
                .states
                .iter()
                .map(|state| state.as_deref().map(|state| Box::new(carry(state))));
            let (tags, states) = (slots.tags.clone(), states.collect());
            Shard(Mutex::new(Slots { tags, states, shared: carry(&slots.shared) }))
        };
        let shards = self.shards.iter().map(shard).collect();
        Self { shards, buckets: self.buckets, policies, seeds: self.seeds.clone() }
    }

    pub(crate) fn place(&self, key: Key<'_>) -> Place {
        let [place, tag] = &self.seeds;
        Place { place: place.hash_one(key), tag: tag.hash_one(key).max(1) }
    }

    /// Lets `f` work on the key's state, if there is one.
    pub(crate) fn known<R>(&self, place: Place, f: impl FnOnce(&mut KeyState) -> R) -> Option<R> {
        let mut slots = self.shard(place).lock();
        let found = self.find(&slots, place)?;
        slots.states[found].as_deref_mut().map(f)
    }

    /// The same, making a state if there is none and a place is free. `None` if there is none.
    pub(crate) fn with<R>(
        &self,
        place: Place,
        (now, terms): (u64, Terms),
        make: impl FnOnce() -> (Subject, u64),
        f: impl FnOnce(&mut KeyState) -> R,
    ) -> Option<R> {
        let mut slots = self.shard(place).lock();
        let slot = match self.find(&slots, place) {
            Some(slot) => slot,
            None => self.occupy(&mut slots, place, (now, terms), make)?,
        };
        slots.states[slot].as_deref_mut().map(f)
    }

    /// The state of all those for which there is no place.
    pub(crate) fn shared<R>(&self, place: Place, f: impl FnOnce(&mut KeyState) -> R) -> R {
        f(&mut self.shard(place).lock().shared)
    }

    /// How many shards there are to [`walk`](Self::walk).
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Shows `f` all states of one shard, under its lock.
    pub(crate) fn walk(&self, shard: usize, mut f: impl FnMut(&mut KeyState)) {
        let mut slots = self.shards[shard].0.lock();
        slots.states.iter_mut().flatten().for_each(|state| f(state));
    }

    fn occupy(
        &self,
        slots: &mut Slots,
        place: Place,
        (now, terms): (u64, Terms),
        make: impl FnOnce() -> (Subject, u64),
    ) -> Option<usize> {
        let free = self.candidates(place).find(|slot| {
            slots.states[*slot].as_ref().is_none_or(|state| state.is_idle(now, terms))
        })?;
        let (subject, blocked) = make();
        slots.tags[free / WAYS][free % WAYS] = place.tag;
        slots.states[free] = Some(Box::new(KeyState::new(subject, self.policies, blocked)));
        Some(free)
    }

    fn find(&self, slots: &Slots, place: Place) -> Option<usize> {
        self.candidates(place).find(|slot| slots.tags[slot / WAYS][slot % WAYS] == place.tag)
    }

    fn candidates(&self, place: Place) -> impl Iterator<Item = usize> + use<> {
        let buckets = self.buckets as u64;
        // Two independent halves, scaled to the count of buckets.
        let first = (((place.place & 0xffff_ffff) * buckets) >> 32) as usize;
        let second = (((place.tag >> 32) * buckets) >> 32) as usize;
        let of = |bucket: usize| bucket * WAYS..(bucket + 1) * WAYS;
        of(first).chain(of(second))
    }

    fn shard(&self, place: Place) -> &Mutex<Slots> {
        let index = (place.place >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index].0
    }
}

/// Neighbours share no cache line.
#[repr(align(128))]
struct Shard(Mutex<Slots>);

struct Slots {
    tags: Box<[[u64; WAYS]]>,
    states: Box<[Option<Box<KeyState>>]>,
    shared: KeyState,
}

const WAYS: usize = 8;
const KEYS_PER_SHARD: usize = 256;
const MAX_SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { ttl: 1_000, most: 10 };

    fn enter(table: &Table, number: u64, now: u64, blocked: u64) -> bool {
        let key = Key::Number(number);
        let make = || (Subject::of(key), blocked);
        table.with(table.place(key), (now, TERMS), make, |_| ()).is_some()
    }

    #[test]
    fn a_flood_of_keys_frees_no_key_that_counts() {
        let table = Table::new(64, 1);
        let blocked = (0..48).filter(|number| enter(&table, *number, 0, 500)).count();
        assert!(blocked > 32, "{blocked}");
        for number in 1_000..20_000 {
            enter(&table, number, 0, 500);
        }
        let mut first = 0;
        for number in 0..48 {
            let place = table.place(Key::Number(number));
            first += usize::from(table.known(place, |state| state.blocked == 500) == Some(true));
        }
        assert_eq!(first, blocked);
        // Once they are idle, they make room.
        assert!(enter(&table, 30_000, 501, 0));
    }
}
