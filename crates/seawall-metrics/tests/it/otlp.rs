//! Pushes are decoded with OpenTelemetry's own types.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use prost::Message as _;
use seawall_metrics::{Error, Handle, OtlpConfig, Recorder};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
const LONG: Duration = Duration::from_secs(30);

fn decode(body: &[u8]) -> Vec<Metric> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    request.resource_metrics[0].scope_metrics[0].metrics.clone()
}

fn metric(metrics: &[Metric], name: &str) -> Metric {
    metrics.iter().find(|metric| metric.name == name).expect(name).clone()
}

/// A collector that answers with `status` and hands on what it was sent.
async fn collector(status: StatusCode) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    answering(move || status).await
}

async fn answering<R: IntoResponse>(
    answer: impl Fn() -> R + Clone + Send + Sync + 'static,
) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| {
        let _ = sender.send((headers, body));
        let answer = answer().into_response();
        async move { answer }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/metrics", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (endpoint, receiver)
}

fn config(endpoint: String) -> OtlpConfig {
    let mut config = OtlpConfig::default();
    config.endpoint = endpoint;
    config.interval = Duration::from_millis(100);
    config.resource = vec![("service.name".to_owned(), "shop".to_owned())];
    config
}

fn recorded() -> (Recorder, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let labels = vec![Label::new("route", "/a\"\n")];
    recorder.register_counter(&Key::from_parts("hits_total", labels), &METADATA).increment(7);
    recorder.register_gauge(&Key::from_static_name("queue_bytes"), &METADATA).set(2.5);
    let took = recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA);
    [0.3, 0.3, 99.0].into_iter().for_each(|value| took.record(value));
    (recorder, handle)
}

#[test]
fn a_push_that_gets_no_thread_to_encode_on_fails_in_time_and_holds_up_no_shutdown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (_recorder, handle) = recorded();
    let (free, taken) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let (endpoint, mut pushed) = collector(StatusCode::OK).await;
        let other = tokio::task::spawn_blocking(move || taken.recv());
        let mut config = config(endpoint);
        config.timeout = Duration::from_millis(50);
        let failed = "seawall_metrics_pushes_total{result=\"error\"} 2";
        let push = handle.push_otlp(config).unwrap();
        let failing = async {
            while !handle.render().contains(failed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            push.shutdown().await;
        };
        let ended = timeout(LONG, failing).await;
        drop(free);
        other.await.unwrap().unwrap_err();
        ended.expect("not held up");
        assert!(pushed.try_recv().is_err(), "nothing was encoded");
    });
}

