//! A real Prometheus scrapes: what it understood is asked back through its API.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use metrics::{Key, Level, Metadata, Recorder as _};
use seawall_devstack::{Prometheus, Stack, StackBuilder};
use seawall_metrics::{Format, Handle, Listener, ListenerConfig, Recorder};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn serve(handle: &Handle) -> Listener {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    handle.listen(any, ListenerConfig::default()).await.unwrap()
}

pub(crate) async fn scraped_by(
    listener: &Listener,
    with: impl FnOnce(StackBuilder) -> StackBuilder,
) -> Stack {
    with(Stack::builder().prometheus(listener.local_addr())).start().await.unwrap()
}

/// The samples of an instant query: labels and value.
async fn query(prometheus: &Prometheus, expression: &str) -> Vec<(Value, f64)> {
    let answer: Value = serde_json::from_str(&prometheus.query(expression).await.unwrap()).unwrap();
    let samples = answer["data"]["result"].as_array().unwrap();
    samples
        .iter()
        .map(|sample| {
            let value = sample["value"][1].as_str().unwrap().parse().unwrap();
            (sample["metric"].clone(), value)
        })
        .collect()
}

pub(crate) async fn value(prometheus: &Prometheus, expression: &str) -> Option<f64> {
    query(prometheus, expression).await.first().map(|(_, value)| *value)
}

pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// One to a thousand milliseconds, a hundred of each.
fn latencies(recorder: &Recorder) {
    let key = Key::from_static_name("took_seconds");
    let took = recorder.register_histogram(&key, &METADATA);
    for ms in 1..=1000 {
        took.record_many(f64::from(ms) / 1000.0, 100);
    }
}

#[tokio::test]
async fn a_real_prometheus_agrees_on_counts_sums_and_bucket_quantiles() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let listener = serve(&handle).await;
    let stack = scraped_by(&listener, |stack| stack).await;
    let prometheus = stack.prometheus().unwrap();
    latencies(&recorder);
    let all = || async { value(prometheus, "took_seconds_count").await == Some(100_000.0) };
    eventually("a scrape with everything", all).await;
    let sum = value(prometheus, "took_seconds_sum").await.unwrap();
    assert!((sum - 50_050.0).abs() < 1e-6, "{sum}");
    // Classic buckets are cut where the cells are: what falls below a bound is exact.
    for (bound, below) in [("0.1", 10_000.0), ("0.5", 50_000.0), ("1.0", 100_000.0)] {
        let found = value(prometheus, &format!("took_seconds_bucket{{le=\"{bound}\"}}")).await;
        assert_eq!(found, Some(below), "{bound}");
    }
    // Evenly spread values and linear interpolation within a bucket: the quantiles are those of
    // the values, and so must ours be.
    let ours = handle.window("took_seconds", &[], Duration::from_secs(300));
    for (q, ours) in [(0.5, ours.p50), (0.95, ours.p95), (0.99, ours.p99)] {
        let theirs = format!("histogram_quantile({q}, took_seconds_bucket)");
        let theirs = value(prometheus, &theirs).await.unwrap();
        assert!((ours / theirs - 1.0).abs() < 0.02, "p{q}: {ours} and {theirs}");
    }
    assert_eq!(value(prometheus, "up").await, Some(1.0));
}

#[tokio::test]
async fn a_real_prometheus_reads_the_native_histogram() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let listener = serve(&handle).await;
    let stack = scraped_by(&listener, |stack| stack.prometheus_feature("native-histograms")).await;
    let prometheus = stack.prometheus().unwrap();
    latencies(&recorder);
    let _idle = recorder.register_histogram(&Key::from_static_name("idle_seconds"), &METADATA);
    let all =
        || async { value(prometheus, "histogram_count(took_seconds)").await == Some(100_000.0) };
    eventually("a scrape with everything", all).await;
    let sum = value(prometheus, "histogram_sum(took_seconds)").await.unwrap();
    assert!((sum - 50_050.0).abs() < 1e-6, "{sum}");
    let ours = handle.window("took_seconds", &[], Duration::from_secs(300));
    for (q, ours) in [(0.5, ours.p50), (0.95, ours.p95), (0.99, ours.p99)] {
        let theirs = format!("histogram_quantile({q}, took_seconds)");
        let theirs = value(prometheus, &theirs).await.unwrap();
        // A bucket of schema 3 is 9 % wide.
        assert!((ours / theirs - 1.0).abs() < 0.1, "p{q}: {ours} and {theirs}");
    }
    assert_eq!(value(prometheus, "histogram_count(idle_seconds)").await, Some(0.0));
}

