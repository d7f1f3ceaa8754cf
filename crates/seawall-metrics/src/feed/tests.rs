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
