//! Who goes when the capacity was made smaller than what the policy was made with.
//!
//! moka's capacity is fixed, so below it a clock decides: a hand goes round the index and takes
//! out what was not used since it last passed (CLOCK with a count of uses, after Corbató 1968 and
//! GCLOCK, Smith 1978). moka goes on to keep its order for when the capacity is back.

use parking_lot::Mutex;

use super::index::Index;
use super::stay::{Generation, Place};

/// The hand, and what it found.
pub(super) struct Clock {
    hand: Mutex<Hand>,
}

#[derive(Default)]
struct Hand {
    part: usize,
    /// Slots that were unused when the hand passed.
    found: Vec<(Place, Generation)>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { hand: Mutex::new(Hand::default()) }
    }

    /// Has unused slots of `index` removed by `remove`, at most `at_most`, until the index weighs
    /// `capacity`. While another thread does it: waits if `wait` says so, else does nothing.
    pub(super) fn trim<K, T>(
        &self,
        index: &Index<K, T>,
        capacity: u64,
        at_most: usize,
        wait: bool,
        remove: impl Fn(Place, Generation) -> bool,
    ) where
        K: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let hand = if wait { Some(self.hand.lock()) } else { self.hand.try_lock() };
        let Some(mut hand) = hand else {
            return;
        };
        // A full round for each use that can be counted, and one to take them out.
        let mut passes_left = (index.parts() + 1) * PASSES;
        let mut count = 0;
        while count < at_most && index.weight() > capacity {
            let Some((place, generation)) = hand.found.pop() else {
                if passes_left == 0 {
                    return;
                }
                passes_left -= 1;
                hand.pass(index);
                continue;
            };
            if remove(place, generation) {
                index.count_evicted();
                count += 1;
            }
        }
    }
}

impl Hand {
    /// Passes over one part.
    fn pass<K, T>(&mut self, index: &Index<K, T>)
    where
        K: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let Self { part, found } = self;
        index.visit(*part, |place, slot| {
            if slot.pass() {
                found.push((place, slot.generation()));
            }
            found.len() < MOST_FOUND
        });
        *part = (*part + 1) % index.parts();
    }
}

const PASSES: usize = 5;

/// What the hand finds at a time.
const MOST_FOUND: usize = 4_096;
