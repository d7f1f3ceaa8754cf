//! What does a scrape cost, what does it do to those who record meanwhile, and how much memory do
//! series and records take?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use bench_harness::{Bench, Role, Row, Subject};
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use prometheus::Encoder as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use seawall_metrics::{Format, Recorder, SECONDS};
use tokio::time::Instant;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
const MEP: &str = "metrics-exporter-prometheus";
const COUNTERS: u64 = 10_000;
const HISTOGRAMS: u64 = 1_000;
const PAGE: f64 = 4096.0;
const RECORDS: u64 = 20_000_000;
/// What a neighbour does without a pause.
type Work<'a> = dyn Fn() + Sync + 'a;
type Labels = [(&'static str, String); 1];

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("metrics_render");
    memory(&mut bench);
    counters(&mut bench);
    histograms(&mut bench);
    bench.finish()
}

fn key(name: &'static str, series: u64) -> Key {
    Key::from_parts(name, vec![Label::new("key", series.to_string())])
}

fn tikv(registry: &prometheus::Registry) -> Vec<u8> {
    let mut out = Vec::new();
    prometheus::TextEncoder::new().encode(&registry.gather(), &mut out).unwrap();
    out
}

fn client(registry: &prometheus_client::registry::Registry) -> String {
    let mut out = String::new();
    prometheus_client::encoding::text::encode(&mut out, registry).unwrap();
    out
}

fn counters(bench: &mut Bench) {
    let (ours, handle) = Recorder::builder().max_series(20_000).build().unwrap();
    let mep = PrometheusBuilder::new().build_recorder();
    let registry = prometheus::Registry::new();
    let options = prometheus::Opts::new("render_total", "a");
    let family = prometheus::IntCounterVec::new(options, &["key"]).unwrap();
    registry.register(Box::new(family.clone())).unwrap();
    let mut clients = prometheus_client::registry::Registry::default();
    let theirs = Family::<Labels, Counter>::default();
    clients.register("render", "a", theirs.clone());
    for series in 0..COUNTERS {
        let key = key("render_total", series);
        ours.register_counter(&key, &METADATA).increment(series);
        mep.register_counter(&key, &METADATA).increment(series);
        family.with_label_values(&[series.to_string()]).inc_by(series);
        theirs.get_or_create(&[("key", series.to_string())]).inc_by(series);
    }
    let mep = mep.handle();
    let floor = floor();
    bench.case(
        "scrape of 10 000 counters",
        vec![
            Subject::new("seawall-metrics", Role::Ours, |n| {
                (0..n).for_each(|_| drop(black_box(handle.render())));
            }),
            Subject::new("seawall-metrics, OpenMetrics", Role::Ours, |n| {
                (0..n).for_each(|_| drop(black_box(handle.render_as(Format::OpenMetrics))));
            }),
            Subject::new("copy and format", Role::Floor, |n| {
                (0..n).for_each(|_| drop(black_box(copy(&floor))));
            }),
            Subject::new(MEP, Role::Peer, |n| (0..n).for_each(|_| drop(black_box(mep.render())))),
            Subject::new("prometheus", Role::Peer, |n| {
                (0..n).for_each(|_| drop(black_box(tikv(&registry))));
            }),
            Subject::new("prometheus-client", Role::Peer, |n| {
                (0..n).for_each(|_| drop(black_box(client(&clients))));
            }),
        ],
    );
}

fn floor() -> Vec<(String, u64)> {
    (0..COUNTERS).map(|n| (format!("render_total{{key=\"{n}\"}} "), n)).collect()
}

fn copy(lines: &[(String, u64)]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for (line, value) in lines {
        out.push_str(line);
        writeln!(out, "{value}").unwrap();
    }
    out
}

fn histograms(bench: &mut Bench) {
    let (ours, handle) = Recorder::builder().build().unwrap();
    let full = Matcher::Full("render_seconds".to_owned());
    let builder = PrometheusBuilder::new();
    let mep = builder.set_buckets_for_metric(full, &SECONDS).unwrap().build_recorder();
    let registry = prometheus::Registry::new();
    let options = prometheus::HistogramOpts::new("render_seconds", "a").buckets(SECONDS.to_vec());
    let family = prometheus::HistogramVec::new(options, &["key"]).unwrap();
    registry.register(Box::new(family.clone())).unwrap();
    let mut clients = prometheus_client::registry::Registry::default();
    let theirs = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
    clients.register("render_seconds", "a", theirs.clone());
    for series in 0..HISTOGRAMS {
        let key = key("render_seconds", series);
        let labels = [("key", series.to_string())];
        for turn in 0..20 {
            let value = 0.001 * f64::from(1 << (turn % 12)) + series as f64 * 1e-6;
            ours.register_histogram(&key, &METADATA).record(value);
            mep.register_histogram(&key, &METADATA).record(value);
            family.with_label_values(&[&labels[0].1]).observe(value);
            theirs.get_or_create(&labels).observe(value);
        }
    }
    let mep_handle = mep.handle();
    bench.case(
        "scrape of 1 000 histograms",
        vec![
            Subject::new("seawall-metrics", Role::Ours, |n| {
                (0..n).for_each(|_| drop(black_box(handle.render())));
            }),
            Subject::new(MEP, Role::Peer, |n| {
                (0..n).for_each(|_| drop(black_box(mep_handle.render())));
            }),
            Subject::new("prometheus", Role::Peer, |n| {
                (0..n).for_each(|_| drop(black_box(tikv(&registry))));
            }),
            Subject::new("prometheus-client", Role::Peer, |n| {
                (0..n).for_each(|_| drop(black_box(client(&clients))));
            }),
        ],
    );
    let (elsewhere, other) = Recorder::builder().build().unwrap();
    for series in 0..HISTOGRAMS {
        elsewhere.register_histogram(&key("other_seconds", series), &METADATA).record(0.1);
    }
    let other = || drop(black_box(other.render()));
    let key = key("render_seconds", 1);
    let (ours, mep) =
        (ours.register_histogram(&key, &METADATA), mep.register_histogram(&key, &METADATA));
    let render = || drop(black_box(handle.render()));
    slowest(bench, "seawall-metrics", Role::Ours, |value| ours.record(value), &render, &other);
    let render = || drop(black_box(mep_handle.render()));
    slowest(bench, MEP, Role::Peer, |value| mep.record(value), &render, &other);
}

/// The slow records: alone, beside a thread that renders `other` things without a pause, which is
/// what a busy neighbour costs, and while it renders what is recorded.
fn slowest(
    bench: &mut Bench,
    name: &str,
    role: Role,
    record: impl Fn(f64) + Sync,
    render: &Work<'_>,
    other: &Work<'_>,
) {
    let beside: [(&str, Option<&Work<'_>>); 3] = [
        ("p99.9 of a record, idle", None),
        ("p99.9 of a record beside renders of something else", Some(other)),
        ("p99.9 of a record during renders", Some(render)),
    ];
    let mut rows = beside.map(|_| Vec::new());
    let mut over = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds() {
        let took = beside.map(|(_, work)| slow(&record, work));
        rows.iter_mut().zip(took).for_each(|(row, took)| row.push(took));
        over.iter_mut().zip(took).for_each(|(row, less)| row.push(took[2] / less));
    }
    for ((case, _), rows) in beside.iter().zip(rows) {
        bench.add(Row::of(case, name, role, "ns", rows));
    }
    for (case, rows) in ["idle", "that beside renders of something else"].iter().zip(over) {
        let case = format!("p99.9 of a record during renders over {case}, in each round");
        bench.add(Row::of(&case, name, role, "times", rows));
    }
}

fn slow(record: &(impl Fn(f64) + Sync), beside: Option<&Work<'_>>) -> f64 {
    let done = AtomicBool::new(false);
    let mut took = thread::scope(|scope| {
        if let Some(work) = beside {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    work();
                }
            });
        }
        let took: Vec<u64> = (0..200_000_u32)
            .map(|turn| {
                let start = Instant::now();
                record(black_box(f64::from(turn) * 1e-6));
                start.elapsed().as_nanos() as u64
            })
            .collect();
        done.store(true, Relaxed);
        took
    });
    took.sort_unstable();
    took[took.len() * 999 / 1000] as f64
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE
}

