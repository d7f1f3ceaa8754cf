//! Where the words of a stripe's cells are kept: nowhere, until a value falls
//! into one.

use crossbeam_utils::CachePadded;

use super::layout::MAX_CELLS;
use super::numbers::suspended;
use super::sync::{AtomicU64, OnceBox, Ordering::Acquire};

pub(crate) trait Pages: Default {
    /// The word of a cell, if there is one yet.
    fn word(&self, cell: usize) -> Option<&AtomicU64>;

    /// The word of a cell, made now if it has none.
    fn word_or_new(&self, cell: usize) -> Option<&AtomicU64>;

    /// Adds the cells of a block to `counts`; false if it has none.
    fn read(&self, block: usize, counts: &mut [u64; BLOCK]) -> bool;
}

/// Takes little memory: pages of 16 cells, half a power of two, and tables of
/// 16 pages. A series that saw one value has one of each; one of latencies from
/// a millisecond to a second some twenty pages.
pub(crate) struct Small([OnceBox<Table>; TABLES]);

/// Takes few instructions: pages as large as a block, of which nobody else
/// writes to a cache line.
pub(crate) struct Wide([OnceBox<CachePadded<[AtomicU64; BLOCK]>>; BLOCKS]);

impl Default for Small {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceBox::new()))
    }
}

impl Pages for Small {
    #[inline]
    fn word(&self, cell: usize) -> Option<&AtomicU64> {
        let table = self.0.get(cell / (PAGE * PAGES))?.get()?;
        table.get(cell / PAGE % PAGES)?.get()?.get(cell % PAGE)
    }

    #[inline(never)]
    fn word_or_new(&self, cell: usize) -> Option<&AtomicU64> {
        let table = self.0.get(cell / (PAGE * PAGES))?;
        suspended(|| {
            let table = table.get_or_init(|| Box::new(std::array::from_fn(|_| OnceBox::new())));
            table.get(cell / PAGE % PAGES)?.get_or_init(|| Box::new(zeros())).get(cell % PAGE)
        })
    }

    fn read(&self, block: usize, counts: &mut [u64; BLOCK]) -> bool {
        let first = block * (BLOCK / PAGE);
        let Some(table) = self.0.get(first / PAGES).and_then(OnceBox::get) else {
            return false;
        };
        let mut any = false;
        for (page, counts) in table.iter().skip(first % PAGES).zip(counts.chunks_exact_mut(PAGE)) {
            if let Some(page) = page.get() {
                add(page, counts);
                any = true;
            }
        }
        any
    }
}

impl Default for Wide {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceBox::new()))
    }
}

impl Pages for Wide {
    #[inline]
    fn word(&self, cell: usize) -> Option<&AtomicU64> {
        self.0.get(cell / BLOCK)?.get()?.get(cell % BLOCK)
    }

    #[inline(never)]
    fn word_or_new(&self, cell: usize) -> Option<&AtomicU64> {
        let page = self.0.get(cell / BLOCK)?;
        suspended(|| page.get_or_init(|| Box::new(CachePadded::new(zeros())))).get(cell % BLOCK)
    }

    fn read(&self, block: usize, counts: &mut [u64; BLOCK]) -> bool {
        let page = self.0.get(block).and_then(OnceBox::get);
        page.inspect(|page| add(&page[..], counts)).is_some()
    }
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

fn add(words: &[AtomicU64], counts: &mut [u64]) {
    for (count, word) in counts.iter_mut().zip(words) {
        *count = count.wrapping_add(word.load(Acquire));
    }
}

/// Cells that are read at a time. Few under loom, which tries every order.
pub(crate) const BLOCK: usize = if cfg!(seawall_loom) { 2 } else { 64 };
pub(crate) const BLOCKS: usize = MAX_CELLS.div_ceil(BLOCK);

const PAGE: usize = if cfg!(seawall_loom) { 2 } else { 16 };
const PAGES: usize = if cfg!(seawall_loom) { 1 } else { 16 };
const TABLES: usize = MAX_CELLS.div_ceil(PAGE * PAGES);

type Table = [OnceBox<[AtomicU64; PAGE]>; PAGES];
