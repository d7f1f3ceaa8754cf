//! Many threads on the same keys.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use seawall_limit::{Limiter, Policy, Quota};
use tokio::time::Instant;

const THREADS: usize = 16;

#[test]
fn two_thousand_at_once_get_exactly_the_burst() {
    let quota = Quota::per(100, Duration::from_secs(3_600)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let now = Instant::now();
    let barrier = Barrier::new(THREADS);
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..2_000 / THREADS {
                    let allowed = limiter.check("hot", &set, now).is_allowed();
                    admitted.fetch_add(u64::from(allowed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
}

#[test]
fn real_clocks_of_many_threads_admit_no_more_than_the_law() {
    let quota = Quota::per(1_000, Duration::from_secs(1)).unwrap().with_burst(10).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let admitted = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let allowed = limiter.check("hot", &set, Instant::now()).is_allowed();
                    admitted.fetch_add(u64::from(allowed), Ordering::Relaxed);
                }
            });
        }
    });
    let bound = quota.max_admitted(start.elapsed());
    let admitted = admitted.into_inner();
    assert!((10..=bound).contains(&admitted), "{admitted} admitted, {bound} at most");
}

#[test]
fn charges_of_every_policy_add_up_to_the_admissions() {
    // Each of the three is the one that rejects for some of the keys.
    let quota = |limit| Quota::per(limit, Duration::from_secs(3_600)).unwrap();
    let limiter = Limiter::builder()
        .policy(Policy::new("short", quota(50)))
        .policy(Policy::new("long", quota(100)))
        .policy(Policy::new("total", quota(120)))
        .build()
        .unwrap();
    let sets = [&["short", "long", "total"][..], &["long", "total"], &["short", "total"]]
        .map(|names| limiter.set(names).unwrap());
    let singles = ["short", "long", "total"].map(|name| limiter.set(&[name]).unwrap());
    let now = Instant::now();
    let keys = 40_u64;
    let admitted: Vec<[AtomicU64; 3]> = (0..keys).map(|_| Default::default()).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, sets, admitted) = (&limiter, &sets, &admitted);
            scope.spawn(move || {
                for round in 0..6_000 {
                    let key = (round * 7 + thread as u64) % keys;
                    let which = (round / 3 + thread as u64) as usize % sets.len();
                    if limiter.check(key, &sets[which], now).is_allowed() {
                        admitted[key as usize][which].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    for (key, admitted) in (0..keys).zip(&admitted) {
        let [three, long, short] = admitted.each_ref().map(|count| count.load(Ordering::Relaxed));
        let charged = singles.each_ref().map(|single| {
            let decision = limiter.peek(key, single, now);
            u64::from(decision.limit() - decision.remaining())
        });
        assert_eq!(charged, [three + short, three + long, three + long + short], "key {key}");
        assert!(three + long + short > 0);
        assert!(!limiter.peek(key, &sets[0], now).is_allowed());
    }
}

#[test]
fn a_full_table_under_contention_admits_no_more_than_its_quotas() {
    let quota = Quota::per(10, Duration::from_secs(3_600)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).max_keys(200).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let now = Instant::now();
    let keys = 5_000_u64;
    let admitted: Vec<AtomicU64> = (0..keys).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (limiter, set, admitted) = (&limiter, &set, &admitted);
            scope.spawn(move || {
                for round in 0..keys {
                    let key = (round * 31 + thread * 997) % keys;
                    if limiter.check(key, set, now).is_allowed() {
                        admitted[key as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let counts: Vec<u64> = admitted.into_iter().map(AtomicU64::into_inner).collect();
    assert!(counts.iter().all(|count| *count <= 10));
    assert!(counts.iter().filter(|count| **count == 10).count() >= 200);
}
