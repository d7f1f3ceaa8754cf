//! The cells of a histogram that one thread, or all the others together, add to.
//!
//! Cells come in pages of 64, made when a value first falls into one, so a
//! latency series takes a few KiB however many values it has seen.
//!
//! The order of a record: sum and maximum, the cell, then `records`. A reader
//! goes the other way: whoever sees a record in `records` sees its cell, and
//! whoever sees a cell sees its sum. `records` only tells whether anything
//! happened since the last look; the count of a histogram is the sum of its
//! cells and nothing else.

use crossbeam_utils::CachePadded;

use super::float::add;
use super::layout::MAX_CELLS;
use super::numbers::suspended;
use super::sync::{
    AtomicU64, OnceLock,
    Ordering::{Acquire, Relaxed, Release},
};

pub(crate) struct Stripe {
    /// Bits of the sum of the values.
    sum: AtomicU64,
    /// Rank of the largest value since the last tick, zero if none.
    max: AtomicU64,
    records: AtomicU64,
    pages: [OnceLock<Page>; PAGES],
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            sum: AtomicU64::new(0.0_f64.to_bits()),
            max: AtomicU64::new(0),
            records: AtomicU64::new(0),
            pages: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl Stripe {
    /// Adds `count` times `value`. Only one thread at a time may do so.
    #[inline]
    pub(crate) fn record_alone(&self, cell: usize, value: f64, count: u64) {
        let Some(word) = self.word(cell) else {
            return;
        };
        let sum = f64::from_bits(self.sum.load(Relaxed)) + value * count as f64;
        self.sum.store(sum.to_bits(), Relaxed);
        let rank = rank(value);
        if rank > self.max.load(Relaxed) {
            self.max.store(rank, Relaxed);
        }
        word.store(word.load(Relaxed).wrapping_add(count), Release);
        self.records.store(self.records.load(Relaxed).wrapping_add(1), Release);
    }

    /// The same for any number of threads.
    pub(crate) fn record_shared(&self, cell: usize, value: f64, count: u64) {
        let Some(word) = self.word(cell) else {
            return;
        };
        add(&self.sum, value * count as f64);
        self.max.fetch_max(rank(value), Relaxed);
        word.fetch_add(count, Release);
        self.records.fetch_add(1, Release);
    }

    /// Changes with every record.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Acquire)
    }

    /// To be read after the cells: then every value in a cell is in the sum.
    pub(crate) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }

    pub(crate) fn max(&self) -> Option<f64> {
        unrank(self.max.load(Relaxed))
    }

    /// The maximum since it was last taken.
    pub(crate) fn take_max(&self) -> Option<f64> {
        unrank(self.max.swap(0, Relaxed))
    }

    /// Adds the cells of a page to `counts`; false if there is no such page.
    pub(crate) fn read_page(&self, page: usize, counts: &mut [u64; PAGE_CELLS]) -> bool {
        let Some(words) = self.pages.get(page).and_then(OnceLock::get) else {
            return false;
        };
        for (count, word) in counts.iter_mut().zip(words.iter()) {
            *count = count.wrapping_add(word.load(Acquire));
        }
        true
    }

    #[inline]
    fn word(&self, cell: usize) -> Option<&AtomicU64> {
        let page = self.pages.get(cell / PAGE_CELLS)?;
        let page = match page.get() {
            Some(page) => page,
            None => new_page(page),
        };
        page.get(cell % PAGE_CELLS)
    }
}

/// Few under loom, which tries every order of looking at them.
pub(crate) const PAGE_CELLS: usize = if cfg!(seawall_loom) { 2 } else { 64 };
pub(crate) const PAGES: usize = MAX_CELLS.div_ceil(PAGE_CELLS);

type Page = Box<CachePadded<[AtomicU64; PAGE_CELLS]>>;

#[cold]
fn new_page(page: &OnceLock<Page>) -> &Page {
    suspended(|| {
        page.get_or_init(|| Box::new(CachePadded::new(std::array::from_fn(|_| AtomicU64::new(0)))))
    })
}

/// Maps a finite value to a word of the same order, never zero.
#[inline]
fn rank(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn unrank(rank: u64) -> Option<f64> {
    match rank {
        0 => None,
        _ if rank >> 63 == 1 => Some(f64::from_bits(rank & !(1 << 63))),
        _ => Some(f64::from_bits(!rank)),
    }
}

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
        assert!(rank(f64::MIN) > 0);
    }
}
