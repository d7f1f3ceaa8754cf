//! What does one decision cost: without keys, with one to a million of them, on one thread and on
//! two; three quotas at once; and how long do the slowest take?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use foldhash::fast::RandomState;
use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use seawall_limit::{Direct, Limiter, Moment, Policy, PolicySet, Quota};
use tokio::time::Instant;

/// A thousand a second, and a burst that nothing here exhausts: the allow path is the hot one, and
/// a key stays in use for as long as it is spent faster than that.
const LIMIT: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
/// Decisions of one thread in a round of the case on slow ones.
const DECISIONS: usize = 200_000;

type Governor = governor::RateLimiter<u64, DashMapStateStore<u64, RandomState>, DefaultClock>;

/// One of ours, and its set.
struct Ours(Limiter, PolicySet);

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("limit_check");
    direct(&mut bench);
    for keys in [1, 10_000, 1_000_000] {
        for threads in [1, 2] {
            keyed(&mut bench, keys, threads);
        }
    }
    modes(&mut bench);
    slowest(&mut bench);
    bench.finish()
}

fn ours(names: &[&str], keys: u64, quota: Quota) -> Ours {
    let policies = names.iter().map(|name| Policy::new((*name).to_owned(), quota));
    let limiter = Limiter::builder().policies(policies).max_keys(keys as usize).build().unwrap();
    let set = limiter.set(names).unwrap();
    Ours(limiter, set)
}

fn smooth() -> Quota {
    Quota::per(LIMIT, SECOND).unwrap().with_burst(u32::MAX).unwrap()
}

fn governor_quota() -> governor::Quota {
    governor::Quota::per_second(NonZeroU32::new(LIMIT).unwrap()).allow_burst(NonZeroU32::MAX)
}

fn governor_keyed() -> Governor {
    Governor::new(
        governor_quota(),
        DashMapStateStore::with_hasher(RandomState::default()),
        DefaultClock::default(),
    )
}

/// The key of a turn: all of them, in an order that no prefetcher guesses.
fn key(turn: u64, keys: u64) -> u64 {
    ((u128::from(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(keys)) >> 64) as u64
}

fn direct(bench: &mut Bench) {
    let theirs = governor::RateLimiter::direct(governor_quota());
    let ours = Direct::new(smooth()).unwrap();
    let word = AtomicU64::new(0);
    let start = Instant::now();
    bench.case(
        "no key, 1 thread",
        vec![
            Subject::new("seawall-limit Direct", Role::Ours, |times| {
                for _ in 0..times {
                    let _ = black_box(ours.check(Moment::now()));
                }
            }),
            Subject::new("seawall-limit Direct, Instant::now()", Role::Ours, |times| {
                for _ in 0..times {
                    let _ = black_box(ours.check(Instant::now()));
                }
            }),
            Subject::new("clock read and compare-exchange", Role::Floor, |times| {
                for _ in 0..times {
                    let now = start.elapsed().as_nanos() as u64;
                    let seen = word.load(Ordering::Relaxed);
                    let _ = black_box(word.compare_exchange(
                        seen,
                        now,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    ));
                }
            }),
            Subject::new("clock read", Role::Floor, |times| {
                for _ in 0..times {
                    let _ = black_box(Instant::now());
                }
            }),
            Subject::new("governor direct", Role::Peer, |times| {
                for _ in 0..times {
                    let _ = black_box(theirs.check());
                }
            }),
        ],
    );
}

fn keyed(bench: &mut Bench, keys: u64, threads: u64) {
    let one = ours(&["a"], keys, smooth());
    let three = ours(&["a", "b", "c"], keys, smooth());
    let keyed = governor_keyed();
    bench.case(
        &format!("{keys} u64 keys, {threads} thread{}", if threads == 1 { "" } else { "s" }),
        vec![
            Subject::new("seawall-limit, 1 policy", Role::Ours, |times| {
                share(times, threads, |turn| {
                    let _ = black_box(one.0.check(key(turn, keys), &one.1, Moment::now()));
                });
            }),
            Subject::new("seawall-limit, 3 policies", Role::Ours, |times| {
                share(times, threads, |turn| {
                    let _ = black_box(three.0.check(key(turn, keys), &three.1, Moment::now()));
                });
            }),
            Subject::new("governor keyed, 1 quota", Role::Peer, |times| {
                share(times, threads, |turn| {
                    let _ = black_box(keyed.check_key(&(key(turn, keys))));
                });
            }),
        ],
    );
}

/// Runs turns on so many threads: nanoseconds an operation become those of all threads together.
fn share(times: u64, threads: u64, work: impl Fn(u64) + Sync) {
    if threads == 1 {
        return (0..times).for_each(work);
    }
    thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || {
                for turn in (thread..times).step_by(threads as usize) {
                    work(turn);
                }
            });
        }
    });
}

fn modes(bench: &mut Bench) {
    let limit = 1_000_000_000;
    let modes = [Quota::per, Quota::strict, Quota::window, Quota::fixed];
    let limiters = modes.map(|mode| ours(&["a"], 10_000, mode(limit, SECOND).unwrap()));
    let subject = |(name, Ours(limiter, set)): (&'static str, &'_ Ours)| {
        let (limiter, set) = (limiter.clone(), set.clone());
        Subject::new(name, Role::Ours, move |times| {
            for turn in 0..times {
                let _ = black_box(limiter.check(key(turn, 10_000), &set, Moment::now()));
            }
        })
    };
    let names = ["Smooth", "Strict", "Window", "Fixed"];
    bench.case(
        "modes, 10000 u64 keys, 1 thread",
        names.into_iter().zip(&limiters).map(subject).collect(),
    );
}

/// The slowest of many decisions, from the first key on: tables that grow do it here.
fn slowest(bench: &mut Bench) {
    let keys = 1_000_000;
    let mut samples = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for _ in 0..bench.rounds() {
        let one = ours(&["a"], keys, smooth());
        let theirs = governor_keyed();
        let of = [
            latencies(|turn| {
                let _ = black_box(one.0.check(key(turn, keys), &one.1, Moment::now()));
            }),
            latencies(|turn| {
                let _ = black_box(theirs.check_key(&(key(turn, keys))));
            }),
        ];
        for (samples, [p999, most]) in samples.iter_mut().zip(of) {
            samples[0].push(p999);
            samples[1].push(most);
        }
    }
    let case = "the slowest from an empty table on, 1000000 keys, 2 threads";
    for (kind, what) in ["p99.9", "maximum"].into_iter().enumerate() {
        for (role, name, samples) in [
            (Role::Ours, "seawall-limit", &samples[0]),
            (Role::Peer, "governor keyed", &samples[1]),
        ] {
            bench.add(Row::of(&format!("{what}: {case}"), name, role, "ns", samples[kind].clone()));
        }
    }
}

/// The 99.9th percentile and the maximum, over both threads.
fn latencies(work: impl Fn(u64) + Sync) -> [f64; 2] {
    let mut all: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || {
                    let timed = |turn: usize| {
                        let before = Instant::now();
                        work((2 * turn + thread) as u64);
                        before.elapsed().as_nanos() as f64
                    };
                    (0..DECISIONS).map(timed).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by(f64::total_cmp);
    [all[all.len() - 1 - all.len() / 1_000], all[all.len() - 1]]
}
