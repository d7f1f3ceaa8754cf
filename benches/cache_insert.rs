//! What does it cost an engine of L1 to take an entry, beside bare moka and quick_cache?
//!
//! The engines without the cache around them; a write of the whole cache is the last case.
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::cell::Cell;
use std::sync::Arc;

use ahash::RandomState;
use bench_harness::{Bench, Role, Subject};
use seawall_cache::internals::BareEngine;
use seawall_cache::{Cache, EngineKind};

type Value = [u8; 256];
type Quick = quick_cache::sync::Cache<u64, Arc<Value>, quick_cache::UnitWeighter, RandomState>;

const CAPACITY: u64 = 100_000;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut bench = Bench::new("cache_insert");
    inserts(&mut bench, "insert of a new key, full: one goes for each", u64::MAX);
    inserts(&mut bench, "insert over an entry of the key, 80k keys", 80_000);
    let cache: Cache<u64, Value> = Cache::local("insert").capacity(CAPACITY).build().unwrap();
    let moka: moka::future::Cache<u64, Arc<Value>> = moka::future::Cache::new(CAPACITY);
    let next = Cell::new(0);
    bench.case(
        "write of a new key through the whole cache, full",
        vec![
            Subject::new("seawall-cache set", Role::Ours, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        let _ = cache.set(&next.replace(next.get() + 1), VALUE).await;
                    }
                });
            }),
            Subject::new("moka::future insert", Role::Floor, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        moka.insert(next.replace(next.get() + 1), Arc::new(VALUE)).await;
                    }
                });
            }),
        ],
    );
    bench.finish()
}

fn inserts(bench: &mut Bench, case: &str, keys: u64) {
    let ours: BareEngine<u64, Arc<Value>> = BareEngine::new(EngineKind::Moka, CAPACITY);
    let ours_quick: BareEngine<u64, Arc<Value>> = BareEngine::new(EngineKind::Quick, CAPACITY);
    let moka: moka::sync::Cache<u64, Arc<Value>, RandomState> = moka::sync::Cache::builder()
        .max_capacity(CAPACITY)
        .build_with_hasher(RandomState::default());
    let quick: Quick = quick_cache::sync::Cache::with(
        CAPACITY as usize,
        CAPACITY,
        quick_cache::UnitWeighter,
        RandomState::default(),
        quick_cache::sync::DefaultLifecycle::default(),
    );
    let next = Cell::new(0_u64);
    let each = |times, insert: &dyn Fn(u64, Arc<Value>)| {
        for _ in 0..times {
            insert(next.replace(next.get() + 1) % keys, Arc::new(VALUE));
        }
    };
    // Full before anything is measured.
    each(CAPACITY, &|key, value| ours.insert(key, value));
    each(CAPACITY, &|key, value| ours_quick.insert(key, value));
    each(CAPACITY, &|key, value| moka.insert(key, value));
    each(CAPACITY, &|key, value| quick.insert(key, value));
    bench.case(
        case,
        vec![
            Subject::new("seawall-cache's engine", Role::Ours, |times| {
                each(times, &|key, value| ours.insert(key, value));
            }),
            Subject::new("the same, quick", Role::Ours, |times| {
                each(times, &|key, value| ours_quick.insert(key, value));
            }),
            Subject::new("moka::sync", Role::Floor, |times| {
                each(times, &|key, value| moka.insert(key, value));
            }),
            Subject::new("quick_cache", Role::Floor, |times| {
                each(times, &|key, value| quick.insert(key, value));
            }),
        ],
    );
}

const VALUE: Value = [7; 256];
