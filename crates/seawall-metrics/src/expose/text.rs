//! The text format of Prometheus, version 0.0.4, and OpenMetrics 1.0.
//!
//! Families by name, series by labels: two scrapes without a change between
//! them are equal byte for byte. Numbers are printed in the shortest form that
//! reads back as the same `f64`. A gauge whose name ends in `_total` is typed
//! `counter`: the `metrics` facade counts whole numbers only, so a fractional
//! counter such as `process_cpu_seconds_total` comes as a gauge.
//!
//! OpenMetrics names the family of a counter without its `_total`, and no two
//! families alike. A counter whose name does not end so, or whose shortened
//! name is another metric's, is therefore typed `unknown` there: its samples
//! keep their name.

use std::sync::Arc;

use super::exemplar::Kept;
use super::number::{float, seconds};
use crate::cells::HistogramCell;
use crate::registry::{Cell, Family, Kind, Registry};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Plain,
    Open,
}

/// Without the mark that ends OpenMetrics.
pub(super) fn render(registry: &Registry, dialect: Dialect, out: &mut String) {
    let families = registry.families();
    for family in &families {
        let (name, kind) = match dialect {
            Dialect::Plain => (&*family.name, type_of(&family.name, family.kind)),
            Dialect::Open => open_type(family, &families),
        };
        let description = registry.description(family);
        let help = description.as_ref().map(|description| &*description.text);
        head(out, dialect, name, kind, help);
        let created = tells_created(registry, dialect, name, kind, &families);
        for (labels, cell) in family.series.read().iter() {
            let series = Series { name: &family.name, labels: labels.text(), dialect };
            match cell {
                Cell::Counter(counter) => series.whole(out, "", counter.value()),
                Cell::Gauge(gauge) => series.float(out, "", gauge.value()),
                Cell::Histogram(histogram) => series.histogram(out, histogram),
            }
            if created && cell.created() > 0 {
                Series { name, ..series }.created(out, cell.created());
            }
        }
    }
}

/// What stands before the samples of a family.
pub(super) fn head(out: &mut String, dialect: Dialect, name: &str, kind: &str, help: Option<&str>) {
    if let Some(help) = help {
        comment(out, "HELP", name);
        escape(out, help, dialect == Dialect::Open);
        out.push('\n');
    }
    comment(out, "TYPE", name);
    out.push_str(kind);
    out.push('\n');
    if dialect == Dialect::Open
        && let Some(unit) = UNITS.iter().find(|unit| has_unit(name, unit))
    {
        comment(out, "UNIT", name);
        out.push_str(unit);
        out.push('\n');
    }
}

/// Escapes backslash and newline, and on demand the double quote.
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

fn comment(out: &mut String, what: &str, name: &str) {
    for part in ["# ", what, " ", name, " "] {
        out.push_str(part);
    }
}

/// The lines of one series.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a str,
    pub(super) dialect: Dialect,
}

impl Series<'_> {
    fn histogram(&self, out: &mut String, histogram: &HistogramCell) {
        let totals = histogram.totals();
        let exemplars = match self.dialect {
            Dialect::Open => histogram.exemplars().all(),
            Dialect::Plain => Vec::new(),
        };
        let mut count = 0;
        for (at, (_, bound, below)) in histogram.layout().buckets(&totals.cells).enumerate() {
            self.bucket(out, bound, below, exemplars.get(at).and_then(Option::as_ref));
            count = below;
        }
        self.float(out, "_sum", totals.sum);
        self.whole(out, "_count", count);
    }

    pub(super) fn bucket(
        &self,
        out: &mut String,
        bound: &str,
        count: u64,
        exemplar: Option<&Kept>,
    ) {
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
        if let Some(exemplar) = exemplar {
            out.push_str(" # {");
            for (at, (name, value)) in exemplar.labels.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(name);
                out.push_str("=\"");
                escape(out, value, true);
                out.push('"');
            }
            out.push_str("} ");
            out.push_str(&float(exemplar.value));
            out.push(' ');
            out.push_str(&float(exemplar.seconds));
        }
        out.push('\n');
    }

    pub(super) fn whole(&self, out: &mut String, suffix: &str, value: u64) {
        self.start(out, suffix);
        number(out, value);
        out.push('\n');
    }

    pub(super) fn float(&self, out: &mut String, suffix: &str, value: f64) {
        self.start(out, suffix);
        out.push_str(&float(value));
        out.push('\n');
    }

    /// When it was made, in milliseconds since 1970.
    pub(super) fn created(&self, out: &mut String, millis: u64) {
        self.start(out, CREATED);
        seconds(out, millis);
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
    out.push_str(itoa::Buffer::new().format(value));
}

pub(super) fn type_of(name: &str, kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge if name.ends_with(TOTAL) => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The name and type of the family in OpenMetrics. `all` is sorted by name.
fn open_type<'a>(family: &'a Family, all: &[Arc<Family>]) -> (&'a str, &'static str) {
    match type_of(&family.name, family.kind) {
        "counter" => match family.name.strip_suffix(TOTAL) {
            Some(short) if all.binary_search_by(|other| (*other.name).cmp(short)).is_err() => {
                (short, "counter")
            }
            _ => (&family.name, "unknown"),
        },
        other => (&family.name, other),
    }
}

/// Whether the series of a family say when they were made. Not where that line
/// would have the name of another metric.
fn tells_created(
    registry: &Registry,
    dialect: Dialect,
    name: &str,
    kind: &str,
    all: &[Arc<Family>],
) -> bool {
    dialect == Dialect::Open
        && matches!(kind, "counter" | "histogram")
        && registry.tells_created()
        && {
            let line = format!("{name}{CREATED}");
            all.binary_search_by(|other| (*other.name).cmp(line.as_str())).is_err()
        }
}

fn has_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

const CREATED: &str = "_created";
const TOTAL: &str = "_total";
/// Units that are told if a name ends in them.
const UNITS: [&str; 4] = ["seconds", "bytes", "ratio", "celsius"];
