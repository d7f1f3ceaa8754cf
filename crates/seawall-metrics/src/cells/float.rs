//! Sums in a word that several threads add to.

use super::sync::{AtomicU64, Ordering::Relaxed};

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
