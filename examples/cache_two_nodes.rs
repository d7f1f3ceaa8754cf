//! Two nodes, each with its own L1, over one Redis: what one changes, the other no longer serves.
//!
//! ```text
//! cargo run --release --example cache_two_nodes
//! ```
//!
//! Starts a Redis of its own, changes keys through the cache and behind its back, flushes, freezes
//! and kills it.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::interfaces::{ClientLike as _, KeysInterface as _};
use seawall_cache::{Cache, Coherence, Got, Load, Loaded, Redis, RedisConfig};
use seawall_devstack::Stack;
use tokio::time::{Instant, sleep};

type Prices = Cache<u64, u64>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().redis().start().await?;
    let server = stack.redis()?;
    let config = RedisConfig { url: server.url(), ..RedisConfig::default() };
    // Two processes would do just this: a connection and a cache each.
    let (redis_a, redis_b) =
        (Redis::connect(config.clone()).await?, Redis::connect(config.clone()).await?);
    let node = |redis: &Redis| Cache::builder("price").remote(redis.clone()).build();
    let (a, b): (Prices, Prices) = (node(&redis_a)?, node(&redis_b)?);
    let origin = Arc::new(AtomicU64::new(10));
    let read = async |node: &Prices, key: u64| -> Result<Got<u64>, Box<dyn Error>> {
        let origin = Arc::clone(&origin);
        let load = move |_load: Load<u64>| async move {
            Ok::<_, Infallible>(Loaded::new(origin.load(Ordering::Relaxed)).tags(["all"]))
        };
        Ok(node.get_or_load(&key, load).await?)
    };

    title("a reads, b reads");
    show("a", &read(&a, 1).await?);
    show("b", &read(&b, 1).await?);
    show("b again", &read(&b, 1).await?);

    title("the price changes; a removes the key");
    origin.store(20, Ordering::Relaxed);
    let took = until_gone(&b, 1, remove(&a)).await;
    println!("  b's L1 forgot it {:.0} us after", took.as_secs_f64() * 1e6);
    show("b", &read(&b, 1).await?);

    title("how long that takes, 2 000 times");
    let mut forgot = Vec::new();
    let mut round_trips = Vec::new();
    for _ in 0..2_000 {
        read(&b, 1).await?;
        forgot.push(until_gone(&b, 1, remove(&a)).await);
        let start = Instant::now();
        // One that a stalled machine kept from coming back in time is none.
        if redis_a.ping().await.is_ok() {
            round_trips.push(start.elapsed());
        }
    }
    println!("  {:<26}{:>10}{:>10}", "us", "p50", "p99");
    percentiles("removed on a, gone on b", &mut forgot);
    percentiles("a round trip to Redis", &mut round_trips);

    title("a tag: a thousand keys at once");
    for key in 0..1_000 {
        read(&b, key).await?;
    }
    let start = Instant::now();
    let _ = a.invalidate_tag("all").await;
    until(|| b.peek(&7).is_none()).await;
    println!("  none of them is served by b {:.0} us after", start.elapsed().as_secs_f64() * 1e6);

    title("somebody deletes the key in Redis, behind both");
    let stranger =
        fred::prelude::Builder::from_config(fred::types::config::Config::from_url(&server.url())?)
            .build()?;
    stranger.init().await?;
    read(&b, 1).await?;
    let took = until_gone(&b, 1, async {
        let _: Result<u64, _> = stranger.del("seawall:price:1").await;
    })
    .await;
    println!("  b's L1 forgot it {:.0} us after", took.as_secs_f64() * 1e6);

    title("FLUSHALL");
    read(&b, 1).await?;
    let start = Instant::now();
    server.flush().await?;
    until(|| b.peek(&1).is_none()).await;
    println!("  seen by b {:.0} ms after (a heartbeat is 250 ms)", ms(start));

    title("Redis freezes; keys that nobody has");
    server.pause().await?;
    for attempt in 0..6 {
        let start = Instant::now();
        let got = read(&a, 100 + attempt).await?;
        println!(
            "  answered by {:?} after {:6.2} ms, degraded: {}",
            got.layer,
            ms(start),
            got.degraded
        );
    }
    server.resume().await?;

    title("and is killed, and comes back");
    server.kill().await?;
    let start = Instant::now();
    let got = read(&a, 200).await?;
    println!(
        "  answered by {:?} after {:6.2} ms, degraded: {}",
        got.layer,
        ms(start),
        got.degraded
    );
    server.restart().await?;
    let start = Instant::now();
    until(|| is_whole(&a) && is_whole(&b)).await;
    println!("  both nodes whole again {:.0} ms after", ms(start));

    stranger.quit().await?;
    for (node, redis) in [(a, redis_a), (b, redis_b)] {
        node.shutdown().await;
        redis.shutdown(Duration::from_secs(1)).await;
    }
    stack.shutdown().await;
    Ok(())
}

async fn remove(node: &Prices) {
    let _ = node.remove(&1).await;
}

/// How long after `change` began `node`'s L1 no longer has `key`.
async fn until_gone(node: &Prices, key: u64, change: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    change.await;
    until(|| node.peek(&key).is_none()).await;
    start.elapsed()
}

/// Told of every change, and L2 in reach.
fn is_whole(node: &Prices) -> bool {
    let status = node.status();
    let asked = status.remote.is_some_and(|remote| !remote.breaker_open && remote.pending == 0);
    asked && status.coherence == Coherence::Watching
}

async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() < Duration::from_millis(50) {
            tokio::task::yield_now().await;
        } else {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn percentiles(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| {
        let time = times.get((times.len() as f64 * share) as usize);
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    println!("  {what:<26}{:>10.0}{:>10.0}", at(0.5), at(0.99));
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn title(text: &str) {
    println!("\n{text}");
}

fn show(who: &str, got: &Got<u64>) {
    let price = got.value.as_deref().copied().unwrap_or_default();
    println!("  {who:<10}{price:>6} from {:?}", got.layer);
}
