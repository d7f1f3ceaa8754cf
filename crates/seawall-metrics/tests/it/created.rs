//! When a series began, in every format that can tell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use seawall_metrics::{Config, Format, Handle, Recorder};
use tokio::time::Instant;

use crate::parser::{Labels, Parsed, parse};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

fn recorder(change: impl FnOnce(&mut Config)) -> (Recorder, Handle) {
    let mut config = Config::default();
    config.expire_idle = true;
    config.idle_timeout = Duration::from_secs(10);
    change(&mut config);
    Recorder::builder().config(config).build().unwrap()
}

fn record(recorder: &Recorder) {
    let labels = || vec![Label::new("route", "/a")];
    recorder.register_counter(&Key::from_parts("hits_total", labels()), &METADATA).increment(7);
    recorder.register_histogram(&Key::from_parts("took_seconds", labels()), &METADATA).record(0.3);
    recorder.register_gauge(&Key::from_static_name("queue_bytes"), &METADATA).set(2.0);
    recorder.register_gauge(&Key::from_static_name("odd_seconds_total"), &METADATA).set(2.0);
}

fn open(handle: &Handle) -> Parsed {
    parse(&String::from_utf8(handle.render_as(Format::OpenMetrics)).unwrap())
}

fn labels() -> Labels {
    [("route".to_owned(), "/a".to_owned())].into()
}

fn created(handle: &Handle, family: &str) -> f64 {
    open(handle).samples[&(format!("{family}_created"), labels())]
}

#[expect(clippy::disallowed_methods, reason = "compared with what is told to scrapers")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// So long that what nobody recorded in is gone.
fn idle(recorder: &Recorder, handle: &Handle, start: Instant) {
    for second in 1..60 {
        handle.tick(start + Duration::from_secs(second));
        // With its next look-up a thread lets go of what it has looked up before.
        drop(recorder.register_gauge(&Key::from_static_name("queue_bytes"), &METADATA));
    }
}

#[test]
fn counters_and_histograms_tell_in_openmetrics_when_they_were_made_and_nothing_else_does() {
    let before = (now() * 1000.0).floor() / 1000.0;
    let (recorder, handle) = recorder(|_| {});
    record(&recorder);
    for family in ["hits", "took_seconds"] {
        let created = created(&handle, family);
        assert!(before <= created && created <= now(), "{family}: {created}");
    }
    let told: Vec<String> = open(&handle).samples.into_keys().map(|(name, _)| name).collect();
    let told: Vec<&str> = told.iter().filter_map(|name| name.strip_suffix("_created")).collect();
    // One line for each series; neither a gauge nor a number that somebody else counts has one.
    let own = ["seawall_metrics_conflicts", "seawall_metrics_names_refused"].into_iter();
    let own = own.chain(["seawall_metrics_rejected"; 4]);
    assert_eq!(told, ["hits"].into_iter().chain(own).chain(["took_seconds"]).collect::<Vec<_>>());
    assert!(!handle.render().contains("_created"));
    let snapshot = handle.snapshot();
    for metric in &snapshot.metrics {
        let gauge = matches!(metric.kind, seawall_metrics::Kind::Gauge);
        assert!(metric.series.iter().all(|series| series.created.is_none() == gauge));
    }
}

#[test]
fn a_series_that_expired_and_came_back_has_a_later_time_of_its_own() {
    let start = Instant::now();
    let (recorder, handle) = recorder(|_| {});
    record(&recorder);
    let stays = recorder.register_counter(&Key::from_static_name("stays_total"), &METADATA);
    let of_one = |name: &str| open(&handle).samples[&(name.to_owned(), Labels::new())];
    let first = ["hits", "took_seconds"].map(|family| created(&handle, family));
    let kept = of_one("stays_created");
    idle(&recorder, &handle, start);
    let gone = open(&handle).samples;
    assert!(!gone.contains_key(&("hits_total".to_owned(), labels())), "{gone:?}");
    record(&recorder);
    stays.increment(1);
    let again = ["hits", "took_seconds"].map(|family| created(&handle, family));
    assert!(first.iter().zip(&again).all(|(first, again)| first < again), "{first:?} {again:?}");
    assert!((of_one("stays_created") - kept).abs() < 1e-9);
    assert_eq!(handle.counter_value("hits_total", &[]), Some(7));
}

#[test]
fn a_time_that_would_have_the_name_of_another_metric_is_not_told() {
    let (recorder, handle) = recorder(|_| {});
    record(&recorder);
    for name in ["hits_created", "took_seconds_created"] {
        recorder
            .register_gauge(&Key::from_parts(name, vec![Label::new("route", "/a")]), &METADATA)
            .set(5.0);
    }
    // The parser refuses a sample that is given twice.
    assert_eq!(created(&handle, "hits").to_bits(), 5.0_f64.to_bits());
    assert_eq!(created(&handle, "took_seconds").to_bits(), 5.0_f64.to_bits());
}

#[test]
fn who_does_not_want_the_lines_has_the_same_series_in_both_texts() {
    let (recorder, handle) = recorder(|config| config.created = false);
    record(&recorder);
    assert_eq!(open(&handle).samples, parse(&handle.render()).samples);
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_is_told_when_each_series_began_also_after_it_expired() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use prost::Message as _;

    let start = Instant::now();
    let (recorder, handle) = recorder(|_| {});
    let starts = || {
        let request = ExportMetricsServiceRequest::decode(&*handle.otlp(&[])).unwrap();
        let metrics = request.resource_metrics[0].scope_metrics[0].metrics.clone();
        let of = |name: &str| {
            let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
            let times = match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => {
                    let point = &sum.data_points[0];
                    (point.start_time_unix_nano, point.time_unix_nano)
                }
                Data::Histogram(histogram) => {
                    let point = &histogram.data_points[0];
                    (point.start_time_unix_nano, point.time_unix_nano)
                }
                other => panic!("{other:?}"),
            };
            assert!(0 < times.0 && times.0 <= times.1, "{name}: {times:?}");
            times.0
        };
        ["hits", "took_seconds"].map(of)
    };
    record(&recorder);
    let first = starts();
    let told =
        ["hits", "took_seconds"].map(|family| (created(&handle, family) * 1e3).round() as u64);
    assert_eq!(first.map(|nanos| nanos / 1_000_000), told);
    idle(&recorder, &handle, start);
    record(&recorder);
    let again = starts();
    assert!(first.iter().zip(&again).all(|(first, again)| first < again), "{first:?} {again:?}");
}

#[cfg(feature = "protobuf")]
#[test]
fn the_protobuf_format_tells_within_the_series_when_it_was_made() {
    let (recorder, handle) = recorder(|config| config.created = false);
    record(&recorder);
    let bodies = crate::families::read(&handle.render_as(Format::Protobuf));
    let metric = |name: &str| bodies[name].metric[0].clone();
    let counter = metric("hits_total").counter.unwrap().created_timestamp.unwrap();
    let histogram = metric("took_seconds").histogram.unwrap().created_timestamp.unwrap();
    for time in [counter, histogram] {
        assert!((now() - time.seconds as f64).abs() < 600.0 && time.nanos < 1_000_000_000);
    }
    assert!(metric("odd_seconds_total").counter.unwrap().created_timestamp.is_none());
}
