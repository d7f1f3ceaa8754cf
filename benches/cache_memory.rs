//! How much memory does an entry of L1 take, beside key and value?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]
#![expect(clippy::print_stdout, reason = "how a process that is measured says what it found")]

use std::process::Command;
use std::sync::Arc;

use bench_harness::{Bench, Role, Row};
use seawall_cache::{Cache, CacheKey, EngineKind};

type Value = [u8; 256];

const ENTRIES: u64 = 200_000;

const SUBJECTS: [(&str, Role); 4] = [
    ("seawall-cache", Role::Ours),
    ("seawall-cache, quick", Role::Ours),
    ("moka::sync", Role::Floor),
    ("quick_cache", Role::Floor),
];

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    if let (Some(CHILD), Some(kind), Some(subject)) =
        (arguments.next().as_deref(), arguments.next(), arguments.next())
    {
        return child(&kind, &subject);
    }
    let mut bench = Bench::new("cache_memory");
    for kind in ["u64", "String"] {
        let case = format!("bytes an entry beside key and value, {kind} keys, 200k entries");
        let floor = resident(kind, "keys and values")?;
        for (subject, role) in SUBJECTS {
            let rounds = (0..bench.rounds().min(3)).map(|_| resident(kind, subject));
            let rounds = rounds.map(|bytes| Ok((bytes? - floor) / ENTRIES as f64));
            let rounds = rounds.collect::<std::io::Result<Vec<_>>>()?;
            bench.add(Row::of(&case, subject, role, "B", rounds));
        }
    }
    bench.finish()
}

/// How much the resident memory of a fresh process grows when `subject` is filled: its share of
/// the allocator's overhead included.
fn resident(kind: &str, subject: &str) -> std::io::Result<f64> {
    let output = Command::new(std::env::current_exe()?).args([CHILD, kind, subject]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(std::io::Error::other)
}

fn child(kind: &str, subject: &str) -> std::io::Result<()> {
    match kind {
        "u64" => fill(subject, |key| key),
        _ => fill(subject, |key| format!("user:{key:016}")),
    }
}

fn fill<K>(subject: &str, key: impl Fn(u64) -> K) -> std::io::Result<()>
where
    K: CacheKey + Clone + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let before = resident_now()?;
    let keep: Box<dyn std::any::Any> = match subject {
        "keys and values" => {
            let mut all = Vec::with_capacity(ENTRIES as usize);
            all.extend((0..ENTRIES).map(|number| (key(number), Arc::new(VALUE))));
            Box::new(all)
        }
        "moka::sync" => {
            let cache = moka::sync::Cache::new(2 * ENTRIES);
            (0..ENTRIES).for_each(|number| cache.insert(key(number), Arc::new(VALUE)));
            cache.run_pending_tasks();
            Box::new(cache)
        }
        "quick_cache" => {
            let cache = quick_cache::sync::Cache::new(2 * ENTRIES as usize);
            (0..ENTRIES).for_each(|number| cache.insert(key(number), Arc::new(VALUE)));
            Box::new(cache)
        }
        ours => {
            let engine = if ours.ends_with("quick") { EngineKind::Quick } else { EngineKind::Moka };
            let cache: Cache<K, Value> =
                Cache::local("memory").engine(engine).capacity(2 * ENTRIES).build().unwrap();
            for number in 0..ENTRIES {
                let _ = runtime.block_on(cache.set(&key(number), VALUE));
            }
            Box::new(cache)
        }
    };
    println!("{}", resident_now()? - before);
    drop(keep);
    Ok(())
}

fn resident_now() -> std::io::Result<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or(0) as f64 * 4_096.0)
}

const VALUE: Value = [7; 256];

/// The first argument of the process that is filled.
const CHILD: &str = "--fill";
