//! The protobuf format of Prometheus: `io.prometheus.client.MetricFamily`, each
//! with its length before it.
//!
//! The messages are those of `io/prometheus/client/metrics.proto` in the
//! Prometheus repository, without the fields that nothing here fills.

use std::time::UNIX_EPOCH;

use prost::Message;

use super::exemplar::Kept;
use super::native::{SCHEMA, native};
use super::text::type_of;
use crate::alias::{Aliased, Sum};
use crate::cells::{HistogramCell, Layout, Sparse};
use crate::registry::{Cell, Kind, Labels, Registry};

pub(super) fn render(registry: &Registry, aliases: &[Aliased<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in registry.families() {
        let kind = kind(&family.name, family.kind);
        let series = family.series.read();
        let metric = series.iter().map(|(labels, cell)| metric(labels, cell, kind)).collect();
        let message = MetricFamily {
            name: Some(family.name.as_ref().to_owned()),
            help: registry.description(&family).map(|description| description.text.into_owned()),
            kind: Some(kind),
            metric,
        };
        // Only a slice can be too short.
        let _ = message.encode_length_delimited(&mut out);
    }
    for alias in aliases {
        let message = MetricFamily {
            name: Some(alias.name.to_owned()),
            help: Some(alias.help()),
            kind: Some(kind(alias.name, alias.kind)),
            metric: alias.series.iter().map(|(labels, sum)| aliased(alias, labels, sum)).collect(),
        };
        let _ = message.encode_length_delimited(&mut out);
    }
    out
}

fn kind(name: &str, kind: Kind) -> i32 {
    match type_of(name, kind) {
        "counter" => COUNTER,
        "histogram" => HISTOGRAM,
        _ => GAUGE,
    }
}

fn aliased(alias: &Aliased<'_>, labels: &Labels, sum: &Sum) -> Metric {
    let mut metric = Metric { label: labels.iter().map(pair).collect(), ..Metric::default() };
    let since = sum.created.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let created = since.and_then(|since| timestamp(since.as_millis() as u64));
    match &sum.histogram {
        Some(histogram) => {
            let bucket = |(bound, below)| Bucket {
                cumulative_count: Some(below),
                upper_bound: Some(bound),
                exemplar: None,
            };
            let finite = histogram.buckets.iter().copied();
            metric.histogram = Some(Histogram {
                sample_count: Some(sum.count),
                sample_sum: Some(sum.value),
                bucket: finite.chain([(f64::INFINITY, sum.count)]).map(bucket).collect(),
                created,
                ..natively(&histogram.layout, &histogram.cells, histogram.scale)
            });
        }
        None if alias.kind == Kind::Counter => {
            metric.counter = Some(Counter { value: Some(sum.count as f64), created });
        }
        None if alias.counts() => {
            metric.counter = Some(Counter { value: Some(sum.value), created });
        }
        None => metric.gauge = Some(Gauge { value: Some(sum.value) }),
    }
    metric
}

fn metric(labels: &Labels, cell: &Cell, kind: i32) -> Metric {
    let mut metric = Metric { label: labels.iter().map(pair).collect(), ..Metric::default() };
    match cell {
        Cell::Counter(counter) => {
            metric.counter = Some(Counter {
                value: Some(counter.value() as f64),
                created: timestamp(counter.created()),
            });
        }
        Cell::Gauge(gauge) if kind == COUNTER => {
            metric.counter = Some(Counter { value: Some(gauge.value()), created: None });
        }
        Cell::Gauge(gauge) => metric.gauge = Some(Gauge { value: Some(gauge.value()) }),
        Cell::Histogram(cell) => metric.histogram = Some(histogram(cell)),
    }
    metric
}

fn histogram(cell: &HistogramCell) -> Histogram {
    let totals = cell.totals();
    let exemplars = cell.exemplars().all();
    let bucket: Vec<Bucket> = cell
        .layout()
        .buckets(&totals.cells)
        .enumerate()
        .map(|(at, (bound, _, below))| Bucket {
            cumulative_count: Some(below),
            upper_bound: Some(bound),
            exemplar: exemplars.get(at).and_then(Option::as_ref).map(exemplar),
        })
        .collect();
    Histogram {
        sample_count: bucket.last().and_then(|bucket| bucket.cumulative_count),
        sample_sum: Some(totals.sum),
        created: timestamp(cell.created()),
        bucket,
        ..natively(cell.layout(), &totals.cells, 1.0)
    }
}

/// The native part of a histogram whose values are `scale` times as large.
fn natively(layout: &Layout, cells: &Sparse, scale: f64) -> Histogram {
    let native = native(layout, cells, scale);
    let mut before = 0;
    let deltas = native.counts.iter().map(|count| {
        let delta = (*count as i64).wrapping_sub(before);
        before = *count as i64;
        delta
    });
    Histogram {
        schema: Some(SCHEMA),
        zero_threshold: Some(native.threshold),
        zero_count: Some(native.zero),
        positive_delta: deltas.collect(),
        positive_span: if native.counts.is_empty() {
            // A span of nothing tells an empty native histogram from a classic one.
            vec![BucketSpan { offset: Some(0), length: Some(0) }]
        } else {
            let length = native.counts.len() as u32;
            vec![BucketSpan { offset: Some(native.first), length: Some(length) }]
        },
        ..Histogram::default()
    }
}

fn exemplar(kept: &Kept) -> Exemplar {
    let whole = kept.seconds.floor();
    Exemplar {
        label: kept.labels.iter().map(|(name, value)| pair((name, value))).collect(),
        value: Some(kept.value),
        timestamp: Some(Timestamp {
            seconds: whole as i64,
            nanos: ((kept.seconds - whole) * 1e9) as i32,
        }),
    }
}

/// Of milliseconds since 1970; zero is not known.
fn timestamp(millis: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(millis / 1000).ok()?;
    (millis > 0).then(|| Timestamp { seconds, nanos: (millis % 1000) as i32 * 1_000_000 })
}

fn pair((name, value): (&str, &str)) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Counter {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
