//! Which solutions were redeemed, in a table of fixed size that never forgets early.

use parking_lot::Mutex;

/// Ids of redeemed puzzles until those run out.
///
/// Ids are drawn at random here and come back under our own code, so nobody
/// picks the set that an id falls into, and no hash is needed.
pub(crate) struct Replay {
    sets: Box<[Mutex<Set>]>,
}

type Set = [Slot; WAYS];

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    id: u64,
    expires: u64,
}

/// What became of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    New,
    Seen,
    /// Nothing in its set has run out: better to refuse one that is good than
    /// to forget one that was used.
    Full,
}

impl Replay {
    /// With room for about so many ids at once.
    pub(crate) fn new(slots: usize) -> Self {
        let sets = slots.div_ceil(WAYS).max(1).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::new([Slot::default(); WAYS])).collect() }
    }

    /// Notes an id, if it was not there. Both numbers are seconds.
    pub(crate) fn enter(&self, id: u64, expires: u64, now: u64) -> Entry {
        let Some(set) = self.sets.get(id as usize & (self.sets.len() - 1)) else {
            return Entry::Full;
        };
        let mut set = set.lock();
        let mut free = None;
        for slot in set.iter_mut() {
            if slot.expires > now {
                if slot.id == id {
                    return Entry::Seen;
                }
            } else {
                free = Some(slot);
            }
        }
        match free {
            Some(slot) => {
                *slot = Slot { id, expires };
                Entry::New
            }
            None => Entry::Full,
        }
    }
}

const WAYS: usize = 16;

#[cfg(test)]
mod tests;
