//! The crate's metrics.

use std::collections::HashMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_balance::{Outcome, PickOptions, Policy};
use tokio::time::Instant;

use crate::support::{balancer, config, end, fail};

/// Values as `name{label=value,..}`.
fn values(recorder: &DebuggingRecorder) -> HashMap<String, f64> {
    let read = |(key, _, description, value): (metrics_util::CompositeKey, _, Option<_>, _)| {
        let (_, key) = key.into_parts();
        assert!(description.is_some(), "{key} is not described");
        let labels: Vec<String> = key
            .labels()
            .filter(|label| label.key() != "balancer" || label.value() != "test")
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("{key} is a histogram"),
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    };
    recorder.snapshotter().snapshot().into_vec().into_iter().map(read).collect()
}

#[test]
fn every_request_counts_once_by_how_it_ended() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let now = Instant::now();
        let balancer = balancer(config(Policy::PeakEwma), 3, now);
        for _ in 0..3 {
            end(&balancer, now, Outcome::Success);
        }
        end(&balancer, now, Outcome::Failure);
        drop(balancer.next(now).unwrap());
        balancer.next(now).unwrap().cancel(now);
        end(&balancer, now, Outcome::Saturated(None));
        let none = |_: &usize| false;
        balancer.pick(&PickOptions::new().filter(&none), now).unwrap_err();
    });
    let values = values(&recorder);
    for (outcome, count) in
        [("success", 3.0), ("failure", 1.0), ("cancelled", 2.0), ("saturated", 1.0)]
    {
        let name = format!("seawall_balance_requests_total{{outcome={outcome}}}");
        assert_eq!(values[&name], count, "{outcome}");
    }
    assert_eq!(values["seawall_balance_refusals_total{reason=filtered}"], 1.0);
    assert_eq!(values["seawall_balance_nodes{standing=saturated}"], 1.0);
    assert_eq!(values["seawall_balance_nodes{standing=open}"], 2.0);
}

#[test]
fn ejections_panic_and_probes_are_visible() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let now = Instant::now();
        let mut config = config(Policy::RoundRobin);
        config.outlier.max_ejected = 1.0;
        let balancer = balancer(config, 2, now);
        fail(&balancer, 0, 5, now);
        fail(&balancer, 1, 5, now);
        let due = balancer.next_due().unwrap();
        balancer.due(due).unwrap().finish(false, due);
    });
    let values = values(&recorder);
    assert_eq!(values["seawall_balance_ejections_total{cause=consecutive_failures}"], 2.0);
    assert_eq!(values["seawall_balance_ejections_total{cause=success_rate}"], 0.0);
    assert_eq!(values["seawall_balance_panic{}"], 1.0);
    assert_eq!(values["seawall_balance_nodes{standing=ejected}"], 2.0);
    assert_eq!(values["seawall_balance_probes_total{result=bad}"], 1.0);
}