#[tokio::test]
async fn a_real_prometheus_sees_the_rate_that_the_window_has() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let listener = serve(&handle).await;
    let hits = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let stack = scraped_by(&listener, |stack| stack).await;
    let prometheus = stack.prometheus().unwrap();
    let driver = tokio::spawn(async move {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        loop {
            turns.tick().await;
            hits.increment(5);
        }
    });
    // Not at the first look: a busy machine scrapes late, and the two look at ends that are up to
    // a second and some scrapes apart. A rate that is wrong is wrong at every look.
    let agree = || async {
        let (from, to) = slope(prometheus, "hits_total[10s]").await;
        let ours = handle.window("hits_total", &[], Duration::from_secs(10));
        let theirs = (to.1 - from.1) / (to.0 - from.0);
        to.0 - from.0 > 5.0 && ours.rate > 0.0 && (ours.rate / theirs - 1.0).abs() < 0.1
    };
    eventually("the same rate", agree).await;
    driver.abort();
}

/// Time and value of the first and the last sample. Not `rate()`: where scrapes fail, it fills up
/// with guesses.
async fn slope(prometheus: &Prometheus, range: &str) -> ((f64, f64), (f64, f64)) {
    let answer: Value = serde_json::from_str(&prometheus.query(range).await.unwrap()).unwrap();
    let samples = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let point = |sample: Option<&Value>| {
        let sample = sample.unwrap_or(&Value::Null);
        let value = sample[1].as_str().and_then(|value| value.parse().ok()).unwrap_or(0.0);
        (sample[0].as_f64().unwrap_or(0.0), value)
    };
    (point(samples.first()), point(samples.last()))
}

#[tokio::test]
async fn an_exemplar_arrives_in_a_real_prometheus() {
    let (_recorder, handle) = Recorder::builder().build().unwrap();
    let listener = serve(&handle).await;
    let key = Key::from_static_name("took_seconds");
    handle.record_with_exemplar(&key, 0.3, &[("trace_id", "c0ffee")]);
    let stack = scraped_by(&listener, |stack| stack.prometheus_feature("exemplar-storage")).await;
    let prometheus = stack.prometheus().unwrap();
    let path = "/api/v1/query_exemplars?query=took_seconds_bucket&start=0&end=9999999999";
    let there = || async { prometheus.get(path).await.unwrap().contains("c0ffee") };
    eventually("the exemplar", there).await;
}

#[tokio::test]
async fn a_real_prometheus_takes_the_times_at_which_series_began() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    latencies(&recorder);
    recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA).increment(7);
    let listener = serve(&handle).await;
    for feature in ["exemplar-storage", "native-histograms"] {
        let stack = scraped_by(&listener, |stack| stack.prometheus_feature(feature)).await;
        let prometheus = stack.prometheus().unwrap();
        let all = || async { value(prometheus, "hits_total").await == Some(7.0) };
        eventually("a scrape", all).await;
        assert_eq!(value(prometheus, "up").await, Some(1.0), "{feature}");
        // As lines of OpenMetrics; in protobuf within the series, which 2.42 passes over.
        let lines = feature == "exemplar-storage";
        for name in ["hits_created", "took_seconds_created"] {
            let age = value(prometheus, &format!("time() - {name}")).await;
            assert_eq!(age.is_some_and(|age| age.abs() < 3600.0), lines, "{feature}: {age:?}");
        }
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::describe_histogram!("took_seconds", "How long it took.");
        metrics::describe_counter!("hits_total", "How often.");
        metrics::describe_gauge!("queue_bytes", "How much waits.");
        metrics::histogram!("took_seconds", "route" => "/a\\\"\n").record(0.3);
        metrics::counter!("hits_total").increment(1);
        metrics::gauge!("queue_bytes").set(1e9);
    });
    let listener = serve(&handle).await;
    let stack = scraped_by(&listener, |stack| stack).await;
    let mut promtool = Command::new(stack.prometheus().unwrap().promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(&handle.render_as(Format::Text)).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
