//! The clients that violated something of late: a table of fixed size.
//!
//! A key's hash picks one set of sixteen slots. A state that has ended says the
//! same as none, so its slot is free again, and nothing is swept. If all sixteen
//! are live, a newcomer takes the slot of a client that is ok and whose count
//! ends first; one that is challenged or blocked is never forgotten, so no flood
//! of violators frees another.

use super::law::{Event, Law, Standing, State};
use crate::lock::Mutex;
use crate::table::KeyHash;

pub(crate) struct Table {
    /// One lock a set: what is under it is some hundred bytes.
    sets: Box<[Mutex<Set>]>,
}

type Set = [Slot; WAYS];

#[derive(Clone, Copy, Default)]
struct Slot {
    /// 0 is empty.
    tag: u64,
    state: State,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The state before, as time had made it, and after.
    Changed(State, State),
    /// There was no room, as others are challenged or blocked: nothing was noted.
    Full,
}

impl Table {
    pub(crate) fn new(max_keys: usize) -> Self {
        let sets = max_keys.div_ceil(WAYS);
        Self { sets: (0..sets).map(|_| Mutex::new([Slot::default(); WAYS])).collect() }
    }

    pub(crate) fn get(&self, key: KeyHash, law: &Law, now: u64) -> State {
        let set = self.set(key).lock();
        let found = set.iter().find(|slot| slot.tag == key.tag);
        found.map_or_else(State::default, |slot| law.next(slot.state, Event::Nothing, now))
    }

    pub(crate) fn note(&self, key: KeyHash, event: Event, law: &Law, now: u64) -> Noted {
        let mut set = self.set(key).lock();
        let found = set.iter().position(|slot| slot.tag == key.tag);
        let index = found.or_else(|| vacancy(&set, law, now));
        let Some(slot) = index.and_then(|index| set.get_mut(index)) else { return Noted::Full };
        let known = if found.is_some() { slot.state } else { State::default() };
        let before = law.next(known, Event::Nothing, now);
        let after = law.next(before, event, now);
        let tag = if after == State::default() { 0 } else { key.tag };
        *slot = Slot { tag, state: after };
        Noted::Changed(before, after)
    }

    /// How many stand so now; one set's lock at a time.
    pub(crate) fn count(&self, standing: Standing, law: &Law, now: u64) -> usize {
        let of = |slot: &Slot| {
            let state = law.next(slot.state, Event::Nothing, now);
            slot.tag != 0 && state != State::default() && state.standing == standing
        };
        self.sets.iter().map(|set| set.lock().iter().filter(|slot| of(slot)).count()).sum()
    }

    fn set(&self, key: KeyHash) -> &Mutex<Set> {
        let index = (u128::from(key.place) * self.sets.len() as u128) >> 64;
        &self.sets[index as usize]
    }
}

fn vacancy(set: &Set, law: &Law, now: u64) -> Option<usize> {
    let is_free = |slot: &Slot| slot.tag == 0 || slot.state.ends(law) <= now;
    if let Some(free) = set.iter().position(is_free) {
        return Some(free);
    }
    let ok = |slot: &Slot| slot.state.standing == Standing::Ok && !slot.state.ordered;
    let mild = set.iter().enumerate().filter(|(_, slot)| ok(slot));
    mild.min_by_key(|(_, slot)| slot.state.until).map(|(index, _)| index)
}

const WAYS: usize = 16;

#[cfg(test)]
mod tests;
