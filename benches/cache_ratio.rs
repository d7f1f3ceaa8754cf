//! How many reads does L1 answer, beside bare moka and quick_cache of the same capacity?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bench_harness::{Bench, Role, Row};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use seawall_cache::{Cache, EngineKind};

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut bench = Bench::new("cache_ratio");
    // One pass over a trace is the whole of it; only chance differs.
    let rounds = bench.rounds().min(3);
    for (name, keys) in traces()? {
        let distinct = keys.iter().collect::<HashSet<_>>().len() as u64;
        for part in [50, 10, 2] {
            let capacity = distinct / part;
            let case = format!("{name}, {} reads, room for 1/{part} of the keys", keys.len());
            type Run<'a> = (&'a str, Role, Box<dyn Fn() -> f64 + 'a>);
            let ours = |engine| -> Box<dyn Fn() -> f64 + '_> {
                let (runtime, keys) = (&runtime, &keys);
                Box::new(move || runtime.block_on(through(engine, capacity, keys)))
            };
            let runs: [Run<'_>; 4] = [
                ("seawall-cache", Role::Ours, ours(EngineKind::Moka)),
                ("seawall-cache, quick", Role::Ours, ours(EngineKind::Quick)),
                ("moka::sync", Role::Floor, Box::new(|| moka(capacity, &keys))),
                ("quick_cache", Role::Floor, Box::new(|| quick(capacity, &keys))),
            ];
            for (subject, role, run) in runs {
                let ratios = (0..rounds).map(|_| run()).collect();
                bench.add(Row::of(&case, subject, role, "%", ratios));
            }
        }
    }
    bench.finish()
}

/// Reads each key, and inserts it where it was not there. Returns the percentage that was.
async fn through(engine: EngineKind, capacity: u64, keys: &[u32]) -> f64 {
    let cache: Cache<u64, ()> =
        Cache::local("ratio").engine(engine).capacity(capacity).build().unwrap();
    let mut hits = 0;
    for key in keys {
        let key = u64::from(*key);
        if cache.get(&key).await.unwrap().is_some() {
            hits += 1;
        } else {
            let _ = cache.set(&key, ()).await;
        }
    }
    percent(hits, keys)
}

fn moka(capacity: u64, keys: &[u32]) -> f64 {
    let cache = moka::sync::Cache::new(capacity);
    let hit = |key: &&u32| {
        cache.get(*key).is_some() || {
            cache.insert(**key, ());
            false
        }
    };
    percent(keys.iter().filter(hit).count(), keys)
}

fn quick(capacity: u64, keys: &[u32]) -> f64 {
    let cache = quick_cache::sync::Cache::new(capacity as usize);
    let hit = |key: &&u32| {
        cache.get(*key).is_some() || {
            cache.insert(**key, ());
            false
        }
    };
    percent(keys.iter().filter(hit).count(), keys)
}

fn percent(hits: usize, keys: &[u32]) -> f64 {
    hits as f64 / keys.len() as f64 * 100.0
}

/// Zipf, the trace that comes with the benches, and those in `SEAWALL_TRACES`.
fn traces() -> std::io::Result<Vec<(String, Vec<u32>)>> {
    let mut random = StdRng::seed_from_u64(1);
    let zipf = Zipf::new(100_000.0, 0.99).unwrap();
    let draws = (0..1_000_000).map(|_| zipf.sample(&mut random) as u32).collect();
    let mut traces = vec![("Zipf 0.99 over 100k".to_owned(), draws)];
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
    let more = std::env::var_os("SEAWALL_TRACES").map(PathBuf::from);
    for folder in std::iter::once(own).chain(more) {
        let mut paths: Vec<_> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "u32"))
            .collect();
        paths.sort();
        for path in paths {
            traces.push(trace(&path)?);
        }
    }
    traces.dedup_by(|a, b| a.0 == b.0);
    Ok(traces)
}

fn trace(path: &Path) -> std::io::Result<(String, Vec<u32>)> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = std::fs::read(path)?;
    let keys = bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    Ok((name, keys))
}
