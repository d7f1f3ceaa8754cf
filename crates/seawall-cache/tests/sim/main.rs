//! A seeded world of several nodes over one L2 and one bus, with crashes, delays, drops, partitions
//! and lost messages. One law: no read answers with what was there before the last acknowledged
//! invalidation that its node must know of.
//!
//! ```text
//! cargo test -p seawall-cache --all-features --test sim_cache
//! SEAWALL_SIM_SEEDS=1000000 cargo test ... --test sim_cache     # more
//! SEAWALL_SIM_SEED=4711 cargo test ... --test sim_cache         # one, told in full
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

mod actors;
mod history;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::world::World;

#[test]
fn no_read_is_older_than_the_last_acknowledged_invalidation() {
    if let Some(seed) = number("SEAWALL_SIM_SEED") {
        let story = World::run(seed, true);
        eprintln!("{}", story.told());
        assert!(story.violations().is_empty(), "seed {seed}");
        return;
    }
    let seeds = number("SEAWALL_SIM_SEEDS").unwrap_or(10_000);
    let next = AtomicU64::new(0);
    let totals = [const { AtomicU64::new(0) }; 4];
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let story = World::run(seed, false);
                    let violations = story.violations();
                    if !violations.is_empty() {
                        // The others stop too.
                        next.store(seeds, Ordering::Relaxed);
                        panic!("seed {seed}: {violations:#?}");
                    }
                    for (total, count) in totals.iter().zip(story.counts()) {
                        total.fetch_add(count, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let [reads, from_l1, invalidations, crashes] = totals.map(AtomicU64::into_inner);
    eprintln!(
        "{seeds} seeds: {reads} reads checked ({from_l1} from L1), {invalidations} invalidations, \
         {crashes} crashes"
    );
    // A world in which nothing happens proves nothing.
    assert!(reads > 20 * seeds && from_l1 > reads / 10 && invalidations > seeds);
    assert!(crashes > seeds / 10);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
