//! What does one decision cost: without keys, with one to a million of them, on one thread and on
//! two; three quotas at once; how long do the slowest take, and how long while a layer is reloaded?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use foldhash::fast::RandomState;
use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use http::{Request, Response};
use seawall_limit::{
    Direct, LayerConfig, LimitLayer, Limiter, Moment, PeerAddr, Policy, PolicyConfig, PolicySet,
    Quota, RuleConfig,
};
use tokio::time::Instant;
use tower::{Layer as _, Service as _, service_fn};

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
    reloads(&mut bench);
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

/// What requests of a hundred thousand clients take in a layer, alone and while another thread
/// gives it one configuration after the other, which brings all clients over each time.
fn reloads(bench: &mut Bench) {
    let config = |limit: u32| LayerConfig {
        max_keys: CLIENTS as usize,
        policies: vec![PolicyConfig::from(&Policy::new(
            "all",
            Quota::per(limit, Duration::from_secs(3_600)).unwrap(),
        ))],
        rules: vec![RuleConfig { policies: vec!["all".into()], ..RuleConfig::default() }],
        ..LayerConfig::default()
    };
    let mut samples = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for _ in 0..bench.rounds() {
        let layer = config(1_000_000).build().unwrap();
        for client in 0..CLIENTS {
            request(&layer, client);
        }
        for (reloading, samples) in [false, true].into_iter().zip(&mut samples) {
            let done = AtomicBool::new(false);
            let mut times: Vec<f64> = thread::scope(|scope| {
                if reloading {
                    let (layer, done) = (&layer, &done);
                    scope.spawn(move || {
                        for turn in 0.. {
                            if done.load(Ordering::Relaxed) {
                                return;
                            }
                            layer.reload(&config(1_000_000 + turn % 2), |it| it).unwrap();
                        }
                    });
                }
                let timed = |turn| {
                    let before = Instant::now();
                    request(&layer, key(turn, CLIENTS));
                    before.elapsed().as_nanos() as f64
                };
                let times = (0..DECISIONS as u64).map(timed).collect();
                done.store(true, Ordering::Relaxed);
                times
            });
            times.sort_by(f64::total_cmp);
            samples[0].push(times[times.len() - 1 - times.len() / 100]);
            samples[1].push(times[times.len() - 1]);
        }
    }
    for (kind, what) in ["p99", "maximum"].into_iter().enumerate() {
        for (role, name, samples) in [
            (Role::Ours, "while it is reloaded", &samples[1]),
            (Role::Floor, "not reloaded", &samples[0]),
        ] {
            let case = format!("{what}: a layer, {CLIENTS} clients, 1 thread");
            bench.add(Row::of(&case, name, role, "ns", samples[kind].clone()));
        }
    }
}

/// One request through the layer.
fn request(layer: &LimitLayer, client: u64) {
    let answer =
        |_| std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Empty::new())));
    let mut request = Request::new(Empty::new());
    let address = IpAddr::V4(Ipv4Addr::from_bits(client as u32));
    request.extensions_mut().insert(PeerAddr((address, 1).into()));
    let mut call = std::pin::pin!(layer.layer(service_fn(answer)).call(request));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = black_box(call.as_mut().poll(&mut context));
}

type Empty = http_body_util::Empty<bytes::Bytes>;

const CLIENTS: u64 = 100_000;

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
