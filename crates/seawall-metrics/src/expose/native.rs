//! Log-linear cells as a native (exponential) histogram.
//!
//! Schema 3: the upper bound of bucket `i` is 2^(i/8). A cell lies within one
//! bucket or across the border of two; it goes whole into the bucket of its
//! middle, so no value is lost or split, and none is further from its bucket
//! than half a cell.

use crate::cells::{Layout, Sparse};

/// Buckets from the lowest to the highest that is in use, without holes.
pub(crate) struct Native {
    /// Values below `threshold`, also negative ones.
    pub(crate) zero: u64,
    /// Where the cells begin, at the bound of a bucket.
    pub(crate) threshold: f64,
    /// Index of the first of `counts`.
    pub(crate) first: i32,
    pub(crate) counts: Vec<u64>,
}

/// Of values that are `scale` times as large as those in the cells.
pub(crate) fn native(layout: &Layout, cells: &Sparse, scale: f64) -> Native {
    let index = |value: f64| ((value * scale).log2() * PER_OCTAVE).ceil() as i32;
    let lowest = index(LOWEST);
    let threshold = (f64::from(lowest) / PER_OCTAVE).exp2();
    let mut native = Native { zero: 0, threshold, first: 0, counts: Vec::new() };
    for (cell, count) in cells.iter() {
        let middle = layout.middle(cell);
        if middle < LOWEST || index(middle) <= lowest {
            native.zero = native.zero.wrapping_add(count);
            continue;
        }
        let index = index(middle);
        if native.counts.is_empty() {
            native.first = index;
        }
        // Cells rise, so do their buckets.
        let at = (index - native.first).max(0) as usize;
        if native.counts.len() <= at {
            native.counts.resize(at + 1, 0);
        }
        if let Some(total) = native.counts.get_mut(at) {
            *total = total.wrapping_add(count);
        }
    }
    native
}

pub(crate) const SCHEMA: i32 = 3;
const PER_OCTAVE: f64 = 8.0;
/// 2^-30, where the cells begin.
const LOWEST: f64 = 1.0 / (1_u64 << 30) as f64;
