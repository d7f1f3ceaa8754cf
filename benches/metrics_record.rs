//! What do a counter, a histogram and a scrape cost?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use bench_harness::{Bench, Role, Subject};
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::PrometheusBuilder;
use seawall_metrics::Recorder;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

fn main() -> std::io::Result<()> {
    let (ours, handle) = Recorder::builder().max_series(20_000).build().unwrap();
    let theirs = PrometheusBuilder::new().build_recorder();
    let their_handle = theirs.handle();
    let word = AtomicU64::new(0);
    let mut bench = Bench::new("metrics_record");

    let key = Key::from_name("bench_total");
    let (our_counter, their_counter) =
        (ours.register_counter(&key, &METADATA), theirs.register_counter(&key, &METADATA));
    bench.case(
        "counter by cached handle, 1 thread",
        vec![
            Subject::new("seawall-metrics", Role::Ours, |times| {
                (0..times).for_each(|_| our_counter.increment(black_box(1)));
            }),
            Subject::new("fetch_add", Role::Floor, |times| {
                (0..times).for_each(|_| {
                    black_box(word.fetch_add(1, Ordering::Relaxed));
                });
            }),
            Subject::new("metrics-exporter-prometheus", Role::Peer, |times| {
                (0..times).for_each(|_| their_counter.increment(black_box(1)));
            }),
        ],
    );

    let key = Key::from_name("bench_seconds");
    let (our_histogram, their_histogram) =
        (ours.register_histogram(&key, &METADATA), theirs.register_histogram(&key, &METADATA));
    bench.case(
        "histogram by cached handle, 1 thread",
        vec![
            Subject::new("seawall-metrics", Role::Ours, |times| {
                (0..times).for_each(|turn| our_histogram.record(black_box(turn as f64 * 1e-6)));
            }),
            Subject::new("metrics-exporter-prometheus", Role::Peer, |times| {
                (0..times).for_each(|turn| their_histogram.record(black_box(turn as f64 * 1e-6)));
                // It queues samples; without this the bench would measure memory.
                their_handle.run_upkeep();
            }),
        ],
    );

    for series in 0..10_000 {
        let key =
            Key::from_parts("bench_render_total", vec![Label::new("key", series.to_string())]);
        ours.register_counter(&key, &METADATA).increment(series);
        theirs.register_counter(&key, &METADATA).increment(series);
    }
    bench.case(
        "scrape of 10 000 counters",
        vec![
            Subject::new("seawall-metrics", Role::Ours, |times| {
                (0..times).for_each(|_| {
                    black_box(handle.render());
                });
            }),
            Subject::new("metrics-exporter-prometheus", Role::Peer, |times| {
                (0..times).for_each(|_| {
                    black_box(their_handle.render());
                });
            }),
        ],
    );
    bench.finish()
}
