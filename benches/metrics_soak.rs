//! Does memory stay flat at a million records a second that nobody scrapes? Two threads record
//! counters and histograms, by kept handles and by labels, for a minute; each subject in a process of
//! its own, so that neither finds the other's memory.
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]
#![expect(clippy::disallowed_methods, reason = "the pace of the records is what is wanted")]

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::process::Command;
use std::thread;
use std::time::Duration;

use bench_harness::{Bench, Role, Row};
use metrics::{Key, Level, Metadata, counter, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use seawall_metrics::{Recorder, SECONDS};
use tokio::time::Instant;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
const HERE: &str = "seawall-metrics";
const MEP: &str = "metrics-exporter-prometheus";
/// As `build` and `install` of it set it up: drained every five seconds.
const MEP_KEPT: &str = "metrics-exporter-prometheus, with its upkeep";
const THREADS: usize = 2;
/// Of all threads.
const A_SECOND: usize = 1_000_000;
const BEAT: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// When memory is read, in sixtieths of the whole.
const LOOKS: [u32; 4] = [0, 10, 30, 60];
const PAGE: f64 = 4096.0;
const ROUTES: [&str; 8] = ["/", "/a", "/b", "/c", "/d", "/e", "/f", "/g"];

fn main() -> std::io::Result<()> {
    let args: Vec<String> = env::args().collect();
    let quick = args.iter().any(|arg| arg == "--quick") || !args.iter().any(|arg| arg == "--bench");
    let whole = if quick { MINUTE / 60 } else { MINUTE };
    if let Some(at) = args.iter().position(|arg| arg == "--soak") {
        soak(args.get(at + 1).map_or("", String::as_str), whole);
        return Ok(());
    }
    let mut bench = Bench::new("metrics_soak");
    let mut rows = Vec::new();
    for (name, role) in [(HERE, Role::Ours), (MEP, Role::Peer), (MEP_KEPT, Role::Peer)] {
        let mode = if quick { "--quick" } else { "--bench" };
        let child = Command::new(env::current_exe()?).args([mode, "--soak", name]).output()?;
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        assert_eq!(numbers.len(), LOOKS.len() + 1, "{name}: {text}");
        rows.push((name, role, numbers));
    }
    for (at, sixtieths) in LOOKS.iter().enumerate() {
        let seconds = (whole * *sixtieths / 60).as_secs_f64();
        let case = format!("resident after {seconds:.1} s of records nobody scrapes");
        for (name, role, numbers) in &rows {
            bench.add(Row::of(&case, name, *role, "bytes", vec![numbers[at]]));
        }
    }
    for (name, role, numbers) in &rows {
        bench.add(Row::of("records made", name, *role, "/s", vec![numbers[LOOKS.len()]]));
    }
    bench.finish()
}

/// Prints what is resident at each look, and how many records a second there were.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn soak(name: &str, whole: Duration) {
    if name == HERE {
        // The handle ticks the windows, as a service would have it.
        let (recorder, handle) = Recorder::builder().build().unwrap();
        println!("{}", run(&recorder, whole, || handle.tick(Instant::now())));
    } else {
        let full = Matcher::Suffix("_seconds".to_owned());
        let recorder = PrometheusBuilder::new().set_buckets_for_metric(full, &SECONDS).unwrap();
        let recorder = recorder.build_recorder();
        let (handle, drained) = (recorder.handle(), Cell::new(Instant::now()));
        let upkeep = || {
            if name == MEP_KEPT && drained.get().elapsed() >= whole / 12 {
                drained.set(Instant::now());
                handle.run_upkeep();
            }
        };
        println!("{}", run(&recorder, whole, upkeep));
    }
}

fn run(recorder: &(dyn metrics::Recorder + Sync), whole: Duration, tick: impl Fn()) -> String {
    let mut looks = vec![resident().to_string()];
    let start = Instant::now();
    let made: u64 = thread::scope(|scope| {
        let work = || with_local_recorder(recorder, || paced(recorder, start, whole));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for sixtieths in &LOOKS[1..] {
            while start.elapsed() < whole * *sixtieths / 60 {
                thread::sleep((whole / 60).min(MINUTE / 60));
                tick();
            }
            looks.push(resident().to_string());
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    looks.push((made as f64 / start.elapsed().as_secs_f64()).to_string());
    looks.join(" ")
}

/// Records until `whole` is over, a part of a million a second; says how often.
fn paced(recorder: &dyn metrics::Recorder, start: Instant, whole: Duration) -> u64 {
    let hits = recorder.register_counter(&Key::from_static_name("kept_total"), &METADATA);
    let took = recorder.register_histogram(&Key::from_static_name("kept_seconds"), &METADATA);
    let mut made = 0_u64;
    loop {
        let elapsed = start.elapsed();
        if elapsed >= whole {
            return made;
        }
        let due = (elapsed.as_secs_f64() * (A_SECOND / THREADS) as f64) as u64;
        while made < due {
            let value = black_box(((made * 7919) & 0xf_ffff) as f64 * 1e-6);
            let route = ROUTES[made as usize / 4 % ROUTES.len()];
            match made % 4 {
                0 => hits.increment(1),
                1 => took.record(value),
                2 => counter!("hits_total", "method" => "GET", "route" => route).increment(1),
                _ => histogram!("took_seconds", "route" => route).record(value),
            }
            made += 1;
        }
        thread::sleep(BEAT);
    }
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE
}
