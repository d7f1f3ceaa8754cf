//! A gauge: one word holding the bits of an `f64`, and when it was last written.

use metrics::GaugeFn;

use super::counter::Shared;
use super::float::add;
use super::sync::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::window::Tick;

pub(crate) struct GaugeCell {
    value: AtomicU64,
    /// Written since the last tick. Always stored, never looked at first: a look
    /// could be older than the tick that takes it back.
    touched: AtomicBool,
    /// The latest tick during which it was written; zero before the first.
    touched_at: AtomicU64,
}

impl GaugeCell {
    pub(crate) fn new() -> Self {
        Self {
            value: AtomicU64::new(0.0_f64.to_bits()),
            touched: AtomicBool::new(false),
            touched_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Relaxed))
    }

    /// Notes whether it was written during this tick. One at a time.
    pub(crate) fn tick(&self, tick: &Tick) {
        // The first tick of a series counts: it is new.
        if self.touched.swap(false, Relaxed) || self.touched_at.load(Relaxed) == 0 {
            self.touched_at.store(tick.index, Relaxed);
        }
    }

    /// True if it was not written since the tick `since`, nor after the last
    /// one, not even with the value that it has.
    pub(crate) fn is_idle(&self, since: u64) -> bool {
        let at = self.touched_at.load(Relaxed);
        at != 0 && at < since && !self.touched.load(Relaxed)
    }

    fn add(&self, value: f64) {
        add(&self.value, value);
        self.touched.store(true, Relaxed);
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.value.store(value.to_bits(), Relaxed);
        self.touched.store(true, Relaxed);
    }
}

impl GaugeFn for Shared<GaugeCell> {
    fn increment(&self, value: f64) {
        self.0.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.0.decrement(value);
    }

    fn set(&self, value: f64) {
        self.0.set(value);
    }
}
