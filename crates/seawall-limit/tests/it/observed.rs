//! The crate's metrics.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use seawall_limit::{GuardLayer, Guards, LimitLayer, Limiter, Policy, Quota, Rule};
use tokio::time::Instant;
use tower::Layer as _;

use crate::support::{inner, limiter, request, send};

/// Counters as `name{label=value,..}`.
fn counters(snapshotter: &Snapshotter) -> HashMap<String, u64> {
    let read =
        |(key, _, description, value): (metrics_util::CompositeKey, _, Option<_>, DebugValue)| {
            let (_, key) = key.into_parts();
            assert!(description.is_some(), "{key} is not described");
            let labels: Vec<String> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            match value {
                DebugValue::Counter(count) => {
                    (format!("{}{{{}}}", key.name(), labels.join(",")), count)
                }
                other => panic!("{key} is {other:?}"),
            }
        };
    snapshotter.snapshot().into_vec().into_iter().map(read).collect()
}

#[test]
fn each_decision_counts_once_under_the_policy_it_names() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let limiter = limiter();
        let both = limiter.set(&["slow", "fast"]).unwrap();
        let now = Instant::now();
        for _ in 0..5 {
            let _ = limiter.check("a", &both, now);
            let _ = limiter.peek("a", &both, now);
        }
        let _ = limiter.check("a", &limiter.set(&["fast"]).unwrap(), now);
    });
    let counters = counters(&recorder.snapshotter());
    assert_eq!(counters["seawall_limit_decisions_total{policy=slow,outcome=allowed}"], 2);
    assert_eq!(counters["seawall_limit_decisions_total{policy=slow,outcome=rejected}"], 3);
    assert_eq!(counters["seawall_limit_decisions_total{policy=fast,outcome=allowed}"], 1);
    assert_eq!(counters["seawall_limit_decisions_total{policy=fast,outcome=rejected}"], 0);
    assert_eq!(counters["seawall_limit_saturated_total{}"], 0);
}

#[test]
fn a_full_table_is_visible() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let quota = Quota::per(1, Duration::from_secs(60)).unwrap();
        let limiter =
            Limiter::builder().policy(Policy::new("p", quota)).max_keys(10).build().unwrap();
        let set = limiter.set(&["p"]).unwrap();
        let now = Instant::now();
        for key in 0..1_000_u64 {
            let _ = limiter.check(key, &set, now);
        }
        assert!(limiter.live_keys(now) <= 16);
    });
    assert!(counters(&recorder.snapshotter())["seawall_limit_saturated_total{}"] >= 980);
}

#[test]
fn requests_turned_away_and_clients_without_an_address_are_counted() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let limits = LimitLayer::new(limiter())
            .rule(Rule::any().policy("fast"))
            .build()
            .unwrap()
            .layer(inner().0);
        let guards = GuardLayer::new(Guards { max_url: 5, ..Guards::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            send(&limits, Request::get("/").body(Full::<Bytes>::default()).unwrap()).await;
            send(&limits, request(Method::GET, "/", "1.1.1.1")).await;
            let answers = tower::service_fn(|_| async {
                Ok::<_, ()>(http::Response::new(Full::<Bytes>::default()))
            });
            send(&guards.layer(answers), request(Method::GET, "/longer", "1.1.1.1")).await;
        });
    });
    let counters = counters(&recorder.snapshotter());
    assert_eq!(counters["seawall_limit_unidentified_total{}"], 1);
    assert_eq!(counters["seawall_limit_guard_rejections_total{guard=url}"], 1);
    assert_eq!(counters["seawall_limit_guard_rejections_total{guard=body}"], 0);
}
