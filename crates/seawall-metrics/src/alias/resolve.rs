//! What the aliases of a snapshot are: names that are free, series added up.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "protobuf")]
use std::sync::Arc;
use std::time::SystemTime;

use metrics::Label;

use super::Alias;
#[cfg(feature = "protobuf")]
use crate::cells::{Layout, Sparse};
use crate::registry::{Kind, Labels};
use crate::snapshot::{HistogramSnapshot, MetricSnapshot, Snapshot, Value};

/// An alias with its values, in no format yet.
pub(crate) struct Aliased<'a> {
    pub(crate) name: &'a str,
    /// The metric.
    pub(crate) of: &'a str,
    pub(crate) kind: Kind,
    /// The name without `_total` of one that counts, if that is nobody else's.
    pub(crate) short: Option<&'a str>,
    /// Whether a line of this name and `_created` would be its own.
    pub(crate) created: bool,
    pub(crate) series: BTreeMap<Labels, Sum>,
}

impl Aliased<'_> {
    pub(crate) fn help(&self) -> String {
        format!("Alias of {}.", self.of)
    }

    /// Whether it only grows.
    pub(crate) fn counts(&self) -> bool {
        counts(self.name, self.kind)
    }
}

/// The series that look alike, added up.
#[derive(Default)]
pub(crate) struct Sum {
    /// Of a gauge, and the sum of a histogram; scaled.
    pub(crate) value: f64,
    pub(crate) count: u64,
    /// When the first of them was made: later ones add to it and reset nothing.
    pub(crate) created: Option<SystemTime>,
    pub(crate) histogram: Option<Distribution>,
}

pub(crate) struct Distribution {
    /// The finite bounds, scaled, with the values at or below each.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// Not scaled.
    #[cfg(feature = "protobuf")]
    pub(crate) cells: Sparse,
    #[cfg(feature = "protobuf")]
    pub(crate) layout: Arc<Layout>,
    #[cfg(feature = "protobuf")]
    pub(crate) scale: f64,
}

/// Sorted by name. Those whose metric is not there, whose scale makes no sense
/// or whose names are taken are left out.
pub(super) fn resolve<'a>(aliases: &'a [Alias], snapshot: &Snapshot) -> Vec<Aliased<'a>> {
    let mut taken = BTreeSet::new();
    for metric in &snapshot.metrics {
        take(&mut taken, &metric.name, metric.kind);
    }
    let mut sorted: Vec<_> = aliases.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut all = Vec::new();
    for alias in sorted {
        let Some(metric) = snapshot.metrics.iter().find(|metric| metric.name == alias.of) else {
            continue;
        };
        let scales = alias.scale.is_finite() && alias.scale > 0.0;
        let free = names(&alias.name, metric.kind).all(|name| !taken.contains(&name));
        if !scales || !free || metric.series.is_empty() {
            continue;
        }
        let short = alias.name.strip_suffix(TOTAL).filter(|short| !taken.contains(*short));
        let short = short.filter(|_| counts(&alias.name, metric.kind));
        let line = format!("{}{CREATED}", short.unwrap_or(&alias.name));
        let created = !taken.contains(&line);
        take(&mut taken, &alias.name, metric.kind);
        let series = series(alias, metric);
        if !series.is_empty() {
            let (name, of) = (&*alias.name, &*alias.of);
            all.push(Aliased { name, of, kind: metric.kind, short, created, series });
        }
    }
    all
}

fn series(alias: &Alias, metric: &MetricSnapshot) -> BTreeMap<Labels, Sum> {
    let mut sums: BTreeMap<Labels, Sum> = BTreeMap::new();
    for series in &metric.series {
        let value = |name: &str| {
            let found = series.labels.iter().find(|(label, _)| label == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let let_in =
            |(label, values): &(String, Vec<String>)| values.iter().any(|one| one == value(label));
        if !alias.only.iter().all(let_in) {
            continue;
        }
        let labels = alias.labels.iter().map(|(from, to)| (to, value(from)));
        // A label without a value is none.
        let labels = labels.filter(|(_, value)| !value.is_empty());
        let labels: Vec<Label> =
            labels.map(|(name, value)| Label::new(name.clone(), value.to_owned())).collect();
        let sum = sums.entry(Labels::new(labels.iter(), true)).or_default();
        sum.created = match (sum.created, series.created) {
            (Some(known), Some(other)) => Some(known.min(other)),
            (known, other) => known.or(other),
        };
        match &series.value {
            Value::Counter(total) => sum.count = sum.count.saturating_add(*total),
            Value::Gauge(gauge) => sum.value += gauge * alias.scale,
            Value::Histogram(histogram) => {
                sum.value += histogram.sum * alias.scale;
                sum.count = sum.count.saturating_add(histogram.count);
                sum.add(alias, histogram);
            }
        }
    }
    sums
}

impl Sum {
    /// Series of one metric have the same bounds.
    fn add(&mut self, alias: &Alias, histogram: &HistogramSnapshot) {
        let buckets = buckets(alias, histogram);
        let Some(sum) = &mut self.histogram else {
            self.histogram = Some(Distribution {
                buckets: buckets.collect(),
                #[cfg(feature = "protobuf")]
                cells: histogram.cells.clone(),
                #[cfg(feature = "protobuf")]
                layout: histogram.layout.clone(),
                #[cfg(feature = "protobuf")]
                scale: alias.scale,
            });
            return;
        };
        for ((_, total), (_, below)) in sum.buckets.iter_mut().zip(buckets) {
            *total = total.saturating_add(below);
        }
        #[cfg(feature = "protobuf")]
        {
            sum.cells = sum.cells.plus(&histogram.cells);
        }
    }
}

/// The finite bounds of the alias, with the values at or below each.
fn buckets(alias: &Alias, histogram: &HistogramSnapshot) -> impl Iterator<Item = (f64, u64)> {
    let own = histogram.buckets.iter().filter(|(bound, _)| bound.is_finite());
    let own = own.map(|(bound, below)| (rounded(bound * alias.scale), *below));
    own.filter_map(|(bound, below)| match &alias.bounds {
        None => Some((bound, below)),
        Some(bounds) => {
            let near = |wanted: &&f64| (**wanted - bound).abs() <= 1e-9 * bound.abs();
            bounds.iter().find(near).map(|wanted| (*wanted, below))
        }
    })
}

/// Without the noise of the last digits that scaling adds.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// A gauge named so is a counter with a fraction, as in the exposition itself.
fn counts(name: &str, kind: Kind) -> bool {
    kind == Kind::Counter || kind == Kind::Gauge && name.ends_with(TOTAL)
}

/// The names of a metric and of its samples.
fn names(name: &str, kind: Kind) -> impl Iterator<Item = String> {
    let parts: &[&str] = match kind {
        Kind::Histogram => &["", "_bucket", "_sum", "_count"],
        _ => &[""],
    };
    parts.iter().map(move |part| format!("{name}{part}"))
}

/// With what OpenMetrics calls the family of a counter, and the line that tells
/// when it was made.
fn take(taken: &mut BTreeSet<String>, name: &str, kind: Kind) {
    taken.extend(names(name, kind));
    let short = name.strip_suffix(TOTAL);
    taken.extend(short.map(str::to_owned));
    if kind != Kind::Gauge {
        taken.insert(format!("{}{CREATED}", short.unwrap_or(name)));
    }
}

const CREATED: &str = "_created";
const TOTAL: &str = "_total";
