//! Metrics that move.

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use seawall_pool::{Error, Pool, PoolConfig};

use crate::support::{config, millis, secs, stack, until};

/// The value of a counter or gauge whose labels include `label`.
pub(crate) fn value(snapshotter: &Snapshotter, name: &str, label: &str) -> f64 {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .filter(|(key, ..)| {
            key.key().name() == name && key.key().labels().any(|l| l.value() == label)
        })
        .map(|(.., value)| match value {
            #[allow(clippy::cast_precision_loss, reason = "small")]
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Histogram(samples) => {
                samples.iter().map(|sample| sample.into_inner()).sum()
            }
        })
        .sum()
}

#[tokio::test]
async fn every_failure_is_counted_where_it_happened() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(0).await;
    let config = PoolConfig {
        max_size: 1,
        min_idle: 1,
        acquire_timeout: secs(2),
        slow_query: millis(20),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    // A snapshot takes the counts with it.
    let moved = |name: &str, label: &str| value(&snapshotter, name, label);
    assert!(moved("seawall_pool_node_up", "primary") > 0.0);

    let held = pool.write().get().await.unwrap();
    pool.write().execute("SELECT 1", &[]).await.unwrap_err();
    assert!(moved("seawall_pool_errors_total", "acquire") > 0.0);
    until("a connection is seen in use", secs(30), async || {
        moved("seawall_pool_connections", "used") > 0.0
    })
    .await;
    drop(held);

    pool.write().execute("SELECT 1 / 0", &[]).await.unwrap_err();
    assert!(moved("seawall_pool_errors_total", "query") > 0.0);
    pool.read().execute("SELECT pg_sleep(0.05)", &[]).await.unwrap();
    assert!(moved("seawall_pool_slow_queries_total", "primary") > 0.0);
    pool.read().execute("SELECT 1", &[]).await.unwrap();
    assert!(moved("seawall_pool_queries_total", "read") > 0.0);
    until("a statement is seen cancelled", secs(30), async || {
        pool.read().timeout(millis(20)).execute("SELECT pg_sleep(50)", &[]).await.unwrap_err();
        moved("seawall_pool_cancelled_total", "primary") > 0.0
    })
    .await;
}

#[tokio::test]
async fn two_pools_with_names_do_not_share_their_metrics() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(1).await;
    let named = |name: &str| PoolConfig { name: Some(name.to_owned()), ..config(&stack) };
    let one = Pool::connect(named("orders")).await.unwrap();
    let _two = Pool::connect(named("reports")).await.unwrap();
    one.write().execute("SELECT 1", &[]).await.unwrap();
    one.read().execute("SELECT 1", &[]).await.unwrap();
    let mut writes = Vec::new();
    let mut balancers = std::collections::BTreeSet::new();
    for (key, .., value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let label =
            |name: &str| key.labels().find(|l| l.key() == name).map(|l| l.value().to_owned());
        balancers.extend(label("balancer"));
        if key.name().starts_with("seawall_pool_") {
            assert!(label("pool").is_some(), "{key}");
        }
        if key.name() == "seawall_pool_queries_total" && label("op").as_deref() == Some("write") {
            let node = label("node").unwrap();
            if node == "primary" {
                writes.push((label("pool").unwrap(), value));
            }
        }
    }
    writes.sort_by(|(one, _), (other, _)| one.cmp(other));
    let of = |name: &str, count| (name.to_owned(), DebugValue::Counter(count));
    assert_eq!(writes, [of("orders", 1), of("reports", 0)]);
    let names: Vec<_> = balancers.iter().map(String::as_str).collect();
    let expected =
        ["orders/analytics_fallback", "orders/read", "reports/analytics_fallback", "reports/read"];
    assert_eq!(names, expected);
    let error = Pool::connect(named("")).await.unwrap_err();
    assert!(matches!(error, Error::Config { field: "name.len()", .. }), "{error}");
}
