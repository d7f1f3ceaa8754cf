//! Where a value falls: log-linear cells cut at the classic bucket bounds.
//!
//! The fine cells are read off the value's own bits: the exponent and the top
//! five bits of the fraction, so each power of two is divided into 32 equal
//! cells at every magnitude from 2^-30 (about 1 ns, taken as seconds) to 2^50.
//! A cell is at most 1/32 of its lower edge wide; the middle of a cell is
//! within 1/64 of every value in it.
//!
//! A Prometheus bucket bound is seldom the edge of a fine cell. Instead of
//! counting classic buckets a second time, the bounds are made cell edges: the
//! cell of `v` is `fine(v) + (number of bounds below v)`. Both terms only grow
//! with `v`, so two values share a cell exactly if they share the fine cell
//! *and* the classic bucket, and the count of a bucket is the sum of the cells
//! up to its bound. One increment feeds both, and they cannot disagree.

use super::Sparse;

/// Largest distance of a reported quantile from the true one, as a share of
/// the true one.
pub(crate) const RELATIVE_ERROR: f64 = 1.0 / 64.0;

/// Most bucket bounds a metric may have.
pub(crate) const MAX_BOUNDS: usize = 128;

/// Cells of any layout, and what lets the compiler see that no cell is beyond.
pub(crate) const MAX_CELLS: usize = FINE_CELLS + 256;

/// The cells of one metric. Every series of a metric shares one layout, so
/// merging series is adding cells.
#[derive(Debug)]
pub(crate) struct Layout {
    bounds: Box<[f64]>,
    /// The last cell at or below each bound.
    last_cells: Box<[usize]>,
    /// How many bounds lie below each fine cell.
    below: [u8; FINE_CELLS],
    /// The bits of each bound, and beyond them one above all: as many as a byte
    /// has values, so that no index is outside.
    limits: [u64; 256],
    /// A fine cell has more than one bound.
    crowded: bool,
    /// Each bound as it is printed after `le=`.
    texts: Box<[Box<str>]>,
}

impl Layout {
    /// `bounds` must be finite, strictly rising and at most [`MAX_BOUNDS`];
    /// the configuration has checked it.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        let mut limits = [u64::MAX; 256];
        for (limit, bound) in limits.iter_mut().zip(bounds) {
            *limit = bound.to_bits();
        }
        let crowded = bounds.windows(2).any(|pair| match pair {
            [a, b] => fine(*a) == fine(*b),
            _ => false,
        });
        Self {
            bounds: bounds.into(),
            last_cells: bounds
                .iter()
                .enumerate()
                .map(|(index, bound)| fine(*bound) + index)
                .collect(),
            below: std::array::from_fn(|cell| {
                bounds.partition_point(|bound| fine(*bound) < cell) as u8
            }),
            limits,
            crowded,
            texts: bounds.iter().map(|bound| crate::expose::bound(*bound).into()).collect(),
        }
    }

    pub(crate) fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    pub(crate) fn cells(&self) -> usize {
        FINE_CELLS + self.bounds.len()
    }

    /// The classic buckets of a reading: bound, the bound as printed, and the
    /// values at or below it. The last one is `+Inf`, with the count of all.
    pub(crate) fn buckets(&self, cells: &Sparse) -> impl Iterator<Item = (f64, &str, u64)> {
        let mut cells = cells.iter().peekable();
        let mut count = 0_u64;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let texts = self.texts.iter().map(|text| &**text).chain(["+Inf"]);
        let lasts = self.last_cells.iter().copied().chain([usize::MAX]);
        bounds.zip(texts).zip(lasts).map(move |((bound, text), last)| {
            while let Some((_, more)) = cells.next_if(|(cell, _)| *cell <= last) {
                count = count.wrapping_add(more);
            }
            (bound, text, count)
        })
    }

    /// The cell of a finite value. Only the bounds inside its fine cell are
    /// compared, of which there is seldom more than one.
    pub(crate) fn cell(&self, value: f64) -> usize {
        let fine = fine(value);
        let mut below = self.below.get(fine).copied().map_or(0, usize::from);
        while self.bounds.get(below).is_some_and(|bound| *bound < value) {
            below += 1;
        }
        fine + below
    }

    /// The same by few instructions and without a branch, for what is neither
    /// below nor above the octaves, if no fine cell has more than one bound.
    #[inline]
    pub(crate) fn usual_cell(&self, value: f64) -> Option<usize> {
        // Below, and with the sign bit set, it wraps and is too large.
        let above = value.to_bits().wrapping_sub(LOWEST.to_bits());
        if above >= USUAL || self.crowded {
            return None;
        }
        let fine = (above >> (FRACTION_BITS - CELL_BITS)) as usize + 1;
        let below = self.below.get(fine).copied()?;
        let limit = self.limits.get(usize::from(below))?;
        Some(fine + usize::from(below) + usize::from(*limit < value.to_bits()))
    }

    /// The bucket a value falls into.
    pub(crate) fn bucket(&self, value: f64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }

    /// The values a cell holds: from, to. The lowest cell starts at minus
    /// infinity, the highest ends at infinity.
    pub(crate) fn edges(&self, cell: usize) -> (f64, f64) {
        let below = self.last_cells.partition_point(|last| *last < cell);
        let (mut low, mut high) = fine_edges(cell - below);
        if let Some(bound) = below.checked_sub(1).and_then(|at| self.bounds.get(at)) {
            low = low.max(*bound);
        }
        if let Some(bound) = self.bounds.get(below) {
            high = high.min(*bound);
        }
        (low, high)
    }

    /// The value that stands for a cell: its middle; zero (or the bound, if
    /// that is negative) for the lowest and the lower edge for the highest.
    pub(crate) fn middle(&self, cell: usize) -> f64 {
        let (low, high) = self.edges(cell);
        if low == f64::NEG_INFINITY {
            high.min(0.0)
        } else if high == f64::INFINITY {
            low
        } else {
            low + (high - low) / 2.0
        }
    }
}

#[inline]
fn fine(value: f64) -> usize {
    if value < LOWEST {
        return 0;
    }
    let steps = (value.to_bits() - LOWEST.to_bits()) >> (FRACTION_BITS - CELL_BITS);
    (steps as usize + 1).min(FINE_CELLS - 1)
}

fn fine_edges(fine: usize) -> (f64, f64) {
    let edge = |steps: usize| {
        f64::from_bits(LOWEST.to_bits() + ((steps as u64) << (FRACTION_BITS - CELL_BITS)))
    };
    let low = fine.checked_sub(1).map_or(f64::NEG_INFINITY, edge);
    let high = if fine >= FINE_CELLS - 1 { f64::INFINITY } else { edge(fine) };
    (low, high)
}

const FRACTION_BITS: u32 = 52;
const CELL_BITS: u32 = 5;
const OCTAVES: usize = 80;
/// 2^-30.
const LOWEST: f64 = 1.0 / (1_u64 << 30) as f64;
/// The octaves, one cell below them and one above.
const FINE_CELLS: usize = (OCTAVES << CELL_BITS) + 2;
/// From the start of the lowest octave to the end of the highest.
const USUAL: u64 = (OCTAVES as u64) << FRACTION_BITS;

#[cfg(test)]
mod tests;
