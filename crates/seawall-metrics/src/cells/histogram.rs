//! A histogram: striped log-linear cells that only ever grow.
//!
//! A stripe holds a directory of pages of 64 cells, each page made when a
//! value first falls into it, so a latency series takes a few KiB per stripe
//! in use however many values it has seen. There is no buffer to drain.
//!
//! The count of a histogram is the sum of its cells and nothing else, so count
//! and buckets of one reading agree by construction. Cells are never reset:
//! a window is the difference of two readings, and no rotation can lose a value.
//!
//! `changed` lets a tick skip an idle stripe. The writer first adds to the
//! cell, then looks at the flag; the reader first takes the flag, then reads
//! the cells; all four are sequentially consistent. If the writer finds the
//! flag still up, its addition stands before the reader's take and is read;
//! if it finds it down, it raises it and the next tick reads the value. The
//! thread that makes a page raises the flag in any case.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;
use metrics::{CounterFn, HistogramFn};
use parking_lot::Mutex;

use super::gauge::add;
use super::layout::MAX_CELLS;
use super::{CounterCell, Layout, Sparse, slot};
use crate::window::{Delta, History, Tick};

pub(crate) struct HistogramCell {
    layout: Arc<Layout>,
    rejects: Arc<Rejects>,
    /// Values below this are refused: zero for durations, else `-LARGEST`.
    floor: f64,
    stripes: Box<[OnceLock<Box<CachePadded<Stripe>>>]>,
    past: Mutex<Past>,
}

/// Counters of the values no histogram takes.
pub(crate) struct Rejects {
    pub(crate) nan: Arc<CounterCell>,
    pub(crate) infinite: Arc<CounterCell>,
    pub(crate) negative: Arc<CounterCell>,
}

/// A reading since the series was made.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) cells: Sparse,
    pub(crate) sum: f64,
}

/// The window of one or more series of one layout, added up.
pub(crate) struct WindowSum {
    pub(crate) cells: Vec<u64>,
    pub(crate) sum: f64,
    pub(crate) max: Option<f64>,
}

impl HistogramCell {
    pub(crate) fn new(
        layout: Arc<Layout>,
        rejects: Arc<Rejects>,
        durations: bool,
        stripe_count: usize,
    ) -> Self {
        Self {
            layout,
            rejects,
            floor: if durations { 0.0 } else { -LARGEST },
            stripes: (0..stripe_count).map(|_| OnceLock::new()).collect(),
            past: Mutex::default(),
        }
    }

    /// Everything recorded so far. Cells first: a value that is in a cell is
    /// then also in the sum.
    pub(crate) fn totals(&self) -> Totals {
        let mut cells = Sparse::default();
        for page in 0..PAGES {
            let made = || self.stripes().filter_map(|s| s.pages.get(page)?.get());
            if made().next().is_none() {
                continue;
            }
            let mut counts = [0_u64; PAGE_CELLS];
            for words in made() {
                for (count, word) in counts.iter_mut().zip(words.iter()) {
                    *count = count.wrapping_add(word.load(SeqCst));
                }
            }
            for (at, count) in counts.into_iter().enumerate() {
                cells.push(page * PAGE_CELLS + at, count);
            }
        }
        let sums = self.stripes().map(|stripe| f64::from_bits(stripe.sum.load(Relaxed)));
        // Not `sum()`: of nothing, that is minus zero.
        let sum = sums.fold(0.0, |total, sum| total + sum);
        Totals { cells, sum }
    }

    pub(crate) fn tick(&self, tick: &Tick) {
        let mut past = self.past.lock();
        let mut changed = false;
        for stripe in self.stripes() {
            changed |= stripe.changed.load(SeqCst) && stripe.changed.swap(false, SeqCst);
        }
        let mut slot = Slot::default();
        if changed {
            let totals = self.totals();
            let max = self.stripes().map(|stripe| stripe.max.swap(0, Relaxed)).max();
            slot = Slot {
                cells: totals.cells.minus(&past.totals.cells),
                sum: totals.sum - past.totals.sum,
                max: max.unwrap_or(0),
            };
            past.totals = totals;
        }
        past.slots.push(tick, slot);
    }

