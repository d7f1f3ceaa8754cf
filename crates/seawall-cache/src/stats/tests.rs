//! What a recorder sees.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::{Cache, Loaded};

#[tokio::test(start_paused = true)]
async fn reads_and_loads_are_counted_under_the_documented_names() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let build = || Cache::<u64, u64>::builder("prices").build().expect("valid");
    let cache = metrics::with_local_recorder(&recorder, build);
    for key in [1, 1, 1, 2] {
        let loaded = if key == 1 { Loaded::new(10) } else { Loaded::absent() };
        let loader = move |_| async move { Ok::<_, std::fmt::Error>(loaded) };
        cache.get_or_load(&key, loader).await.expect("loads");
    }
    let _ = cache.get_or_load(&3, |_| async { Err::<u64, _>(std::fmt::Error) }).await;
    assert!(cache.get(&4).await.expect("no remote").is_none());
    // Hits of the last tenth of a second need not have reached the recorder otherwise.
    let stats = cache.stats();

    let mut counted: Vec<_> = snapshots
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| match value {
            DebugValue::Counter(count) if count > 0 => Some(format!("{} {count}", name(key.key()))),
            DebugValue::Histogram(values) if !values.is_empty() => {
                Some(format!("{} {}", name(key.key()), values.len()))
            }
            _ => None,
        })
        .collect();
    counted.sort();
    let expected = [
        "seawall_cache_load_seconds cache=prices 3",
        "seawall_cache_loads_total cache=prices result=error 1",
        "seawall_cache_loads_total cache=prices result=ok 2",
        "seawall_cache_requests_total cache=prices layer=l1 result=hit 2",
        "seawall_cache_requests_total cache=prices layer=l2 result=miss 1",
        "seawall_cache_requests_total cache=prices layer=loader result=absent 1",
        "seawall_cache_requests_total cache=prices layer=loader result=error 1",
        "seawall_cache_requests_total cache=prices layer=loader result=hit 1",
    ];
    assert_eq!(counted, expected);
    assert_eq!((stats.l1_hits, stats.misses, stats.loads, stats.load_errors), (2, 4, 3, 1));
}

fn name(key: &metrics::Key) -> String {
    let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
    std::iter::once(key.name().to_owned()).chain(labels).collect()
}
