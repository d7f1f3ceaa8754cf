//! The registry as OTLP messages.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::alias::{Aliased, Sum as Total};
use crate::cells::HistogramCell;
use crate::registry::{Cell, Family, Kind, Labels, Registry};

pub(super) fn encode(
    registry: &Registry,
    resource: &[(String, String)],
    aliases: &[Aliased<'_>],
) -> Vec<u8> {
    #[expect(clippy::disallowed_methods, reason = "stamps what is sent, compares nothing")]
    let now = SystemTime::now();
    let times = Times { start: registry.born().saturating_mul(NANOS), now: nanos(now) };
    let families = registry.families();
    let metrics = families.iter().map(|family| metric(registry, family, &families, times));
    let metrics = metrics.chain(aliases.iter().map(|alias| aliased(alias, times))).collect();
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let attributes = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
    .encode_to_vec()
}

/// In nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    /// Of what does not tell when it was made.
    start: u64,
    now: u64,
}

impl Times {
    /// Never after now, as a collector would refuse it: the wall clock may have
    /// been set back since.
    fn start(&self, created: u64) -> u64 {
        let start = if created == 0 { self.start } else { created.saturating_mul(NANOS) };
        start.min(self.now)
    }
}

/// In a millisecond.
const NANOS: u64 = 1_000_000;

fn metric(registry: &Registry, family: &Family, all: &[Arc<Family>], times: Times) -> Metric {
    let short = family.name.strip_suffix("_total");
    // Two metrics of one name and different kinds would be taken for one. `all` is
    // sorted by name.
    let free = |short: &&str| all.binary_search_by(|other| (*other.name).cmp(*short)).is_err();
    let name = short.filter(free).unwrap_or(&family.name);
    let series = family.series.read();
    let numbers = || {
        let point = |(labels, cell): (&Labels, &Cell)| {
            let value = match cell {
                Cell::Counter(counter) => {
                    Number::AsInt(counter.value().min(i64::MAX as u64) as i64)
                }
                Cell::Gauge(gauge) => Number::AsDouble(gauge.value()),
                Cell::Histogram(_) => return None,
            };
            Some(NumberDataPoint {
                attributes: labels.iter().map(|(name, value)| attribute(name, value)).collect(),
                start_time_unix_nano: times.start(cell.created()),
                time_unix_nano: times.now,
                value: Some(value),
                ..NumberDataPoint::default()
            })
        };
        series.iter().filter_map(point).collect()
    };
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let data = match family.kind {
        Kind::Histogram => {
            let point = |(labels, cell): (&Labels, &Cell)| match cell {
                Cell::Histogram(cell) => Some(HistogramDataPoint {
                    attributes: labels.iter().map(|(name, value)| attribute(name, value)).collect(),
                    start_time_unix_nano: times.start(cell.created()),
                    time_unix_nano: times.now,
                    ..histogram(cell)
                }),
                _ => None,
            };
            let data_points = series.iter().filter_map(point).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }
        Kind::Gauge if short.is_none() => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Counter | Kind::Gauge => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality, is_monotonic: true })
        }
    };
    let description = registry.description(family);
    Metric {
        name: name.to_owned(),
        description: description.map(|it| it.text.into_owned()).unwrap_or_default(),
        unit: unit(short.unwrap_or(&family.name)).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn aliased(alias: &Aliased<'_>, times: Times) -> Metric {
    let start = |total: &Total| times.start(total.created.map_or(0, millis));
    let attributes = |labels: &Labels| -> Vec<KeyValue> {
        labels.iter().map(|(name, value)| attribute(name, value)).collect()
    };
    let numbers = || {
        let point = |(labels, total): (&Labels, &Total)| NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: start(total),
            time_unix_nano: times.now,
            value: Some(if alias.kind == Kind::Counter {
                Number::AsInt(total.count.min(i64::MAX as u64) as i64)
            } else {
                Number::AsDouble(total.value)
            }),
            ..NumberDataPoint::default()
        };
        alias.series.iter().map(point).collect()
    };
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let data = if alias.kind == Kind::Histogram {
        let point = |(labels, total): (&Labels, &Total)| {
            let finite = total.histogram.iter().flat_map(|histogram| histogram.buckets.iter());
            HistogramDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: start(total),
                time_unix_nano: times.now,
                ..bucketed(total.value, finite.copied().chain([(f64::INFINITY, total.count)]))
            }
        };
        let data_points = alias.series.iter().map(point).collect();
        Data::Histogram(Histogram { data_points, aggregation_temporality })
    } else if alias.counts() {
        Data::Sum(Sum { data_points: numbers(), aggregation_temporality, is_monotonic: true })
    } else {
        Data::Gauge(Gauge { data_points: numbers() })
    };
    let name = alias.short.unwrap_or(alias.name);
    Metric {
        name: name.to_owned(),
        description: alias.help(),
        unit: unit(name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn histogram(cell: &HistogramCell) -> HistogramDataPoint {
    let totals = cell.totals();
    let buckets = cell.layout().buckets(&totals.cells);
    bucketed(totals.sum, buckets.map(|(bound, _, below)| (bound, below)))
}

/// Buckets of OTLP are not cumulative; the last one has no bound.
fn bucketed(sum: f64, buckets: impl Iterator<Item = (f64, u64)>) -> HistogramDataPoint {
    let mut point = HistogramDataPoint { sum: Some(sum), ..HistogramDataPoint::default() };
    for (bound, below) in buckets {
        point.bucket_counts.push(below.wrapping_sub(point.count));
        point.count = below;
        if bound.is_finite() {
            point.explicit_bounds.push(bound);
        }
    }
    point
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// In the notation of UCUM.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("ms") => "ms",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    }
}

fn millis(time: SystemTime) -> u64 {
    nanos(time) / NANOS
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
