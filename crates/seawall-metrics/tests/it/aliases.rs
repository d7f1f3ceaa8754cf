//! The required names in every format: one value under two names.

use std::collections::BTreeMap;

use metrics::with_local_recorder;
use seawall_metrics::{Alias, Aliases, Format, Handle, Recorder};

use crate::parser::{Parsed, parse};

/// What a service with the request layer, the cache and a database records.
fn recorded() -> (Recorder, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        for (method, error, seconds) in
            [("GET", "", 0.0075), ("GET", "aborted", 0.31), ("GET", "", 20.0), ("PUT", "", 0.5)]
        {
            metrics::histogram!(
                "http_server_request_duration_seconds",
                "http_request_method" => method,
                "http_route" => "/x/{id}",
                "http_response_status_code" => "200",
                "error_type" => error
            )
            .record(seconds);
        }
        for layer in ["l1", "l2", "loader"] {
            metrics::counter!("seawall_cache_requests_total",
                "cache" => "items", "layer" => layer, "result" => "hit")
            .increment(3);
        }
        metrics::histogram!("db_query_duration_seconds",
            "query_type" => "select", "table" => "bids \"old\"")
        .record(0.25);
    });
    (recorder, handle)
}

fn open(handle: &Handle, aliases: &Aliases) -> Parsed {
    let text = handle.render_as_with(Format::OpenMetrics, aliases);
    parse(&String::from_utf8(text).unwrap())
}

#[test]
fn aliases_have_the_same_series_and_values_in_both_texts() {
    let (_recorder, handle) = recorded();
    let aliases = Aliases::required();
    let plain = parse(&handle.render_with(&aliases));
    let mut open = open(&handle, &aliases);
    assert_eq!(open.types["cache_hits"], "counter");
    assert_eq!(open.types["http_request_duration_ms"], "histogram");
    assert_eq!(plain.types["cache_hits_total"], "counter");
    // An alias began with the first of its series.
    let of = |name: &str| -> Vec<f64> {
        let created = open.samples.iter().filter(|((of, _), _)| of == name);
        created.map(|(_, value)| *value).collect()
    };
    assert_eq!(of("cache_hits_created").len(), 2);
    let metric = of("http_server_request_duration_seconds_created");
    let earliest = metric.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(of("http_request_duration_ms_created").contains(&earliest));
    open.samples.retain(|(name, _), _| !name.ends_with("_created"));
    assert_eq!(plain.samples, open.samples);
    assert!(plain.samples.keys().any(|(name, _)| name == "db_query_duration_ms_bucket"));
}

#[test]
fn a_metric_named_like_the_time_of_an_alias_keeps_its_name_and_the_other_way_round() {
    let (recorder, handle) = recorded();
    with_local_recorder(&recorder, || {
        metrics::gauge!("y_created").set(5.0);
        metrics::counter!("z_total").increment(1);
    });
    let aliases = Aliases::new()
        .with(Alias::new("y_total", "z_total"))
        .with(Alias::new("z_created", "y_created"));
    // The parser refuses a sample that is given twice.
    let open = open(&handle, &aliases);
    assert_eq!(open.samples[&("y_created".to_owned(), BTreeMap::new())].to_bits(), 5_f64.to_bits());
    assert_eq!(open.types["y"], "counter");
    assert!(!open.types.contains_key("z_created"));
    assert!(handle.render_with(&aliases).contains("\ny_total 1\n"));
}

#[cfg(feature = "protobuf")]
#[test]
fn the_protobuf_format_has_the_aliases_of_the_text() {
    use crate::families::{Metric, read};

    let (_recorder, handle) = recorded();
    let aliases = Aliases::required().with(Alias::new("odd_total", "http_server_active"));
    let text = parse(&handle.render_with(&aliases));
    let families = read(&handle.render_as_with(Format::Protobuf, &aliases));
    let value = |name: &str, of: &Metric, le: Option<&str>| {
        let labels = of.label.iter().map(|label| (label.name.clone(), label.value.clone()));
        let le = le.map(|le| ("le".to_owned(), le.to_owned()));
        text.samples[&(name.to_owned(), labels.chain(le).collect())]
    };
    let hits = &families["cache_hits_total"];
    assert_eq!((hits.kind, hits.metric.len()), (0, 2));
    for one in &hits.metric {
        let counter = one.counter.as_ref().unwrap();
        assert!((counter.value - value("cache_hits_total", one, None)).abs() < 1e-9);
        assert!(counter.created_timestamp.is_some());
    }
    for name in ["http_request_duration_ms", "db_query_duration_ms"] {
        let family = &families[name];
        assert_eq!(family.kind, 4, "{name}");
        for one in &family.metric {
            let histogram = one.histogram.as_ref().unwrap();
            let count = value(&format!("{name}_count"), one, None);
            assert_eq!(histogram.sample_count as f64, count);
            assert!((histogram.sample_sum - value(&format!("{name}_sum"), one, None)).abs() < 1e-9);
            let bounds = histogram.bucket.iter().map(|bucket| bucket.upper_bound);
            let wanted = [10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, f64::INFINITY];
            assert_eq!(bounds.collect::<Vec<_>>(), wanted);
            let half = value(&format!("{name}_bucket"), one, Some("500.0"));
            assert_eq!(histogram.bucket[4].cumulative_count as f64, half);
            // The native buckets: all values, each in the bucket it belongs to.
            let mut at = histogram.positive_span[0].offset;
            let (mut in_bucket, mut natively) = (0, histogram.zero_count);
            for delta in &histogram.positive_delta {
                in_bucket += delta;
                natively += u64::try_from(in_bucket).unwrap();
                at += 1;
            }
            assert_eq!(natively, histogram.sample_count);
            let highest = 2_f64.powf(f64::from(at - 1) / 8.0);
            let largest = if name == "db_query_duration_ms" {
                250.0
            } else if one.label[0].value == "PUT" {
                500.0
            } else {
                20_000.0
            };
            assert!((largest * 0.98..largest * 1.12).contains(&highest), "{name}: {highest}");
        }
    }
    assert!(!families.contains_key("odd_total"));
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_gets_the_aliases_of_the_text() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use prost::Message as _;

    let (_recorder, handle) = recorded();
    let body = handle.otlp_with(&[], &Aliases::required());
    let request = ExportMetricsServiceRequest::decode(&*body).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let data = |name: &str| {
        let found = metrics.iter().find(|metric| metric.name == name).expect(name);
        (found.unit.as_str(), found.data.clone().unwrap())
    };
    let (_, Data::Sum(hits)) = data("cache_hits") else { panic!("no sum") };
    assert!(hits.is_monotonic && hits.aggregation_temporality == 2);
    assert_eq!(hits.data_points.len(), 2);
    assert_eq!(hits.data_points[0].value, Some(Value::AsInt(3)));
    let ("ms", Data::Histogram(took)) = data("http_request_duration_ms") else { panic!("no ms") };
    let get = &took.data_points[0];
    assert!(0 < get.start_time_unix_nano && get.start_time_unix_nano <= get.time_unix_nano);
    assert_eq!(get.explicit_bounds, [10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);
    assert_eq!(get.bucket_counts, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(get.count, 3);
    assert!((get.sum.unwrap() - 20_317.5).abs() < 1e-6);
    let mut names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}
