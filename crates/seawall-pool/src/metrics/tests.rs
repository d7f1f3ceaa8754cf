use std::collections::BTreeSet;

use metrics_util::debugging::DebuggingRecorder;

use super::{Labels, NodeMetrics};
use crate::buffer::metrics::BufferMetrics;
use crate::hedge::metrics::HedgeMetrics;
use crate::lanes::metrics::LaneMetrics;
use crate::loader::metrics::LoaderMetrics;
use crate::route::Intent;

/// docs/metrics.md lists the metrics; this keeps the list true.
#[test]
fn the_page_lists_every_metric_and_no_other() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let pool = Labels::of_pool(None);
        let of_node = pool.clone().and_node("primary");
        let node = NodeMetrics::new(&of_node);
        node.queries(Intent::Analytics).increment(1);
        LaneMetrics::new(&of_node).queries.increment(1);
        LoaderMetrics::new(&pool).loads.increment(1);
        BufferMetrics::new(&pool).buffered.increment(1);
        HedgeMetrics::new(&pool).sent.increment(1);
    });
    let emitted: BTreeSet<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, ..)| {
            let key = key.key();
            let of_a_node = key.labels().any(|l| l.key() == "node" && l.value() == "primary");
            let of_all =
                ["_loader_", "_buffer", "_hedge"].iter().any(|part| key.name().contains(part));
            assert!(of_a_node != of_all, "{key}");
            key.name().to_owned()
        })
        .collect();
    let page = include_str!("../../docs/metrics.md");
    let listed: BTreeSet<String> = page
        .split('`')
        .filter_map(|code| code.split('{').next())
        .filter(|name| name.starts_with("seawall_pool_"))
        .map(str::to_owned)
        .collect();
    // Of the tower layer, which has no node.
    let mut listed = listed;
    assert!(listed.remove("seawall_pool_refused_tokens_total"));
    if cfg!(not(feature = "classify")) {
        assert!(listed.remove("seawall_pool_overruled_reads_total"));
    }
    assert_eq!(emitted, listed);
}
