//! A gauge: one word holding the bits of an `f64`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::GaugeFn;

pub(crate) struct GaugeCell(AtomicU64);

impl GaugeCell {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0.0_f64.to_bits()))
    }

    pub(crate) fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        add(&self.0, value);
    }

    fn decrement(&self, value: f64) {
        add(&self.0, -value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// Adds to an `f64` kept as bits.
#[inline]
pub(super) fn add(word: &AtomicU64, value: f64) {
    let mut seen = word.load(Relaxed);
    loop {
        let next = (f64::from_bits(seen) + value).to_bits();
        match word.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}
