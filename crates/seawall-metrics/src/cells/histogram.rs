//! A histogram: log-linear cells that only ever grow.
//!
//! The count is the sum of the cells and nothing else, so count and buckets of
//! one reading agree by construction. Cells are never reset: a window is the
//! difference of two readings, and no rotation can lose a value. There is no
//! buffer to drain.

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use metrics::{CounterFn, HistogramFn};
use parking_lot::Mutex;

use super::counter::Shared;
use super::numbers::{self, suspended};
use super::pages::{BLOCK, BLOCKS, Pages as _, Small, Wide};
use super::per_thread::{Part, PerThread};
use super::stripe::{Head, Stripe};
use super::sync::OnceBox;
use super::{CounterCell, Layout, Sparse};
use crate::expose::{Exemplars, Kept};
use crate::registry::Line;
use crate::window::{Delta, History, Tick};

pub(crate) struct HistogramCell {
    layout: Arc<Layout>,
    rejects: Arc<Rejects>,
    /// Values below this are refused: zero for durations, else `-LARGEST`.
    floor: f64,
    stripes: PerThread<Stripe<Small>, Far<Own>, Far<Stripe<Small>>>,
    exemplars: Exemplars,
    past: Mutex<Past>,
    /// Milliseconds since 1970.
    created: u64,
}

/// Counters of the values no histogram takes.
pub(crate) struct Rejects {
    pub(crate) nan: Arc<Line<CounterCell>>,
    pub(crate) infinite: Arc<Line<CounterCell>>,
    pub(crate) negative: Arc<Line<CounterCell>>,
    /// Not a value: the example that came with one was too long.
    pub(crate) exemplar: Arc<Line<CounterCell>>,
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
    pub(crate) fn new(layout: Arc<Layout>, rejects: Arc<Rejects>, durations: bool) -> Self {
        Self {
            layout,
            rejects,
            floor: if durations { 0.0 } else { -LARGEST },
            stripes: PerThread::new(),
            exemplars: Exemplars::default(),
            past: Mutex::default(),
            created: 0,
        }
    }

    /// With the time at which it was made, in milliseconds since 1970.
    pub(crate) fn made_at(self, created: u64) -> Self {
        Self { created, ..self }
    }

    /// In milliseconds since 1970, zero if nobody said.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    /// Everything recorded so far. Cells first: a value that is in a cell is
    /// then also in the sum.
    pub(crate) fn totals(&self) -> Totals {
        let mut cells = Sparse::default();
        for block in 0..BLOCKS {
            let mut counts = [0_u64; BLOCK];
            let mut made = false;
            for part in self.stripes.parts() {
                made |= match part {
                    Part::Base(stripe) => stripe.pages.read(block, &mut counts),
                    Part::Spread(far) => {
                        far.get().is_some_and(|s| s.pages.read(block, &mut counts))
                    }
                    Part::Rest(far) => far.get().is_some_and(|s| s.pages.read(block, &mut counts)),
                };
            }
            if made {
                for (at, count) in counts.into_iter().enumerate() {
                    cells.push(block * BLOCK + at, count);
                }
            }
        }
        // Not `sum()`: of nothing, that is minus zero.
        let sum = self.heads().fold(0.0, |total, head| total + head.sum());
        Totals { cells, sum }
    }

    /// Ends a slot of the window.
    pub(crate) fn tick(&self, tick: &Tick) {
        let mut past = self.past.lock();
        // Looking costs nothing that the others would notice, taking does.
        let changed = self.heads().any(|head| head.max().is_some());
        let mut slot = Slot::default();
        let mut found = changed;
        if changed || past.unsettled {
            let max = largest(self.heads().map(Head::take_max));
            // One may have come since the look.
            found |= max.is_some();
            let totals = self.totals();
            slot = Slot {
                cells: totals.cells.minus(&past.totals.cells),
                sum: totals.sum - past.totals.sum,
                max,
            };
            // A sum that is ahead of its cell waits for it.
            if !slot.is_empty() {
                past.totals = totals;
            }
        }
        past.unsettled = found;
        let grew = !slot.is_empty();
        past.slots.push(tick, slot);
        // The first tick of a series counts: it is new.
        if grew || past.grew_at == 0 {
            past.grew_at = tick.index;
        }
    }

    /// True if nothing was recorded since the tick `since`, nor after the last one.
    pub(crate) fn is_idle(&self, since: u64) -> bool {
        let past = self.past.lock();
        past.grew_at != 0 && past.grew_at < since && !self.is_changed(&past)
    }

