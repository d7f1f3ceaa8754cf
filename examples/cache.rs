//! What the cache does when callers come all at once, leave, or remove what is being loaded.
//!
//! ```text
//! cargo run --example cache
//! ```
//!
//! Needs no server: the L2 is the one in this process.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use seawall_cache::{Cache, Load, LoadError, Loaded, MemoryRemote};
use tokio::time::{Instant, sleep, timeout};

/// A database that takes its time and counts its queries.
#[derive(Clone, Default)]
struct Database {
    queries: Arc<AtomicU64>,
    price: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the database is down")]
struct DatabaseDown;

type Prices = Cache<u64, u64>;

impl Database {
    async fn price(&self) -> Result<Loaded<u64>, DatabaseDown> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let price = self.price.load(Ordering::Relaxed);
        sleep(QUERY_TAKES).await;
        // The price doubles as the version of the row, as an LSN would.
        Ok(Loaded::new(price).source(price))
    }

    async fn read_through(&self, cache: &Prices, id: u64) -> Result<u64, LoadError<DatabaseDown>> {
        let database = self.clone();
        let got = cache.get_or_load(&id, |_load| async move { database.price().await }).await?;
        Ok(got.value.as_deref().copied().unwrap_or_default())
    }

    fn raise_to(&self, price: u64) {
        self.price.store(price, Ordering::Relaxed);
    }

    fn queries(&self) -> u64 {
        self.queries.swap(0, Ordering::Relaxed)
    }
}

const QUERY_TAKES: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let l2 = MemoryRemote::default();
    let node = || Cache::builder("price").remote(l2.clone()).build();
    let (here, elsewhere): (Prices, Prices) = (node()?, node()?);
    let database = Database::default();
    database.raise_to(10);
    println!(
        "A query takes {} ms. Two nodes, each with its L1, share an L2.",
        QUERY_TAKES.as_millis()
    );

    title("1 000 callers of a cold key");
    let asked = Instant::now();
    let answers = join_all((0..1_000).map(|_| database.read_through(&here, 1))).await;
    row("answered", answers.iter().filter(|answer| answer.is_ok()).count());
    row("queries", database.queries());
    row("after", format_args!("{} ms", asked.elapsed().as_millis()));

    title("the other node, the same key");
    row("price", database.read_through(&elsewhere, 1).await?);
    row("queries", database.queries());

    title("the caller that began the load leaves half-way");
    let leaves = timeout(QUERY_TAKES / 2, database.read_through(&here, 2));
    let stay = join_all((0..50).map(|_| database.read_through(&here, 2)));
    let (left, stayed) = tokio::join!(leaves, stay);
    row("left", usize::from(left.is_err()));
    row("answered", stayed.iter().filter(|answer| answer.is_ok()).count());
    row("queries", database.queries());

    title("the price rises on the other node while this one loads the old one");
    let load = database.read_through(&here, 3);
    let raise = async {
        sleep(QUERY_TAKES / 2).await;
        database.raise_to(20);
        elsewhere.remove_after(&3, 20).await
    };
    let (old, written) = tokio::join!(load, raise);
    row("came before, got", old?);
    row("removal partial", written.is_partial());
    row("comes after, gets", database.read_through(&here, 3).await?);
    row("queries", database.queries());

    title("a lagging replica answers with the old price");
    elsewhere.remove_after(&4, 30).await;
    let (asks, asked_for) = tokio::sync::oneshot::channel();
    let replica = |load: Load<u64>| async move {
        let _ = asks.send(load.min_source());
        Ok::<_, DatabaseDown>(Loaded::new(20).source(20))
    };
    let got = here.get_or_load(&4, replica).await?;
    row("asked to reach", asked_for.await?.unwrap_or_default());
    row("answered from", 20);
    row("degraded", got.degraded);
    row("cached", here.get(&4).await?.is_some());

    title("a hundred thousand reads of what is in L1");
    let asked = Instant::now();
    for _ in 0..100_000 {
        database.read_through(&here, 1).await?;
    }
    row("queries", database.queries());
    row("a read", format_args!("{} ns", asked.elapsed().as_nanos() / 100_000));

    title("what the first node counted");
    let stats = here.stats();
    row("L1 hits", stats.l1_hits);
    row("L2 hits", stats.l2_hits);
    row("misses", stats.misses);
    row("loads", stats.loads);
    row("refused fills", stats.refused_fills);
    here.shutdown().await;
    elsewhere.shutdown().await;
    Ok(())
}

fn title(text: &str) {
    println!("\n{text}");
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("  {name:<20}{value:>8}");
}
