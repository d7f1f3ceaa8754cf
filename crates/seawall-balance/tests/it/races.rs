//! Many threads pick, finish and change the set at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use seawall_balance::{Member, Outcome, PickOptions, Policy};
use tokio::time::Instant;

use crate::support::{balancer, config};

#[test]
fn picks_and_updates_at_once_lose_no_count_and_end_every_request() {
    for policy in Policy::ALL {
        let mut config = config(policy);
        config.outlier.max_ejected = 0.5;
        config.outlier.interval = Duration::from_millis(10);
        config.outlier.base_ejection = Duration::from_millis(1);
        config.outlier.max_ejection = Duration::from_millis(5);
        config.slow_start.window = Duration::from_millis(2);
        config.maglev_slots = 251;
        let begun = Instant::now();
        let balancer = balancer(config, 8, begun);
        let (done, picked) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let (balancer, done, picked) = (&balancer, &done, &picked);
            let pickers: Vec<_> = (0..4)
                .map(|seed| {
                    scope.spawn(move || {
                        let mut chance = StdRng::seed_from_u64(seed);
                        let mut held = Vec::new();
                        for _ in 0..3_000 {
                            let now = Instant::now();
                            let options = PickOptions::new().key_hash(chance.random());
                            // At every moment some node takes work.
                            held.push(balancer.pick(&options, now).unwrap());
                            picked.fetch_add(1, Ordering::Relaxed);
                            if held.len() > 16 {
                                let pick = held.swap_remove(chance.random_range(0..held.len()));
                                match chance.random_range(0..4) {
                                    0 => pick.finish(Outcome::Failure, now),
                                    1 => pick.cancel(now),
                                    2 => drop(pick),
                                    _ => pick.finish(Outcome::Success, now),
                                }
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(move || {
                let mut chance = StdRng::seed_from_u64(99);
                while !done.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    let some = chance.random_range(1..12_usize);
                    match chance.random_range(0..4) {
                        0 => balancer.update(0..some, now).unwrap(),
                        1 => balancer.insert(Member::new(some).weight(5), now).unwrap(),
                        2 if some > 0 => balancer.remove(&some, now),
                        _ => drop(balancer.status(now)),
                    }
                }
            });
            for picker in pickers {
                picker.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let status = balancer.status(Instant::now());
        assert_eq!(picked.into_inner(), 12_000);
        assert!(status.nodes.iter().all(|node| node.outstanding == 0), "{policy:?} {status:?}");
        assert_eq!(status.leaving, [], "{policy:?}");
    }
}

#[test]
fn threads_do_not_overshoot_a_node_s_limit_by_more_than_their_number() {
    const THREADS: usize = 8;
    let now = Instant::now();
    let mut config = config(Policy::LeastOutstanding);
    config.max_outstanding = 50;
    let balancer = balancer(config, 1, now);
    let held: Vec<_> = thread::scope(|scope| {
        let pickers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| (0..100).filter_map(|_| balancer.next(now).ok()).collect::<Vec<_>>())
            })
            .collect();
        pickers.into_iter().flat_map(|picker| picker.join().unwrap()).collect()
    });
    assert!((50..50 + THREADS).contains(&held.len()), "{}", held.len());
}
