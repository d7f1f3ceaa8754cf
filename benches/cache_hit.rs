//! What does a hit in memory cost, beside bare moka and quick_cache?
//!
//! The engines of L1 stand there three times: in the whole cache, where a hit also looks at the
//! clock; in one that reads the exact time, which lets no miss of memory overlap with the next
//! hit's; and without the cache around them. (Built with Tokio's `test-util`, the first would be the second.)
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hash::Hash;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ahash::RandomState;
use bench_harness::{Bench, Role, Subject};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, Zipf};
use seawall_cache::internals::BareEngine;
use seawall_cache::{Cache, CacheKey, EngineKind, Loaded};
use tokio::runtime::{Handle, Runtime};

type Value = [u8; 256];
type Moka<K> = moka::sync::Cache<K, Arc<Value>, RandomState>;
type Quick<K> = quick_cache::sync::Cache<K, Arc<Value>, quick_cache::UnitWeighter, RandomState>;

const KEYS: u64 = 100_000;
const DRAWS: usize = 1 << 20;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let mut bench = Bench::new("cache_hit").with_round(Duration::from_millis(400));
    hits(&mut bench, &runtime, "u64", |key| key);
    hits(&mut bench, &runtime, "String", |key| format!("user:{key:016}"));
    ways_to_read(&mut bench, &runtime);
    bench.finish()
}

/// Draws of all keys, Zipf 0.99; which of them are popular is random.
fn draws<K>(key: impl Fn(u64) -> K) -> Vec<K> {
    let mut random = StdRng::seed_from_u64(1);
    let mut ranks: Vec<u64> = (0..KEYS).collect();
    ranks.shuffle(&mut random);
    let zipf = Zipf::new(KEYS as f64, 0.99).unwrap();
    (0..DRAWS).map(|_| key(ranks[zipf.sample(&mut random) as usize - 1])).collect()
}

fn hits<K>(bench: &mut Bench, runtime: &Runtime, kind: &str, key: impl Fn(u64) -> K)
where
    K: CacheKey + Hash + Eq + Clone + Send + Sync + 'static,
{
    let keys = draws(&key);
    let ours = cache(EngineKind::Moka);
    let ours_quick = cache(EngineKind::Quick);
    let exact = [EngineKind::Moka, EngineKind::Quick].map(exact);
    let engine: BareEngine<K, Arc<Value>> = BareEngine::new(EngineKind::Moka, 2 * KEYS);
    let engine_quick: BareEngine<K, Arc<Value>> = BareEngine::new(EngineKind::Quick, 2 * KEYS);
    let moka: Moka<K> = moka::sync::Cache::builder()
        .max_capacity(2 * KEYS)
        .build_with_hasher(RandomState::default());
    let quick: Quick<K> = quick_cache::sync::Cache::with(
        2 * KEYS as usize,
        2 * KEYS,
        quick_cache::UnitWeighter,
        RandomState::default(),
        quick_cache::sync::DefaultLifecycle::default(),
    );
    let papaya: papaya::HashMap<K, Arc<Value>, RandomState> = papaya::HashMap::default();
    // One after the other: entries of one cache lie together in memory.
    for cache in [&ours, &ours_quick, &exact[0], &exact[1]] {
        for number in 0..KEYS {
            let _ = runtime.block_on(cache.set(&key(number), VALUE));
        }
    }
    for engine in [&engine, &engine_quick] {
        for number in 0..KEYS {
            engine.insert(key(number), Arc::new(VALUE));
        }
    }
    for number in 0..KEYS {
        moka.insert(key(number), Arc::new(VALUE));
    }
    for number in 0..KEYS {
        quick.insert(key(number), Arc::new(VALUE));
    }
    for number in 0..KEYS {
        papaya.pin().insert(key(number), Arc::new(VALUE));
    }
    let handle = runtime.handle();
    for threads in [1, 2] {
        let case = format!("L1 hit, {kind} keys, Zipf 0.99 over 100k, {threads} thread(s)");
        let get = |cache: &Cache<K, Value>, times| {
            on(threads, &keys, |keys| {
                handle.block_on(async {
                    for key in keys.iter().cycle().take(times) {
                        black_box(cache.get(key).await.unwrap());
                    }
                });
            });
        };
        let each = |times: u64, look: &(dyn Fn(&K) + Sync)| {
            on(threads, &keys, |keys| keys.iter().cycle().take(times as usize).for_each(look));
        };
        bench.case(
            &case,
            vec![
                Subject::new("seawall-cache", Role::Ours, |times| get(&ours, times as usize)),
                Subject::new("seawall-cache, quick", Role::Ours, |times| {
                    get(&ours_quick, times as usize);
                }),
                Subject::new("seawall-cache, exact clock", Role::Ours, |times| {
                    get(&exact[0], times as usize);
                }),
                Subject::new("the same, quick", Role::Ours, |times| {
                    get(&exact[1], times as usize);
                }),
                Subject::new("its engine alone", Role::Ours, |times| {
                    each(times, &|key| drop(black_box(engine.get(key))));
                }),
                Subject::new("its engine alone, quick", Role::Ours, |times| {
                    each(times, &|key| drop(black_box(engine_quick.get(key))));
                }),
                Subject::new("moka::sync", Role::Floor, |times| {
                    each(times, &|key| drop(black_box(moka.get(key))));
                }),
                Subject::new("quick_cache", Role::Floor, |times| {
                    each(times, &|key| drop(black_box(quick.get(key))));
                }),
                Subject::new("papaya, nothing is evicted", Role::Peer, |times| {
                    each(times, &|key| drop(black_box(papaya.pin().get(key).cloned())));
                }),
            ],
        );
    }
}

