//! All values at one time, as plain data.

use std::sync::Arc;
use std::time::SystemTime;

use metrics::Unit;

use crate::cells::{HistogramCell, Layout, Sparse};
use crate::error::Error;
use crate::registry::{Cell, Kind, Registry, born_at};
use crate::window::quantile;

/// Names one series.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesInfo {
    /// Name of the metric as exposed.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Label names and values, sorted by name.
    pub labels: Vec<(String, String)>,
}

/// Every metric of a recorder. See [`Handle::snapshot`](crate::Handle::snapshot).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Sorted by name.
    pub metrics: Vec<MetricSnapshot>,
}

/// One metric with all its series.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricSnapshot {
    /// Name as exposed.
    pub name: String,
    /// Kind of all its series.
    pub kind: Kind,
    /// Its description, if it was given one.
    pub help: Option<String>,
    /// Its unit, if it was given one.
    pub unit: Option<Unit>,
    /// Sorted by labels.
    pub series: Vec<SeriesSnapshot>,
}

/// One series.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeriesSnapshot {
    /// Label names and values, sorted by name.
    pub labels: Vec<(String, String)>,
    /// When it was made: a series that expired and came back has a later time.
    /// `None` for gauges. From the wall clock, for showing.
    pub created: Option<SystemTime>,
    /// Its value.
    pub value: Value,
}

/// The value of a series.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// Total so far.
    Counter(u64),
    /// Latest value.
    Gauge(f64),
    /// Everything recorded so far.
    Histogram(HistogramSnapshot),
}

/// All values a histogram has recorded since the process started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistogramSnapshot {
    /// Values recorded: always the sum of the buckets.
    pub count: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Upper bound and number of values at or below it; `+Inf` comes last.
    pub buckets: Vec<(f64, u64)>,
    pub(crate) cells: Sparse,
    pub(crate) layout: Arc<Layout>,
}

impl HistogramSnapshot {
    /// Nearest-rank quantile, `q` in 0 to 1, with the error stated at
    /// [`Window`](crate::Window); NaN without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.layout, self.cells.iter(), self.count, f64::INFINITY, q)
    }

    /// Adds the values of `other`: another series or another recorder. Cells are added, so quantiles are those of all values together.
    ///
    /// # Errors
    /// [`Error::OtherBuckets`] if the two have not the same bucket bounds: their
    /// cells are not the same then. Nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.layout.bounds() != other.layout.bounds() {
            return Err(Error::OtherBuckets);
        }
        self.cells = self.cells.plus(&other.cells);
        for ((_, below), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *below = below.wrapping_add(*more);
        }
        self.count = self.count.wrapping_add(other.count);
        self.sum += other.sum;
        Ok(())
    }

    fn take(histogram: &HistogramCell) -> Self {
        let totals = histogram.totals();
        let layout = histogram.layout().clone();
        let buckets: Vec<(f64, u64)> =
            layout.buckets(&totals.cells).map(|(bound, _, below)| (bound, below)).collect();
        let count = buckets.last().map_or(0, |(_, all)| *all);
        Self { count, sum: totals.sum, buckets, cells: totals.cells, layout }
    }
}

pub(crate) fn series(registry: &Registry) -> Vec<SeriesInfo> {
    let mut all = Vec::new();
    for family in registry.families() {
        for labels in family.series.read().keys() {
            all.push(SeriesInfo {
                name: family.name.as_ref().to_owned(),
                kind: family.kind,
                labels: owned(labels.iter()),
            });
        }
    }
    all
}

/// Metrics that are not `wanted` have no series.
pub(crate) fn take(registry: &Registry, wanted: impl Fn(&str) -> bool) -> Snapshot {
    let metrics = registry.families().into_iter().map(|family| {
        let description = registry.description(&family);
        let wanted = wanted(&family.name);
        let series = family.series.read();
        MetricSnapshot {
            name: family.name.as_ref().to_owned(),
            kind: family.kind,
            unit: description.as_ref().and_then(|d| d.unit),
            help: description.map(|d| d.text.into_owned()),
            series: series
                .iter()
                .filter(|_| wanted)
                .map(|(labels, cell)| SeriesSnapshot {
                    labels: owned(labels.iter()),
                    created: born_at(cell.created()),
                    value: match cell {
                        Cell::Counter(counter) => Value::Counter(counter.value()),
                        Cell::Gauge(gauge) => Value::Gauge(gauge.value()),
                        Cell::Histogram(h) => Value::Histogram(HistogramSnapshot::take(h)),
                    },
                })
                .collect(),
        }
    });
    Snapshot { metrics: metrics.collect() }
}

fn owned<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests;
