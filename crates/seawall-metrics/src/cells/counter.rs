//! A counter: one word per thread that counts often, exact whoever reads it.

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use metrics::CounterFn;
use parking_lot::Mutex;

use super::numbers;
use super::per_thread::{Part, PerThread};
use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::registry::Line;
use crate::window::{History, Tick};

pub(crate) struct CounterCell {
    words: PerThread<AtomicU64, CachePadded<AtomicU64>>,
    past: Mutex<Past>,
    /// Milliseconds since 1970.
    created: u64,
}

/// What the window knows. Also serialises callers of `absolute`.
#[derive(Default)]
struct Past {
    at_last_tick: u64,
    /// The latest tick during which it grew.
    grew_at: u64,
    slots: History<u64>,
}

impl CounterCell {
    pub(crate) fn new() -> Self {
        Self { words: PerThread::new(), past: Mutex::default(), created: 0 }
    }

    /// With the time at which it was made, in milliseconds since 1970.
    pub(crate) fn made_at(self, created: u64) -> Self {
        Self { created, ..self }
    }

    /// In milliseconds since 1970, zero if nobody said.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    /// The exact total of every increment that happened before this call.
    pub(crate) fn value(&self) -> u64 {
        self.words.parts().fold(0, |total: u64, part| {
            total.wrapping_add(match part {
                Part::Base(word) | Part::Rest(word) => word.load(Relaxed),
                Part::Spread(word) => word.load(Relaxed),
            })
        })
    }

    /// Ends a slot of the window.
    pub(crate) fn tick(&self, tick: &Tick) {
        let mut past = self.past.lock();
        let value = self.value();
        let delta = value.wrapping_sub(past.at_last_tick);
        past.at_last_tick = value;
        past.slots.push(tick, delta);
        // The first tick of a series counts: it is new.
        if delta != 0 || past.grew_at == 0 {
            past.grew_at = tick.index;
        }
    }

    /// True if it has not grown since the tick `since`, nor after the last one.
    pub(crate) fn is_idle(&self, since: u64) -> bool {
        let past = self.past.lock();
        past.grew_at != 0 && past.grew_at < since && self.value() == past.at_last_tick
    }

    /// Increments since the start of the tick `from`.
    pub(crate) fn since(&self, from: u64) -> u64 {
        let past = self.past.lock();
        let live = self.value().wrapping_sub(past.at_last_tick);
        past.slots.since(from).fold(live, |total, slot| total.wrapping_add(*slot))
    }

    #[inline(never)]
    fn add(&self, value: u64) {
        match self.words.part() {
            Part::Base(word) => increase(word, value),
            Part::Spread(word) => increase(word, value),
            Part::Rest(word) => {
                word.fetch_add(value, Relaxed);
            }
        }
    }
}

/// For the only one who writes to the word.
#[inline]
fn increase(word: &AtomicU64, value: u64) {
    word.store(word.load(Relaxed).wrapping_add(value), Relaxed);
}

impl CounterFn for CounterCell {
    #[inline]
    fn increment(&self, value: u64) {
        match self.words.own(numbers::peek()) {
            Some(Part::Base(word)) => increase(word, value),
            Some(Part::Spread(word)) => increase(word, value),
            _ => self.add(value),
        }
    }

    /// Raises the counter to `value`, never lowers it. An increment that runs
    /// at the same time counts either before (and is part of `value`) or after
    /// it, as with a single word.
    fn absolute(&self, value: u64) {
        let _one_at_a_time = self.past.lock();
        let missing = value.saturating_sub(self.value());
        self.words.rest().fetch_add(missing, Relaxed);
    }
}

/// What a look-up by one thread is answered with. Each thread has an `Arc` of
/// its own around the cell, so that cloning and dropping handles does not make
/// threads fight for one reference count.
pub(crate) struct Shared<C>(pub(crate) Arc<Line<C>>);

impl CounterFn for Shared<CounterCell> {
    #[inline]
    fn increment(&self, value: u64) {
        self.0.increment(value);
    }

    fn absolute(&self, value: u64) {
        self.0.absolute(value);
    }
}
