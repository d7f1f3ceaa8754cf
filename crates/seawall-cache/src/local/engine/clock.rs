//! Who goes when the capacity was made smaller than what the policy was made with.
//!
//! moka's capacity is fixed, so below it a clock decides: a hand goes round the index and takes
//! out what was not used since it last passed (CLOCK with a count of uses, after Corbató 1968 and
//! GCLOCK, Smith 1978). moka goes on to keep its order for when the capacity is back.

use parking_lot::Mutex;

use super::index::Index;

/// The hand, and what it found.
pub(super) struct Clock {
    hand: Mutex<Hand>,
}

#[derive(Default)]
struct Hand {
    part: usize,
    /// Hashes and generations of slots that were unused when the hand passed.
    found: Vec<(u64, u32)>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { hand: Mutex::new(Hand::default()) }
    }

    /// Has unused slots of `index` removed by `remove`, at most `at_most`, until the index weighs
    /// `capacity`. Does nothing while another thread does it.
    pub(super) fn trim<K, T>(
        &self,
        index: &Index<K, T>,
        capacity: u64,
        at_most: usize,
        remove: impl Fn(u64, u32) -> bool,
    ) where
        K: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let Some(mut hand) = self.hand.try_lock() else {
            return;
        };
        // A full round for each use that can be counted, and one to take them out.
        let mut passes_left = (index.parts() + 1) * PASSES;
        let mut count = 0;
        while count < at_most && index.weight() > capacity {
            let Some((hash, generation)) = hand.found.pop() else {
                if passes_left == 0 {
                    return;
                }
                passes_left -= 1;
                hand.pass(index);
                continue;
            };
            if remove(hash, generation) {
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
        index.visit(*part, |hash, slot| {
            if slot.pass() {
                found.push((hash, slot.generation()));
            }
            found.len() < MOST_FOUND
        });
        *part = (*part + 1) % index.parts();
    }
}

const PASSES: usize = 5;

/// What the hand finds at a time.
const MOST_FOUND: usize = 4_096;