    /// Adds what was recorded since the start of the tick `from`.
    pub(crate) fn add_since(&self, from: u64, window: &mut WindowSum) {
        let past = self.past.lock();
        for slot in past.slots.since(from) {
            window.add(&slot.cells, slot.sum, slot.max);
        }
        if self.stripes().any(|stripe| stripe.changed.load(SeqCst)) {
            let totals = self.totals();
            let max = self.stripes().map(|stripe| stripe.max.load(Relaxed)).max();
            window.add(
                &totals.cells.minus(&past.totals.cells),
                totals.sum - past.totals.sum,
                max.unwrap_or(0),
            );
        }
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes.iter().filter_map(OnceLock::get).map(|stripe| &***stripe)
    }

    #[cold]
    fn reject(&self, value: f64, count: u64) {
        let counter = if value.is_nan() {
            &self.rejects.nan
        } else if value.abs() > LARGEST {
            &self.rejects.infinite
        } else {
            &self.rejects.negative
        };
        counter.increment(count);
    }

    #[inline]
    fn observe(&self, value: f64, count: u64) {
        if !(value >= self.floor && value <= LARGEST) {
            return self.reject(value, count);
        }
        let Some(stripe) = self.stripes.get(slot() & (self.stripes.len() - 1)) else {
            return;
        };
        let stripe = stripe.get_or_init(Box::default);
        let cell = self.layout.cell(value);
        let Some(page) = stripe.pages.get(cell / PAGE_CELLS) else {
            return;
        };
        let (page, new) = match page.get() {
            Some(page) => (page, false),
            None => (page.get_or_init(new_page), true),
        };
        add(&stripe.sum, value * count as f64);
        let rank = rank(value);
        if rank > stripe.max.load(Relaxed) {
            stripe.max.fetch_max(rank, Relaxed);
        }
        if let Some(word) = page.get(cell % PAGE_CELLS) {
            word.fetch_add(count, SeqCst);
        }
        // A tick that lowered the flag may not have seen a new page yet.
        if new || !stripe.changed.load(SeqCst) {
            stripe.changed.store(true, SeqCst);
        }
    }
}

impl HistogramFn for HistogramCell {
    #[inline]
    fn record(&self, value: f64) {
        self.observe(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        if count > 0 {
            self.observe(value, count as u64);
        }
    }
}

impl WindowSum {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { cells: vec![0; layout.cells()], sum: 0.0, max: None }
    }

    fn add(&mut self, cells: &Sparse, sum: f64, max: u64) {
        for (cell, count) in cells.iter() {
            if let Some(total) = self.cells.get_mut(cell) {
                *total = total.wrapping_add(count);
            }
        }
        self.sum += sum;
        if max > 0 {
            let max = unrank(max);
            self.max = Some(self.max.map_or(max, |seen| seen.max(max)));
        }
    }
}

struct Stripe {
    /// Bits of the sum of the values.
    sum: AtomicU64,
    /// Rank of the largest value since the last tick, zero if none.
    max: AtomicU64,
    /// Raised after a cell grew, lowered by a tick before it reads the cells.
    changed: AtomicBool,
    pages: [OnceLock<Page>; PAGES],
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            sum: AtomicU64::new(0.0_f64.to_bits()),
            max: AtomicU64::new(0),
            changed: AtomicBool::new(false),
            pages: [const { OnceLock::new() }; PAGES],
        }
    }
}

type Page = Box<CachePadded<[AtomicU64; PAGE_CELLS]>>;

fn new_page() -> Page {
    Box::new(CachePadded::new([const { AtomicU64::new(0) }; PAGE_CELLS]))
}

#[derive(Default)]
struct Past {
    totals: Totals,
    slots: History<Slot>,
}

#[derive(Default)]
struct Slot {
    cells: Sparse,
    sum: f64,
    max: u64,
}

impl Delta for Slot {
    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn absorb(&mut self, later: &Self) {
        self.cells = self.cells.plus(&later.cells);
        self.sum += later.sum;
        self.max = self.max.max(later.max);
    }
}

/// Maps a finite value to a word of the same order, never zero.
#[inline]
fn rank(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn unrank(rank: u64) -> f64 {
    f64::from_bits(if rank >> 63 == 1 { rank & !(1 << 63) } else { !rank })
}

/// Values beyond this count as infinite: no number of them makes the sum so.
const LARGEST: f64 = 1e280;
const PAGE_CELLS: usize = 64;
const PAGES: usize = MAX_CELLS.div_ceil(PAGE_CELLS);

#[cfg(test)]
mod tests;
