//! How the moka engine learns that moka dropped an entry.
//!
//! moka has listeners for that, but with one it takes a lock of its own for every write, which
//! costs as much again as the write. So the value that moka holds is a [`Stay`], and dropping it
//! is the news.
//!
//! moka asks for clones: it keeps one of what it is given, and gives one to whoever looks. Only
//! the one it keeps counts, so a stay that is offered becomes a kept one when it is cloned, and
//! clones of that are mere copies. If a later moka kept what it is given, or two clones, it would
//! be heard too late or too early: the entry would go with the next trim of the engine, or as if
//! it had been evicted.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// One stay of a hash in moka: from when it goes in until moka drops it.
pub(super) struct Stay {
    /// The place, with the generation and what this clone is in its low bits.
    bits: u64,
    ended: Arc<Ended>,
}

/// The hash of a key without its low bits: what index and policy know a key by. Two keys of one
/// place cannot both be held; with a million keys there is about one pair in 300 caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

/// Tells stays of a place apart. It comes round, but not while an earlier stay may still be heard
/// of; if it did, an entry would go as if evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u16);

/// Stays that moka dropped, until the engine looks.
#[derive(Default)]
pub(super) struct Ended {
    stays: Mutex<Vec<(Place, Generation)>>,
    count: AtomicUsize,
    closed: AtomicBool,
}

impl Stay {
    /// To be given to moka.
    pub(super) fn offer(place: Place, generation: Generation, ended: &Arc<Ended>) -> Self {
        let bits = place.0 | u64::from(generation.0) << KIND_BITS | OFFERED;
        Self { bits, ended: Arc::clone(ended) }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation((self.bits & LOW) as u16 >> KIND_BITS)
    }
}

impl Clone for Stay {
    fn clone(&self) -> Self {
        let kind = if self.bits & KIND == OFFERED { KEPT } else { COPY };
        Self { bits: self.bits & !KIND | kind, ended: Arc::clone(&self.ended) }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.bits & KIND == KEPT {
            // In the middle of any moka's housekeeping, on any thread, even one that ends: note
            // it and no more.
            self.ended.push(Place(self.bits & !LOW), self.generation());
        }
    }
}

impl Place {
    pub(super) fn new(hash: u64) -> Self {
        Self(hash & !LOW)
    }

    /// The place as a hash of itself: good in its high and in its low bits.
    fn mixed(self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    /// A number below `count`, a power of two. Other bits than tables use that hold up to 65 536.
    pub(super) fn part(self, count: usize) -> usize {
        (self.0 >> LOW_BITS) as usize & (count - 1)
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.mixed());
    }
}

impl Generation {
    /// That of the `number`th stay.
    pub(super) fn new(number: u64) -> Self {
        Self((number & (LOW >> KIND_BITS)) as u16)
    }
}

impl Ended {
    /// Nobody will look any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn push(&self, place: Place, generation: Generation) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let mut stays = self.stays.lock();
        stays.push((place, generation));
        self.count.store(stays.len(), Ordering::Release);
    }

    /// Takes them all.
    pub(super) fn take(&self) -> Vec<(Place, Generation)> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut stays = self.stays.lock();
        self.count.store(0, Ordering::Release);
        std::mem::take(&mut *stays)
    }
}

/// Of the hash, the bits that a place does without.
const LOW_BITS: u32 = 16;

const LOW: u64 = (1 << LOW_BITS) - 1;

const KIND_BITS: u32 = 2;

const KIND: u64 = (1 << KIND_BITS) - 1;

/// What moka is given.
const OFFERED: u64 = 0;

/// What moka keeps.
const KEPT: u64 = 1;

/// What moka shows.
const COPY: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clone_that_is_kept_is_heard_of_and_once() {
        let ended = Arc::new(Ended::default());
        let (place, generation) = (Place::new(u64::MAX), Generation::new(u64::MAX));
        let offered = Stay::offer(place, generation, &ended);
        let kept = offered.clone();
        drop(offered);
        let copy = kept.clone();
        assert_eq!(copy.generation(), generation);
        drop(copy.clone());
        drop(copy);
        assert_eq!(ended.take(), []);
        drop(kept);
        assert_eq!(ended.take(), [(place, generation)]);
        assert_eq!(ended.take(), []);
    }
}
