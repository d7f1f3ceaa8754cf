//! The protobuf format of Prometheus: `io.prometheus.client.MetricFamily`, each
//! with its length before it.
//!
//! The messages are those of `io/prometheus/client/metrics.proto` in the
//! Prometheus repository, without the fields that nothing here fills.

use prost::Message;

use super::exemplar::Kept;
use super::native::{SCHEMA, ZERO_THRESHOLD, native};
use super::text::type_of;
use crate::cells::HistogramCell;
use crate::registry::{Cell, Labels, Registry};

pub(super) fn render(registry: &Registry) -> Vec<u8> {
    let mut out = Vec::new();
    for family in registry.families() {
        let kind = match type_of(&family) {
            "counter" => COUNTER,
            "histogram" => HISTOGRAM,
            _ => GAUGE,
        };
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
    out
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
    let native = native(cell.layout(), &totals.cells);
    let mut before = 0;
    let deltas = native.counts.iter().map(|count| {
        let delta = (*count as i64).wrapping_sub(before);
        before = *count as i64;
        delta
    });
    Histogram {
        sample_count: bucket.last().and_then(|bucket| bucket.cumulative_count),
        sample_sum: Some(totals.sum),
        created: timestamp(cell.created()),
        bucket,
        schema: Some(SCHEMA),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(native.zero),
        positive_delta: deltas.collect(),
        positive_span: if native.counts.is_empty() {
            // A span of nothing tells an empty native histogram from a classic one.
            vec![BucketSpan { offset: Some(0), length: Some(0) }]
        } else {
            let length = native.counts.len() as u32;
            vec![BucketSpan { offset: Some(native.first), length: Some(length) }]
        },
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
