//! The Prometheus text format, version 0.0.4.
//!
//! Families by name, series by labels: two scrapes without a change between
//! them are equal byte for byte. Numbers are printed in the shortest form that
//! reads back as the same `f64`, in `le` as everywhere else. A gauge whose
//! name ends in `_total` is typed `counter`: the `metrics` facade counts whole
//! numbers only, so a fractional counter such as `process_cpu_seconds_total`
//! comes as a gauge.

use std::fmt::Write as _;

use crate::cells::HistogramCell;
use crate::registry::{Cell, Family, Kind, Registry};

/// Content type of what [`Handle::render`](crate::Handle::render) returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn render(registry: &Registry, out: &mut String) {
    for family in registry.families() {
        if let Some(description) = registry.description(&family) {
            out.push_str("# HELP ");
            out.push_str(&family.name);
            out.push(' ');
            escape(out, &description.text, false);
            out.push('\n');
        }
        out.push_str("# TYPE ");
        out.push_str(&family.name);
        out.push_str(type_of(&family));
        for (labels, cell) in family.series.read().iter() {
            let series = Series { name: &family.name, labels: labels.text() };
            match cell {
                Cell::Counter(counter) => series.whole(out, "", counter.value()),
                Cell::Gauge(gauge) => series.float(out, "", gauge.value()),
                Cell::Histogram(histogram) => series.histogram(out, histogram),
            }
        }
    }
}

/// Shortest decimal form that reads back as `value`; exponents only for very
/// large and very small numbers.
pub(crate) fn float(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else if size != 0.0 && !(1e-7..1e17).contains(&size) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// Escapes backslash and newline, and in label values the double quote.
pub(crate) fn escape(out: &mut String, value: &str, quotes: bool) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

struct Series<'a> {
    name: &'a str,
    labels: &'a str,
}

impl Series<'_> {
    fn histogram(&self, out: &mut String, histogram: &HistogramCell) {
        let totals = histogram.totals();
        let mut count = 0;
        for (_, bound, below) in histogram.layout().buckets(&totals.cells) {
            self.bucket(out, bound, below);
            count = below;
        }
        self.float(out, "_sum", totals.sum);
        self.whole(out, "_count", count);
    }

    fn bucket(&self, out: &mut String, bound: &str, count: u64) {
        out.push_str(self.name);
        out.push_str("_bucket{");
        if !self.labels.is_empty() {
            out.push_str(self.labels);
            out.push(',');
        }
        out.push_str("le=\"");
        out.push_str(bound);
        out.push_str("\"} ");
        number(out, count);
    }

    fn whole(&self, out: &mut String, suffix: &str, value: u64) {
        self.start(out, suffix);
        number(out, value);
    }

    fn float(&self, out: &mut String, suffix: &str, value: f64) {
        self.start(out, suffix);
        out.push_str(&float(value));
        out.push('\n');
    }

    fn start(&self, out: &mut String, suffix: &str) {
        out.push_str(self.name);
        out.push_str(suffix);
        if !self.labels.is_empty() {
            out.push('{');
            out.push_str(self.labels);
            out.push('}');
        }
        out.push(' ');
    }
}

fn number(out: &mut String, value: u64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{value}");
}

fn type_of(family: &Family) -> &'static str {
    match family.kind {
        Kind::Counter => " counter\n",
        Kind::Gauge if family.name.ends_with("_total") => " counter\n",
        Kind::Gauge => " gauge\n",
        Kind::Histogram => " histogram\n",
    }
}