fn memory(bench: &mut Bench) {
    let (ours, _handle) = Recorder::builder().max_series(200_000).build().unwrap();
    let mep = PrometheusBuilder::new().build_recorder();
    let mut grew = |case: &str, name: &str, role: Role, per: f64, work: &mut dyn FnMut()| {
        let before = resident();
        work();
        // A page is the grain of the measure: there is no less.
        let grew = (resident() - before).max(PAGE);
        bench.add(Row::of(case, name, role, "bytes", vec![grew / per]));
    };
    let series = 50_000;
    let case = "memory of a counter series with one label";
    grew(case, "seawall-metrics", Role::Ours, series as f64, &mut || {
        (0..series).for_each(|n| ours.register_counter(&key("a_total", n), &METADATA).increment(1));
    });
    grew(case, MEP, Role::Peer, series as f64, &mut || {
        (0..series).for_each(|n| mep.register_counter(&key("a_total", n), &METADATA).increment(1));
    });
    let series = 5_000;
    let case = "memory of a histogram series with one label and one value";
    grew(case, "seawall-metrics", Role::Ours, series as f64, &mut || {
        (0..series)
            .for_each(|n| ours.register_histogram(&key("a_seconds", n), &METADATA).record(0.1));
    });
    grew(case, MEP, Role::Peer, series as f64, &mut || {
        (0..series)
            .for_each(|n| mep.register_histogram(&key("a_seconds", n), &METADATA).record(0.1));
    });
    let case = "growth over 20 million records that nobody scrapes";
    let once = Key::from_static_name("unscraped_seconds");
    let (ours, mep) =
        (ours.register_histogram(&once, &METADATA), mep.register_histogram(&once, &METADATA));
    let value = |n: u64| (n & 0xffff) as f64 * 1e-5;
    let quick = bench_is_quick();
    let records = if quick { RECORDS / 1000 } else { RECORDS };
    (0..0x1_0000).for_each(|n| ours.record(value(n)));
    grew(case, "seawall-metrics", Role::Ours, 1.0, &mut || {
        (0..records).for_each(|n| ours.record(value(n)));
    });
    grew(case, MEP, Role::Peer, 1.0, &mut || {
        (0..records).for_each(|n| mep.record(value(n)));
    });
}

fn bench_is_quick() -> bool {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    has("--quick") || !has("--bench")
}
