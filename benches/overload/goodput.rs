//! Half of the workers go, under four times the load that all of them could bear.
//!
//! All guards are measured at the same time, each with a service and clients of its own, so that
//! what the machine does to one it does to all. What is possible is what the service without a
//! guard answers, late or not: its workers never rest.

use std::sync::Arc;
use std::time::Duration;

use bench_harness::{Bench, Role, Row};
use seawall_limit::{Criticality, Overload, OverloadConfig, OverloadLayer, Priority};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceBuilder};
use tower_acc::{ConcurrencyLimitLayer, Gradient2, Vegas};

use crate::crowd::{Door, Notes, PATIENCE, Through, send};
use crate::service::{WORK, WORKERS, Workers};

/// Times what all workers can do.
const LOAD: f64 = 4.0;
const TEN_TIMES: f64 = 10.0;
const GUARDS: [(&str, Role); 6] = [
    ("OverloadLayer", Role::Ours),
    ("no guard", Role::Floor),
    ("tower load shed + concurrency limit 20", Role::Peer),
    ("tower load shed + concurrency limit 200", Role::Peer),
    ("tower load shed + tower-acc Gradient2", Role::Peer),
    ("tower load shed + tower-acc Vegas", Role::Peer),
];
const UNGUARDED: usize = 1;

pub(crate) fn measure(bench: &mut Bench) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (rounds, phase) = if bench.rounds() == 1 {
        (1, Duration::from_secs(1))
    } else {
        (3, Duration::from_secs(12))
    };
    let mut goodput = [const { Vec::new() }; 6];
    let mut critical = [const { Vec::new() }; 6];
    let mut slowest = [const { Vec::new() }; 6];
    for seed in 1..=rounds {
        let (possible, notes) = runtime.block_on(halved(phase, seed));
        for (guard, notes) in notes.iter().enumerate() {
            goodput[guard].push(100.0 * notes.in_time() as f64 / possible as f64);
            critical[guard].push(100.0 * notes.critical());
            slowest[guard].push(notes.p99() * 1e3);
        }
    }
    let cases = [
        (
            "half of the workers gone, 4x load: answers in time over those possible",
            "ratio",
            goodput,
        ),
        ("the same: share of the critical requests answered in time", "%", critical),
        ("the same: p99 of answers", "ms", slowest),
    ];
    for (case, unit, values) in cases {
        for ((name, role), values) in GUARDS.into_iter().zip(values) {
            bench.add(Row::of(case, name, role, unit, values));
        }
    }
    let (mut medians, mut slowest) = (Vec::new(), Vec::new());
    for seed in 1..=rounds {
        let (median, p99) = runtime.block_on(refusals(phase / 5, seed));
        medians.push(median);
        slowest.push(p99);
    }
    let case = "a 503 at 10x load, from the call to the answer, clock reads included";
    bench.add(Row::of(case, "OverloadLayer, median", Role::Ours, "ns", medians));
    bench.add(Row::of(case, "OverloadLayer, p99", Role::Ours, "ns", slowest));
    Ok(())
}

/// While half of the workers were gone: how much was done where they never rest, and what was seen
/// of each guard.
async fn halved(phase: Duration, seed: u64) -> (u64, Vec<Arc<Notes>>) {
    let (hire, at_work) = watch::channel(WORKERS);
    let mut crowds = JoinSet::new();
    let (mut seen, mut all) = (Vec::new(), Vec::new());
    for guard in 0..GUARDS.len() {
        let (before, during) = (Arc::<Notes>::default(), Arc::<Notes>::default());
        seen.push(Arc::clone(&during));
        let workers = Workers::start(&at_work, seed);
        let phases = vec![(phase, before), (phase, during)];
        crowds.spawn(send(door(guard, &workers), LOAD * capacity(), phases, seed));
        all.push(workers);
    }
    tokio::time::sleep(phase).await;
    hire.send_replace(WORKERS / 2);
    let before = all[UNGUARDED].done();
    while crowds.join_next().await.is_some() {}
    let possible = all[UNGUARDED].done() - before;
    // For those who came last.
    tokio::time::sleep(PATIENCE).await;
    (possible, seen)
}

/// What it took our guard to turn requests away.
async fn refusals(phase: Duration, seed: u64) -> (f64, f64) {
    let (_hire, at_work) = watch::channel(WORKERS);
    let notes = Arc::<Notes>::default();
    let door = door(0, &Workers::start(&at_work, seed));
    let phases = vec![(phase, Arc::default()), (phase, Arc::clone(&notes))];
    send(door, TEN_TIMES * capacity(), phases, seed).await;
    notes.refusals()
}

/// Requests a second that all workers can do.
fn capacity() -> f64 {
    WORKERS as f64 / WORK.as_secs_f64()
}

fn door(guard: usize, workers: &Workers) -> Box<dyn Door> {
    let service = workers.service();
    let shed = ServiceBuilder::new().load_shed();
    match guard {
        0 => Box::new(Through(ours().layer(service))),
        1 => Box::new(Through(service)),
        2 => Box::new(Through(shed.concurrency_limit(WORKERS).service(service))),
        3 => Box::new(Through(shed.concurrency_limit(10 * WORKERS).service(service))),
        4 => {
            let limit = ConcurrencyLimitLayer::new(Gradient2::default());
            Box::new(Through(shed.layer(limit).service(service)))
        }
        _ => {
            let limit = ConcurrencyLimitLayer::new(Vegas::default());
            Box::new(Through(shed.layer(limit).service(service)))
        }
    }
}

/// As it comes, save that it is told who asks.
fn ours() -> OverloadLayer {
    let overload = Overload::new(&OverloadConfig::default()).unwrap();
    OverloadLayer::new(overload).classify(|head| {
        let known = head.extensions.get::<(Criticality, u64)>();
        known.map_or_else(Priority::default, |(class, user)| Priority::new(*class).user(user))
    })
}
