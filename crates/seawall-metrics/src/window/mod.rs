//! Rolling windows over cells that are never reset.
//!
//! Once a second a tick stores, per series that changed, what was added since
//! the tick before: a slot. After fifteen ticks five neighbouring slots are
//! folded into one. A window is the sum of the slots that end inside it plus
//! what was added since the last tick, so it is never shorter than asked (once
//! the recorder is old enough) and longer by at most one slot. A value leaves
//! count, mean, quantiles and maximum in the same instant.

mod clock;
mod history;

use std::time::Duration;

pub(crate) use clock::{Clock, Tick};
pub(crate) use history::{Delta, History};

use crate::cells::{Layout, RELATIVE_ERROR, WindowSum};

/// The longest window kept; longer ones are answered with this one.
pub const MAX_WINDOW: Duration = Duration::from_secs(300);

/// What happened to a metric during the last so many seconds.
///
/// A window without values has count 0, rate 0 and NaN everywhere else: an
/// idle service has no p99, and no p99 of zero either.
///
/// Quantiles are nearest-rank. They are within [`relative_error`] of the exact
/// quantile of the recorded values, for values from 2^-30 (about 1e-9) to 2^50
/// (about 1e15); smaller values, and negative ones, are reported as zero,
/// larger ones as 2^50 or the maximum.
///
/// Counters have windows too, with count, rate and sum only.
///
/// With the feature `serde` it can be written, as JSON for a page for instance:
/// what is NaN is null, the span is `span_seconds`, a number.
///
/// [`relative_error`]: Self::relative_error
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Window {
    /// Values recorded (for a counter: by how much it grew).
    pub count: u64,
    /// Values per second of [`span`](Self::span).
    pub rate: f64,
    /// Sum of the values, in the unit of the metric.
    pub sum: f64,
    /// Arithmetic mean.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub mean: f64,
    /// Largest value, exact. Only if a value was recorded at the very instant
    /// of a tick it may be off by up to twice the relative error.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub max: f64,
    /// Median.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub p50: f64,
    /// 90th percentile.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub p90: f64,
    /// 95th percentile.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub p95: f64,
    /// 99th percentile.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub p99: f64,
    /// 99.9th percentile.
    #[cfg_attr(feature = "serde", serde(serialize_with = "or_null"))]
    pub p999: f64,
    /// Bound on the error of the quantiles, as a share of the true value:
    /// 1/64, about 1.6 %.
    pub relative_error: f64,
    /// The time these figures really cover: the window asked for plus up to one
    /// slot (1 s for windows of at most 10 s, 5 s for longer ones), or less
    /// while the recorder is younger than that. More if ticks were missed.
    #[cfg_attr(feature = "serde", serde(rename = "span_seconds", serialize_with = "seconds"))]
    pub span: Duration,
}

impl Window {
    /// True if nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn empty(span: Duration) -> Self {
        Self::of_counter(0, span)
    }

    pub(crate) fn of_counter(count: u64, span: Duration) -> Self {
        Self {
            count,
            rate: rate(count, span),
            sum: count as f64,
            mean: f64::NAN,
            max: f64::NAN,
            p50: f64::NAN,
            p90: f64::NAN,
            p95: f64::NAN,
            p99: f64::NAN,
            p999: f64::NAN,
            relative_error: RELATIVE_ERROR,
            span,
        }
    }

    pub(crate) fn of_histogram(total: &WindowSum, layout: &Layout, span: Duration) -> Self {
        let count = total.cells.iter().fold(0_u64, |n, c| n.wrapping_add(*c));
        let Some(top) = total.cells.iter().rposition(|count| *count > 0) else {
            return Self::empty(span);
        };
        // The maximum of a value caught between two ticks may sit in the other
        // slot: it cannot lie outside the highest cell in use.
        let (low, high) = layout.edges(top);
        let max = total.max.unwrap_or_else(|| layout.middle(top));
        let max = max.max(low).min(high);
        let cells = || total.cells.iter().copied().enumerate();
        let q = |q| quantile(layout, cells(), count, max, q);
        Self {
            sum: total.sum,
            mean: total.sum / count as f64,
            max,
            p50: q(0.5),
            p90: q(0.9),
            p95: q(0.95),
            p99: q(0.99),
            p999: q(0.999),
            ..Self::of_counter(count, span)
        }
    }
}

/// Nearest-rank quantile over cells in rising order; NaN without values.
pub(crate) fn quantile(
    layout: &Layout,
    cells: impl Iterator<Item = (usize, u64)>,
    count: u64,
    max: f64,
    q: f64,
) -> f64 {
    let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
    let mut seen = 0_u64;
    for (cell, count) in cells {
        seen = seen.wrapping_add(count);
        if seen >= rank {
            let middle = layout.middle(cell);
            return if layout.edges(cell).1 == f64::INFINITY && max.is_finite() {
                max.max(middle)
            } else {
                middle.min(max)
            };
        }
    }
    f64::NAN
}

fn rate(count: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { count as f64 / span.as_secs_f64() }
}

/// Not every format writes NaN, and JSON's way is null.
#[cfg(feature = "serde")]
fn or_null<S: serde::Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&(!value.is_nan()).then_some(*value), to)
}

#[cfg(feature = "serde")]
fn seconds<S: serde::Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

#[cfg(test)]
mod tests;