    /// Adds what was recorded since the start of the tick `from`.
    pub(crate) fn add_since(&self, from: u64, window: &mut WindowSum) {
        let past = self.past.lock();
        for slot in past.slots.since(from) {
            window.add(&slot.cells, slot.sum, slot.max);
        }
        if self.is_changed(&past) {
            let max = largest(self.heads().map(Head::max));
            let totals = self.totals();
            let cells = totals.cells.minus(&past.totals.cells);
            window.add(&cells, totals.sum - past.totals.sum, max);
        }
    }

    /// Records `value` and keeps the labels as the example of its bucket.
    pub(crate) fn record_with(&self, value: f64, labels: &[(&str, &str)]) {
        self.observe(value, 1);
        if value >= self.floor && value <= LARGEST {
            match Kept::new(labels, value) {
                Some(exemplar) => self.exemplars.keep(self.layout.bucket(value), exemplar),
                None => self.rejects.exemplar.increment(1),
            }
        }
    }

    pub(crate) fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn heads(&self) -> impl Iterator<Item = &Head> {
        self.stripes.parts().filter_map(|part| match part {
            Part::Base(stripe) => Some(&stripe.head),
            Part::Spread(far) => far.get().map(|stripe| &stripe.head),
            Part::Rest(far) => far.get().map(|stripe| &stripe.head),
        })
    }

    /// True if anything was, or may have been, recorded since the last tick.
    fn is_changed(&self, past: &Past) -> bool {
        past.unsettled || self.heads().any(|head| head.max().is_some())
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

    #[inline(never)]
    fn observe(&self, value: f64, count: u64) {
        if !(value >= self.floor && value <= LARGEST) {
            return self.reject(value, count);
        }
        let cell = self.layout.cell(value);
        match self.stripes.part() {
            Part::Base(stripe) => stripe.record_many(cell, value, count),
            Part::Spread(far) => made(far).record_many(cell, value, count),
            Part::Rest(far) => made(far).record_shared(cell, value, count),
        }
    }
}

impl HistogramFn for HistogramCell {
    #[inline]
    fn record(&self, value: f64) {
        let me = numbers::peek();
        let recorded =
            self.layout.usual_cell(value).is_some_and(|cell| match self.stripes.own(me) {
                Some(Part::Base(stripe)) => stripe.record(cell, value),
                Some(Part::Spread(far)) => far.get().is_some_and(|s| s.record(cell, value)),
                _ => false,
            });
        if !recorded {
            self.observe(value, 1);
        }
    }

    fn record_many(&self, value: f64, count: usize) {
        if count > 0 {
            self.observe(value, count as u64);
        }
    }
}

impl HistogramFn for Shared<HistogramCell> {
    #[inline]
    fn record(&self, value: f64) {
        self.0.record(value);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.0.record_many(value, count);
    }
}

impl WindowSum {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { cells: vec![0; layout.cells()], sum: 0.0, max: None }
    }

    fn add(&mut self, cells: &Sparse, sum: f64, max: Option<f64>) {
        for (cell, count) in cells.iter() {
            if let Some(total) = self.cells.get_mut(cell) {
                *total = total.wrapping_add(count);
            }
        }
        self.sum += sum;
        self.max = larger(self.max, max);
    }
}

/// What a part is behind that is made when somebody first writes to it.
type Far<T> = OnceBox<T>;
/// A part of one thread's own.
type Own = CachePadded<Stripe<Wide>>;

fn made<T: Default>(far: &Far<T>) -> &T {
    match far.get() {
        Some(made) => made,
        None => suspended(|| far.get_or_init(Box::default)),
    }
}

fn largest(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.fold(None, larger)
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => a.or(b),
    }
}

#[derive(Default)]
struct Past {
    totals: Totals,
    /// There was a maximum at the last tick: the cells need reading at the next.
    unsettled: bool,
    /// The latest tick during which anything was recorded.
    grew_at: u64,
    slots: History<Slot>,
}

#[derive(Default)]
struct Slot {
    cells: Sparse,
    sum: f64,
    max: Option<f64>,
}

impl Delta for Slot {
    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn absorb(&mut self, later: &Self) {
        self.cells = self.cells.plus(&later.cells);
        self.sum += later.sum;
        self.max = larger(self.max, later.max);
    }
}

/// Values beyond this count as infinite: no number of them makes the sum so.
const LARGEST: f64 = 1e280;

#[cfg(test)]
mod tests;
