//! What does one decision cost: one quota, and three at once?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use foldhash::fast::RandomState;
use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use seawall_limit::{Limiter, Policy, PolicySet, Quota};
use tokio::time::Instant;

/// High enough that nothing is refused: the allow path is the hot one.
const LIMIT: u32 = 1_000_000_000;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("limit_check");
    for keys in [1_u64, 10_000] {
        case(&mut bench, keys);
    }
    bench.finish()
}

fn case(bench: &mut Bench, keys: u64) {
    let second = Duration::from_secs(1);
    let policy = |name: &str| Policy::new(name.to_owned(), Quota::per(LIMIT, second).unwrap());
    let one = Limiter::builder().policy(policy("a")).build().unwrap();
    let three = Limiter::builder()
        .policy(policy("a"))
        .policy(policy("b"))
        .policy(policy("c"))
        .build()
        .unwrap();
    let set: PolicySet = one.set(&["a"]).unwrap();
    let all: PolicySet = three.set(&["a", "b", "c"]).unwrap();
    let quota = governor::Quota::per_second(NonZeroU32::new(LIMIT).unwrap());
    let keyed = governor::RateLimiter::<u64, _, _>::new(
        quota,
        DashMapStateStore::<u64, RandomState>::with_hasher(RandomState::default()),
        DefaultClock::default(),
    );
    let direct = governor::RateLimiter::direct(quota);
    let word = AtomicU64::new(0);
    let start = Instant::now();

    bench.case(
        &format!("check, {keys} u64 keys, 1 thread"),
        vec![
            Subject::new("seawall-limit, 1 policy", Role::Ours, |times| {
                for turn in 0..times {
                    let _ = black_box(one.check(turn % keys, &set, Instant::now()));
                }
            }),
            Subject::new("seawall-limit, 3 policies", Role::Ours, |times| {
                for turn in 0..times {
                    let _ = black_box(three.check(turn % keys, &all, Instant::now()));
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
            Subject::new("governor direct", Role::Peer, |times| {
                for _ in 0..times {
                    let _ = black_box(direct.check());
                }
            }),
            Subject::new("governor keyed, 1 quota", Role::Peer, |times| {
                for turn in 0..times {
                    let _ = black_box(keyed.check_key(&(turn % keys)));
                }
            }),
        ],
    );
}
