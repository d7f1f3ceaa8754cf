use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::Alias;
use crate::registry::metric_name;
use crate::snapshot::{MetricSnapshot, Snapshot, Value};
use crate::text::float;

pub(super) fn render(aliases: &[Alias], snapshot: &Snapshot, out: &mut String) {
    let mut taken: BTreeSet<&str> = snapshot.metrics.iter().map(|it| it.name.as_str()).collect();
    let mut sorted: Vec<_> = aliases.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for alias in sorted {
        // Another scale would put the buckets out of order.
        if !(alias.scale.is_finite() && alias.scale > 0.0) {
            continue;
        }
        let metric = snapshot.metrics.iter().find(|metric| metric.name == alias.of);
        let Some(metric) = metric.filter(|metric| !metric.series.is_empty()) else {
            continue;
        };
        if taken.insert(&alias.name) {
            // Writing to a string does not fail.
            let _ = one(alias, metric, out);
        }
    }
}

/// The values of the series that look alike, by the labels they look alike in.
type Groups<'a> = BTreeMap<Vec<(&'a str, &'a str)>, Sum>;

#[derive(Default)]
struct Sum {
    value: f64,
    count: u64,
    /// By bound of the metric, as it is written.
    buckets: Vec<(f64, u64)>,
}

fn one(alias: &Alias, metric: &MetricSnapshot, out: &mut String) -> fmt::Result {
    let histogram = metric.series.iter().any(|it| matches!(it.value, Value::Histogram(_)));
    let names: Vec<_> = alias.labels.iter().map(|(_, to)| label_name(to, histogram)).collect();
    let mut groups = Groups::new();
    let mut kind = "gauge";
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
        let mut labels: Vec<(&str, &str)> = Vec::new();
        for ((from, _), name) in alias.labels.iter().zip(&names) {
            let value = value(from);
            match labels.iter_mut().find(|(known, _)| known == name) {
                _ if value.is_empty() => {}
                // Of two of one name the later wins, as with the recorder.
                Some((_, known)) => *known = value,
                None => labels.push((name, value)),
            }
        }
        labels.sort_unstable();
        let sum = groups.entry(labels).or_default();
        match &series.value {
            Value::Counter(total) => {
                kind = "counter";
                sum.count = sum.count.saturating_add(*total);
            }
            Value::Gauge(gauge) => sum.value += gauge * alias.scale,
            Value::Histogram(histogram) => {
                kind = "histogram";
                sum.value += histogram.sum * alias.scale;
                sum.count = sum.count.saturating_add(histogram.count);
                sum.add(&histogram.buckets);
            }
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let name = &alias.name;
    writeln!(out, "# HELP {name} Alias of {}.", alias.of)?;
    writeln!(out, "# TYPE {name} {kind}")?;
    for (labels, sum) in &groups {
        if kind == "counter" {
            writeln!(out, "{name}{} {}", Braces(labels, None), sum.count)?;
            continue;
        }
        if kind != "histogram" {
            writeln!(out, "{name}{} {}", Braces(labels, None), float(sum.value))?;
            continue;
        }
        for (bound, below) in sum.bounds(alias) {
            let bound = Some(float(bound));
            writeln!(out, "{name}_bucket{} {below}", Braces(labels, bound.as_deref()))?;
        }
        writeln!(out, "{name}_bucket{} {}", Braces(labels, Some("+Inf")), sum.count)?;
        writeln!(out, "{name}_sum{} {}", Braces(labels, None), float(sum.value))?;
        writeln!(out, "{name}_count{} {}", Braces(labels, None), sum.count)?;
    }
    Ok(())
}

impl Sum {
    /// Series of one metric have the same bounds.
    fn add(&mut self, buckets: &[(f64, u64)]) {
        if self.buckets.is_empty() {
            self.buckets = buckets.to_vec();
            return;
        }
        for ((_, total), (_, below)) in self.buckets.iter_mut().zip(buckets) {
            *total += below;
        }
    }

    /// The finite bounds of the alias, with the values at or below each.
    fn bounds(&self, alias: &Alias) -> Vec<(f64, u64)> {
        let own = self.buckets.iter().map(|(bound, below)| (rounded(bound * alias.scale), *below));
        let own = own.filter(|(bound, _)| bound.is_finite());
        match &alias.bounds {
            None => own.collect(),
            Some(bounds) => own
                .filter_map(|(bound, below)| {
                    let near = |wanted: &&f64| (**wanted - bound).abs() <= 1e-9 * bound.abs();
                    bounds.iter().find(near).map(|wanted| (*wanted, below))
                })
                .collect(),
        }
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, as the recorder makes them: names that belong to
/// Prometheus are prefixed, and `le` is where there are buckets.
fn label_name(raw: &str, histogram: bool) -> String {
    let name = metric_name(raw).replace(':', "_");
    if name.starts_with("__") || (histogram && name == "le") {
        format!("exported{}{name}", if name == "le" { "_" } else { "" })
    } else {
        name
    }
}

/// Without the noise of the last digits that scaling adds.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// Labels in braces, `le` last; nothing if there are none.
struct Braces<'a>(&'a [(&'a str, &'a str)], Option<&'a str>);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.iter().copied().chain(self.1.map(|bound| ("le", bound)));
        let mut before = '{';
        for (name, value) in all {
            write!(f, "{before}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => f.write_char(c)?,
                }
            }
            f.write_str("\"")?;
            before = ',';
        }
        if before == ',' { f.write_str("}") } else { Ok(()) }
    }
}
