//! How many operations a second the in-memory layer does on this machine:
//! `cargo run --release --example cache_bench -- --ops 2000000`.
//!
//! A quick look for a person; `make bench` is the comparison.
#![expect(clippy::print_stdout, reason = "the table is the point")]

use std::hint::black_box;

use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use seawall_cache::{Cache, Loaded};
use tokio::time::Instant;

/// Measures hits, read-through hits, writes and removals of the in-memory layer.
#[derive(Debug, Parser)]
struct Args {
    /// Operations of each kind
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    ops: u64,

    /// Distinct keys, drawn by Zipf 0.99
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    keys: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Args { ops, keys } = Args::parse();
    let cache: Cache<u64, u64> = Cache::builder("bench").capacity(2 * keys).build()?;
    let mut random = StdRng::seed_from_u64(1);
    let zipf = Zipf::new(keys as f64, 0.99)?;
    let draws: Vec<u64> = (0..65_536).map(|_| zipf.sample(&mut random) as u64).collect();
    let key = |turn: u64| draws[(turn % 65_536) as usize];

    println!("{ops} operations of each kind over {keys} keys, one thread\n");
    println!("{:<22}{:>12}{:>16}", "operation", "ns each", "a second");

    let start = Instant::now();
    for turn in 0..ops {
        let _ = cache.set(&(1 + turn % keys), turn).await;
    }
    row("set", ops, start);
    for key in 1..=keys {
        let _ = cache.set(&key, key).await;
    }

    let start = Instant::now();
    for turn in 0..ops {
        black_box(cache.get(&key(turn)).await?);
    }
    row("get, hit", ops, start);

    let start = Instant::now();
    for turn in 0..ops {
        let load = |_| async { Ok::<_, std::io::Error>(Loaded::new(0)) };
        black_box(cache.get_or_load(&key(turn), load).await?);
    }
    row("get_or_load, hit", ops, start);

    let start = Instant::now();
    for turn in 0..ops {
        let _ = cache.remove(&(1 + turn % keys)).await;
    }
    row("remove", ops, start);
    Ok(())
}

fn row(name: &str, ops: u64, start: Instant) {
    let ns = start.elapsed().as_nanos() as f64 / ops as f64;
    println!("{name:<22}{ns:>12.1}{:>16.0}", 1e9 / ns);
}
