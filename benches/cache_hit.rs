//! What does a hit in memory cost, beside the bare library underneath?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::sync::Arc;

use bench_harness::{Bench, Role, Subject};
use foldhash::fast::RandomState;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use seawall_cache::{Cache, Loaded};

const KEYS: u64 = 100_000;
const DRAWS: usize = 1 << 16;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut random = StdRng::seed_from_u64(1);
    let zipf = Zipf::new(KEYS as f64, 0.99).unwrap();
    let keys: Vec<u64> = (0..DRAWS).map(|_| zipf.sample(&mut random) as u64).collect();

    let ours: Cache<u64, u64> = Cache::builder("bench").capacity(2 * KEYS).build().unwrap();
    let moka: moka::sync::Cache<u64, Arc<u64>, RandomState> = moka::sync::Cache::builder()
        .max_capacity(2 * KEYS)
        .build_with_hasher(RandomState::default());
    // The same hasher for all.
    let quick = quick_cache::sync::Cache::<u64, Arc<u64>, _, RandomState>::with(
        2 * KEYS as usize,
        2 * KEYS,
        quick_cache::UnitWeighter,
        RandomState::default(),
        quick_cache::sync::DefaultLifecycle::default(),
    );
    for key in 1..=KEYS {
        runtime.block_on(ours.set(&key, key));
        moka.insert(key, Arc::new(key));
        quick.insert(key, Arc::new(key));
    }

    let mut bench = Bench::new("cache_hit");
    bench.case(
        "L1 hit, u64 keys, Zipf 0.99 over 100k, 1 thread",
        vec![
            Subject::new("seawall-cache get", Role::Ours, |times| {
                runtime.block_on(async {
                    for turn in 0..times as usize {
                        black_box(ours.get(&keys[turn % DRAWS]).await.unwrap());
                    }
                });
            }),
            Subject::new("seawall-cache get_or_load", Role::Ours, |times| {
                runtime.block_on(async {
                    for turn in 0..times as usize {
                        let key = keys[turn % DRAWS];
                        let got = ours
                            .get_or_load(&key, move |_load| async move {
                                Ok::<_, std::io::Error>(Loaded::new(key))
                            })
                            .await;
                        black_box(got.unwrap());
                    }
                });
            }),
            Subject::new("moka::sync get", Role::Floor, |times| {
                for turn in 0..times as usize {
                    black_box(moka.get(&keys[turn % DRAWS]));
                }
            }),
            Subject::new("quick_cache get", Role::Peer, |times| {
                for turn in 0..times as usize {
                    black_box(quick.get(&keys[turn % DRAWS]));
                }
            }),
        ],
    );
    drop(guard);
    bench.finish()
}
