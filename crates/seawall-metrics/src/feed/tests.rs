use metrics::{counter, gauge, histogram, with_local_recorder};
use seawall_signal::{Condition, Truth};
use tokio::time::advance;

use super::*;
use crate::Recorder;

#[tokio::test(start_paused = true)]
async fn a_condition_reads_what_the_recorder_publishes() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        for _ in 0..100 {
            histogram!("took_seconds").record(0.7);
            counter!("hits_total").increment(6);
        }
        gauge!("used_ratio").set(0.85);
    });
    advance(Duration::from_secs(60)).await;
    let now = Instant::now();
    let mut signals = Signals::new();
    handle.feed(&mut signals, now);
    for text in [
        "p95(took_seconds) > 500ms",
        "p99(took_seconds, 300s) < 1s",
        "max(took_seconds, 1m) >= 700ms",
        "rate(hits_total) > 9/s and rate(hits_total, 5m) < 11/s",
        "hits_total == 600",
        "used_ratio > 80%",
        "absent(p95(nothing))",
    ] {
        let condition = Condition::parse(text).unwrap();
        let truth = condition.evaluate(&signals, now, Duration::from_secs(60));
        assert_eq!(truth, Truth::True, "{text}");
    }
    assert!(signals.iter().all(|(name, _)| !name.contains("seawall_metrics")));
}

#[tokio::test(start_paused = true)]
async fn an_empty_window_lets_its_last_sample_grow_old() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || histogram!("took_seconds").record(0.7));
    let mut signals = Signals::new();
    let start = Instant::now();
    handle.feed(&mut signals, start);
    for _ in 0..30 {
        advance(Duration::from_secs(1)).await;
        handle.feed(&mut signals, Instant::now());
    }
    let at = |name: &str| signals.get(name).unwrap().at - start;
    assert_eq!(at("p95(took_seconds)"), Duration::from_secs(30));
    assert_eq!(at("p95(took_seconds, 10s)"), Duration::from_secs(10));
    assert_eq!(at("rate(took_seconds, 10s)"), Duration::from_secs(30));
    assert_eq!(signals.get("rate(took_seconds, 10s)").unwrap().value, 0.0);
}

/// The conditions of issue 6, as they stand there.
#[tokio::test(start_paused = true)]
async fn conditions_about_requests_need_no_names_of_metrics() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let request = |error: &'static str, seconds| {
        histogram!("http_server_request_duration_seconds", "http_route" => "/", "error_type" => error)
            .record(seconds);
    };
    with_local_recorder(&recorder, || {
        (0..80).for_each(|_| request("", 0.7));
        (0..6).for_each(|_| request("500", 0.7));
        // What clients did is no error of the service.
        (0..14).for_each(|_| request("cancelled", 0.1));
    });
    advance(Duration::from_secs(60)).await;
    let now = Instant::now();
    let mut signals = Signals::new();
    handle.feed(&mut signals, now);
    signals.set("avg(cpu_usage, 5m)", 0.9, Unit::Ratio, now);
    let truth = |text: &str| {
        let condition = Condition::parse(text).unwrap();
        condition.evaluate(&signals, now, Duration::from_secs(60))
    };
    for text in [
        "p95(http_request_duration) > 500ms for 2m",
        "avg(cpu_usage, 5m) > 80%",
        "rate(errors) / rate(requests) > 5%",
        "rate(errors, 5m) / rate(requests, 5m) < 7%",
    ] {
        assert_eq!(truth(text), Truth::True, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_is_called_errors_is_the_one_that_is_fed() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        histogram!("http_server_request_duration_seconds", "error_type" => "500").record(0.7);
        counter!("errors").increment(600);
    });
    advance(Duration::from_secs(60)).await;
    let now = Instant::now();
    let mut signals = Signals::new();
    handle.feed(&mut signals, now);
    let rate = |name: &str| signals.get(name).unwrap().value;
    assert!(rate("rate(errors)") > 5.0 && rate("rate(requests)") < 1.0);
    let (recorder, handle) = Recorder::builder().build().unwrap();
    with_local_recorder(&recorder, || counter!("hits_total").increment(1));
    let mut signals = Signals::new();
    handle.feed(&mut signals, now);
    assert!(signals.get("rate(requests)").is_none());
}
