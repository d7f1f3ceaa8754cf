//! The cells of a histogram that one thread, or all the others together, add to.
//!
//! The order of a record: the sum, the cell, then the maximum. A reader goes
//! the other way: whoever sees a cell sees its sum. The count of a histogram is
//! the sum of its cells and nothing else.
//!
//! A tick takes the maximum and leaves none behind; if there is none at the
//! next one, nothing was recorded, and the cells need no reading. One case is
//! left: a record may have looked at the maximum just before it was taken, so
//! that it put none there, while its cell could not be seen yet. That lasts as
//! long as a store is under way. Whoever goes by the maximum therefore also
//! reads the cells at the tick after one that found a maximum.

use super::float::add;
use super::pages::Pages;
use super::sync::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

#[derive(Default)]
pub(crate) struct Stripe<P> {
    pub(crate) head: Head,
    pub(crate) pages: P,
}

/// What a stripe has beside its cells.
pub(crate) struct Head {
    /// Bits of the sum of the values.
    sum: AtomicU64,
    /// Rank of the largest value since the last tick, or [`NONE`].
    max: AtomicI64,
}

impl<P: Pages> Stripe<P> {
    /// Adds `value` if its cell has a word already; says so. Only one thread at
    /// a time may do so.
    #[inline]
    pub(crate) fn record(&self, cell: usize, value: f64) -> bool {
        let word = self.pages.word(cell);
        word.inspect(|word| self.head.record(word, value, 1)).is_some()
    }

    /// Adds `count` times `value`. Only one thread at a time may do so.
    pub(crate) fn record_many(&self, cell: usize, value: f64, count: u64) {
        if let Some(word) = self.pages.word_or_new(cell) {
            self.head.record(word, value, count);
        }
    }

    /// The same for any number of threads.
    pub(crate) fn record_shared(&self, cell: usize, value: f64, count: u64) {
        if let Some(word) = self.pages.word_or_new(cell) {
            add(&self.head.sum, value * count as f64);
            word.fetch_add(count, Release);
            self.head.max.fetch_max(rank(value), Release);
        }
    }
}

impl Default for Head {
    fn default() -> Self {
        Self { sum: AtomicU64::new(0.0_f64.to_bits()), max: AtomicI64::new(NONE) }
    }
}

impl Head {
    /// To be read after the cells: then every value in a cell is in the sum.
    pub(crate) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }

    /// The largest value since it was last taken. To be read before the cells.
    pub(crate) fn max(&self) -> Option<f64> {
        unrank(self.max.load(Acquire))
    }

    pub(crate) fn take_max(&self) -> Option<f64> {
        unrank(self.max.swap(NONE, Acquire))
    }

    #[inline]
    fn record(&self, word: &AtomicU64, value: f64, count: u64) {
        let sum = f64::from_bits(self.sum.load(Relaxed)) + value * count as f64;
        self.sum.store(sum.to_bits(), Relaxed);
        word.store(word.load(Relaxed).wrapping_add(count), Release);
        let rank = rank(value);
        if rank > self.max.load(Relaxed) {
            self.max.store(rank, Release);
        }
    }
}

/// Maps a finite value to a number of the same order, never to [`NONE`]. What
/// has no sign bit keeps its bits.
#[inline]
fn rank(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if bits < 0 { !(bits & i64::MAX) } else { bits }
}

fn unrank(rank: i64) -> Option<f64> {
    match rank {
        NONE => None,
        0.. => Some(f64::from_bits(rank as u64)),
        _ => Some(-f64::from_bits(!rank as u64)),
    }
}

const NONE: i64 = i64::MIN;

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranks_keep_the_order_of_values() {
        let values = [f64::MIN, -1.0, -1e-300, -0.0, 0.0, 1e-300, 1.0, f64::MAX];
        for pair in values.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
            assert_eq!(unrank(rank(pair[0])), Some(pair[0]));
        }
        assert!(rank(f64::MIN) > NONE);
    }
}