/// Runs `work` on each of `threads` threads, from different keys on.
fn on<K: Sync>(threads: usize, keys: &[K], work: impl Fn(&[K]) + Sync) {
    if threads == 1 {
        return work(keys);
    }
    thread::scope(|scope| {
        for number in 0..threads {
            let (work, keys) = (&work, &keys[number * 7_919..]);
            scope.spawn(move || work(keys));
        }
    });
}

/// The same hit, asked for in several ways.
fn ways_to_read(bench: &mut Bench, runtime: &Runtime) {
    let keys = draws(|key| key);
    let [plain, tagged] = [(); 2].map(|()| cache(EngineKind::Moka));
    for key in 0..KEYS {
        let _ = runtime.block_on(plain.set(&key, VALUE));
    }
    for key in 0..KEYS {
        let value = Loaded::new(VALUE).tags(["home", "list", "shop", "user"]);
        let _ = runtime.block_on(tagged.set(&key, value));
    }
    let handle = runtime.handle();
    bench.case(
        "ways to read a hit, u64 keys, 1 thread",
        vec![
            Subject::new("get", Role::Ours, |times| get(handle, &plain, &keys, times)),
            Subject::new("get_or_load", Role::Ours, |times| {
                handle.block_on(async {
                    for key in keys.iter().cycle().take(times as usize) {
                        let load = |_load| async { Ok::<_, std::io::Error>(Loaded::new(VALUE)) };
                        black_box(plain.get_or_load(key, load).await.unwrap());
                    }
                });
            }),
            Subject::new("get, entry with 4 tags", Role::Ours, |times| {
                get(handle, &tagged, &keys, times);
            }),
            Subject::new("peek", Role::Ours, |times| {
                for key in keys.iter().cycle().take(times as usize) {
                    black_box(plain.peek(key));
                }
            }),
            Subject::new("tokio::time::Instant::now", Role::Floor, |times| {
                for _ in 0..times {
                    black_box(tokio::time::Instant::now());
                }
            }),
        ],
    );
}

fn get(handle: &Handle, cache: &Cache<u64, Value>, keys: &[u64], times: u64) {
    handle.block_on(async {
        for key in keys.iter().cycle().take(times as usize) {
            black_box(cache.get(key).await.unwrap());
        }
    });
}

fn cache<K>(engine: EngineKind) -> Cache<K, Value>
where
    K: CacheKey + Hash + Eq + Clone + Send + Sync + 'static,
{
    Cache::local("bench").engine(engine).capacity(2 * KEYS).build().unwrap()
}

/// One whose hits read the exact time.
fn exact<K>(engine: EngineKind) -> Cache<K, Value>
where
    K: CacheKey + Hash + Eq + Clone + Send + Sync + 'static,
{
    Cache::local("bench").engine(engine).exact_clock().capacity(2 * KEYS).build().unwrap()
}

const VALUE: Value = [7; 256];