#[test]
fn values_labels_and_buckets_are_what_was_recorded() {
    let (_recorder, handle) = recorded();
    let metrics = decode(&handle.otlp(&[]));
    let hits = metric(&metrics, "hits");
    let Some(Data::Sum(sum)) = hits.data else { panic!("{hits:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(Value::AsInt(7)));
    assert_eq!(point.attributes[0].key, "route");
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano);
    let queue = metric(&metrics, "queue_bytes");
    assert_eq!(queue.unit, "By");
    assert!(matches!(&queue.data, Some(Data::Gauge(gauge))
        if gauge.data_points[0].value == Some(Value::AsDouble(2.5))));
    let took = metric(&metrics, "took_seconds");
    let Some(Data::Histogram(histogram)) = took.data else { panic!("{took:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (3, Some(99.6)));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 3);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.last(), Some(&1));
    let half = point.explicit_bounds.iter().position(|bound| *bound == 0.5).unwrap();
    assert_eq!(point.bucket_counts[half], 2);
}

#[tokio::test]
async fn a_collector_gets_push_after_push() {
    let (endpoint, mut pushes) = collector(StatusCode::OK).await;
    let (_recorder, handle) = recorded();
    let push = handle.push_otlp(config(endpoint)).unwrap();
    for _ in 0..3 {
        let (headers, body) = timeout(LONG, pushes.recv()).await.unwrap().unwrap();
        assert_eq!(headers["content-type"], "application/x-protobuf");
        metric(&decode(&body), "hits");
    }
    drop(push);
}

#[tokio::test]
async fn a_collector_that_refuses_or_is_not_there_is_counted_and_tried_again() {
    let (refusing, mut pushes) = collector(StatusCode::SERVICE_UNAVAILABLE).await;
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    for endpoint in [refusing, format!("http://{gone}/")] {
        let (_recorder, handle) = recorded();
        let _push = handle.push_otlp(config(endpoint)).unwrap();
        let failed =
            || handle.counter_value("seawall_metrics_pushes_total", &[("result", "error")]);
        let twice = async {
            while failed() < Some(2) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, twice).await.unwrap();
    }
    assert!(pushes.recv().await.is_some());
}

#[tokio::test]
async fn what_came_since_the_last_push_is_pushed_when_it_is_shut_down() {
    let (endpoint, mut pushes) = collector(StatusCode::OK).await;
    let (recorder, handle) = recorded();
    let mut config = config(endpoint);
    config.interval = Duration::from_secs(3600);
    let push = handle.push_otlp(config).unwrap();
    timeout(LONG, pushes.recv()).await.unwrap().unwrap();
    recorder.register_counter(&Key::from_static_name("late_total"), &METADATA).increment(1);
    timeout(LONG, push.shutdown()).await.unwrap();
    let (_, body) = pushes.try_recv().unwrap();
    metric(&decode(&body), "late");
    assert!(pushes.try_recv().is_err());
}

#[tokio::test]
async fn a_collector_that_takes_a_part_only_is_told_of() {
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
    };
    let refused = ExportMetricsPartialSuccess { rejected_data_points: 3, ..Default::default() };
    let answer = ExportMetricsServiceResponse { partial_success: Some(refused) }.encode_to_vec();
    let (endpoint, _pushes) = answering(move || answer.clone()).await;
    let (_recorder, handle) = recorded();
    handle.push_otlp(config(endpoint)).unwrap().shutdown().await;
    let pushes =
        |result| handle.counter_value("seawall_metrics_pushes_total", &[("result", result)]);
    assert!(pushes("partial") >= Some(1));
    assert_eq!((pushes("ok"), pushes("error")), (None, None));
}

#[tokio::test]
async fn a_collector_that_asks_for_time_gets_it() {
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "120")]);
    let (endpoint, mut pushes) = answering(busy).await;
    let (_recorder, handle) = recorded();
    let push = handle.push_otlp(config(endpoint)).unwrap();
    timeout(LONG, pushes.recv()).await.unwrap().unwrap();
    // Ten intervals.
    let another = timeout(Duration::from_secs(1), pushes.recv()).await;
    assert!(another.is_err(), "pushed again");
    // The last word is said all the same.
    push.shutdown().await;
    assert!(pushes.try_recv().is_ok());
}

#[test]
fn an_address_that_cannot_be_pushed_to_is_refused() {
    for endpoint in [
        "",
        "collector:4318",
        "https://collector/v1/metrics",
        "http://",
        "http://collector:99999/v1/metrics",
        "http://name:password@collector:4318/v1/metrics",
    ] {
        let error = config(endpoint.to_owned()).validate().unwrap_err();
        assert!(matches!(error, Error::Endpoint) && !error.is_retryable(), "{endpoint}");
    }
    let (_recorder, handle) = recorded();
    let outside = handle.push_otlp(OtlpConfig::default());
    assert!(matches!(outside, Err(Error::NoRuntime)));
}

#[test]
fn a_counter_whose_short_name_is_anothers_keeps_its_own() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("jobs_total").increment(2);
        metrics::gauge!("jobs").set(1.0);
    });
    let metrics = decode(&handle.otlp(&[]));
    let mut names: Vec<_> = metrics.iter().map(|metric| metric.name.clone()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
    assert!(matches!(metric(&metrics, "jobs").data, Some(Data::Gauge(_))));
    assert!(matches!(metric(&metrics, "jobs_total").data, Some(Data::Sum(_))));
}
