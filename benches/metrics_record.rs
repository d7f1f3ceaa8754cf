//! What does a record cost: by a handle that is kept, and looked up by its labels each time; on one
//! thread, and on two that record the same series?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use bench_harness::{Bench, Role, Subject};
use metrics::{Key, Level, Metadata, Recorder as _, with_local_recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use prometheus_client::metrics::family::Family;
use seawall_metrics::{Recorder, SECONDS};

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
const LABELS: [&str; 2] = ["GET", "/users"];
const CELLS_OF_FLOOR: usize = 4096;
const HERE: &str = "seawall-metrics";
const MEP: &str = "metrics-exporter-prometheus";

/// One of each, with the same buckets.
struct Peers {
    ours: Recorder,
    mep: PrometheusRecorder,
    mep_handle: PrometheusHandle,
    meters: SdkMeterProvider,
}

fn main() -> std::io::Result<()> {
    let builder = PrometheusBuilder::new();
    let full = Matcher::Full("bench_seconds".to_owned());
    let mep = builder.set_buckets_for_metric(full, &SECONDS).unwrap().build_recorder();
    let peers = Peers {
        ours: Recorder::builder().build().unwrap().0,
        mep_handle: mep.handle(),
        mep,
        meters: SdkMeterProvider::builder().with_reader(ManualReader::default()).build(),
    };
    let mut bench = Bench::new("metrics_record");
    for threads in [1, 2] {
        counter(&mut bench, &peers, threads);
        histogram(&mut bench, &peers, threads);
        look_up(&mut bench, &peers, threads);
    }
    bench.finish()
}

/// `work` as often as told on each thread.
fn on(threads: usize, times: u64, work: impl Fn(u64) + Sync) {
    if threads == 1 {
        return (0..times).for_each(work);
    }
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..times).for_each(&work));
        }
    });
}

fn counter(bench: &mut Bench, peers: &Peers, threads: usize) {
    let key = Key::from_static_name("bench_total");
    let ours = peers.ours.register_counter(&key, &METADATA);
    let mep = peers.mep.register_counter(&key, &METADATA);
    let int = prometheus::IntCounter::new("a", "a").unwrap();
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();
    let otel = peers.meters.meter("bench").u64_counter("bench").build();
    let word = AtomicU64::new(0);
    bench.case(
        &format!("counter by kept handle, {threads} thread(s)"),
        vec![
            Subject::new(HERE, Role::Ours, |n| on(threads, n, |_| ours.increment(black_box(1)))),
            Subject::new("fetch_add", Role::Floor, |n| {
                on(threads, n, |_| {
                    black_box(word.fetch_add(1, Relaxed));
                });
            }),
            Subject::new(MEP, Role::Peer, |n| on(threads, n, |_| mep.increment(black_box(1)))),
            Subject::new("prometheus IntCounter", Role::Peer, |n| {
                on(threads, n, |_| int.inc_by(black_box(1)));
            }),
            Subject::new("prometheus-client", Role::Peer, |n| {
                on(threads, n, |_| {
                    client.inc_by(black_box(1));
                });
            }),
            Subject::new("opentelemetry_sdk", Role::Peer, |n| {
                on(threads, n, |_| otel.add(black_box(1), &[]));
            }),
        ],
    );
}

fn histogram(bench: &mut Bench, peers: &Peers, threads: usize) {
    let key = Key::from_static_name("bench_seconds");
    let ours = peers.ours.register_histogram(&key, &METADATA);
    let mep = peers.mep.register_histogram(&key, &METADATA);
    let options = prometheus::HistogramOpts::new("a", "a").buckets(SECONDS.to_vec());
    let tikv = prometheus::Histogram::with_opts(options).unwrap();
    let client = prometheus_client::metrics::histogram::Histogram::new(SECONDS);
    let meter = peers.meters.meter("bench");
    let otel = meter.f64_histogram("bench_seconds").with_boundaries(SECONDS.to_vec()).build();
    // From a microsecond to a second.
    let value = |turn: u64| black_box((turn & 0xf_ffff) as f64 * 1e-6);
    bench.case(
        &format!("histogram by kept handle, {threads} thread(s)"),
        vec![
            Subject::new(HERE, Role::Ours, |n| on(threads, n, |turn| ours.record(value(turn)))),
            Subject::new("a cell of the thread's own", Role::Floor, |n| {
                on(threads, n, |turn| add_to_own_cell(value(turn)));
            }),
            Subject::new(MEP, Role::Peer, |n| {
                on(threads, n, |turn| mep.record(value(turn)));
                // It queues samples; without this the bench would measure memory.
                peers.mep_handle.run_upkeep();
            }),
            Subject::new("prometheus", Role::Peer, |n| {
                on(threads, n, |turn| tikv.observe(value(turn)));
            }),
            Subject::new("prometheus-client", Role::Peer, |n| {
                on(threads, n, |turn| client.observe(value(turn)));
            }),
            Subject::new("opentelemetry_sdk", Role::Peer, |n| {
                on(threads, n, |turn| otel.record(value(turn), &[]));
            }),
        ],
    );
}

thread_local! {
    static CELLS: [Cell<u64>; CELLS_OF_FLOOR] = const { [const { Cell::new(0) }; CELLS_OF_FLOOR] };
}

/// Less no histogram can do: no bounds, no sum, no reader, no second series.
fn add_to_own_cell(value: f64) {
    let at = (value.to_bits() >> 47) as usize % CELLS_OF_FLOOR;
    CELLS.with(|cells| cells[at].set(black_box(cells[at].get() + 1)));
}

fn look_up(bench: &mut Bench, peers: &Peers, threads: usize) {
    let options = prometheus::Opts::new("a", "a");
    let int = prometheus::IntCounterVec::new(options, &["method", "route"]).unwrap();
    type Labels = [(&'static str, &'static str); 2];
    let client = Family::<Labels, prometheus_client::metrics::counter::Counter>::default();
    let otel = peers.meters.meter("bench").u64_counter("labelled").build();
    let pairs = [KeyValue::new("method", LABELS[0]), KeyValue::new("route", LABELS[1])];
    let count =
        |_| metrics::counter!("hits_total", "method" => "GET", "route" => "/users").increment(1);
    // The macros take the recorder of the thread.
    let through = |recorder: &(dyn metrics::Recorder + Sync), n| {
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| with_local_recorder(recorder, || (0..n).for_each(count)));
            }
            with_local_recorder(recorder, || (0..n).for_each(count));
        });
    };
    bench.case(
        &format!("counter! with 2 static labels, {threads} thread(s)"),
        vec![
            Subject::new(HERE, Role::Ours, |n| through(&peers.ours, n)),
            Subject::new(MEP, Role::Peer, |n| through(&peers.mep, n)),
            Subject::new("prometheus IntCounterVec", Role::Peer, |n| {
                on(threads, n, |_| int.with_label_values(black_box(&LABELS)).inc());
            }),
            Subject::new("prometheus-client Family", Role::Peer, |n| {
                on(threads, n, |_| {
                    let labels = [("method", LABELS[0]), ("route", LABELS[1])];
                    client.get_or_create(black_box(&labels)).inc();
                });
            }),
            Subject::new("opentelemetry_sdk", Role::Peer, |n| {
                on(threads, n, |_| otel.add(1, black_box(&pairs)));
            }),
        ],
    );
}
