//! Watch a failover: the primary is killed under writes and reads, a replica is promoted, and the
//! pool follows by itself.
//!
//! ```text
//! cargo run --release --example failover
//! ```
//!
//! Starts a PostgreSQL primary with two streaming replicas of its own.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_devstack::Stack;
use seawall_pool::{Causal, NodeConfig, Outcome, Pool, PoolConfig};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

/// What the tasks have done.
#[derive(Default)]
struct Tally {
    written: AtomicU64,
    read: AtomicU64,
    /// Reads of a session that did not see its own last write.
    stale: AtomicU64,
    /// The primary died with a session's last write, and no replica has it yet.
    refused: AtomicU64,
    failed_reads: AtomicU64,
    not_sent: AtomicU64,
    no_effect: AtomicU64,
    unknown: AtomicU64,
    /// Reads by node.
    by_node: Mutex<BTreeMap<String, u64>>,
    /// Why the first read that failed did.
    why: Mutex<Option<String>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().replicas(2).start().await?;
    let (primary, heir, other) = (stack.primary()?, stack.replica(0)?, stack.replica(1)?);
    let pool = Pool::connect(PoolConfig {
        primary: NodeConfig::new(primary.url()),
        replicas: vec![NodeConfig::new(heir.url()), NodeConfig::new(other.url())],
        ..PoolConfig::default()
    })
    .await?;
    pool.write().execute("CREATE TABLE bid (id bigint, amount bigint)", &[]).await?;
    let caught_up = Duration::from_secs(30);
    heir.wait_caught_up(primary, caught_up).await?;
    other.wait_caught_up(primary, caught_up).await?;

    println!("Four sessions write a bid, then read it back from wherever the pool sends them.");
    let tally = Arc::new(Tally::default());
    let sessions: Vec<_> = (0..4).map(|session| start(&pool, &tally, session)).collect();
    println!(
        "\n{:>7}  {:>9}{:>9}{:>9}{:>10}{:>9}  what happens",
        "ms", "written", "read", "refused", "not sent", "unknown"
    );
    let begun = Instant::now();
    let mut seen = tally.counts();
    watch(&tally, &mut seen, begun, 3, "all is well").await;

    primary.kill().await?;
    watch(&tally, &mut seen, begun, 5, "the primary was killed: writes wait").await;

    let written = tally.written.load(Ordering::Relaxed);
    let asked = Instant::now();
    heir.promote().await?;
    let promoted = asked.elapsed();
    while tally.written.load(Ordering::Relaxed) == written {
        tokio::task::yield_now().await;
    }
    let resumed = asked.elapsed();
    watch(&tally, &mut seen, begun, 3, "replica-1 was promoted").await;

    other.follow(heir.addr()).await?;
    watch(&tally, &mut seen, begun, 5, "replica-2 follows it").await;
    sessions.iter().for_each(JoinHandle::abort);

    println!(
        "\nPostgreSQL took {:.0} ms to promote, the first write was done {:.0} ms after it was asked to.",
        promoted.as_secs_f64() * 1e3,
        resumed.as_secs_f64() * 1e3
    );
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "Writes that failed: {} were never sent, {} had no effect, {} may have had theirs.",
        count(&tally.not_sent),
        count(&tally.no_effect),
        count(&tally.unknown)
    );
    println!(
        "Reads: {} did not see their session's own write; {} were refused because no living node \
         had it yet; {} failed.",
        count(&tally.stale),
        count(&tally.refused),
        count(&tally.failed_reads)
    );
    if let Some(why) = &*tally.why.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("  the first: {why}");
    }
    for (node, reads) in &*tally.by_node.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("  {node:<10} {reads:>7} reads");
    }
    let twice =
        "SELECT count(*) FROM (SELECT id FROM bid GROUP BY id HAVING count(*) > 1) AS twice";
    let twice: i64 = pool.write().query_one(twice, &[]).await?.try_get(0)?;
    println!("Bids written twice: {twice}.\n");
    for node in &pool.status().nodes {
        println!("{node}");
    }
    pool.shutdown().await;
    stack.shutdown().await;
    Ok(())
}

/// One session: its reads see its own writes. It reads also while a write waits.
fn start(pool: &Pool, tally: &Arc<Tally>, session: i64) -> JoinHandle<()> {
    let (pool, tally) = (pool.clone(), Arc::clone(tally));
    tokio::spawn(async move {
        let causal = Causal::new();
        let last = AtomicI64::new(NONE);
        let writes = async {
            let mut ticks = interval(Duration::from_millis(2));
            let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
            // Each number is written once, or given up when nobody knows.
            for id in (session..).step_by(4) {
                loop {
                    ticks.tick().await;
                    let insert = "INSERT INTO bid VALUES ($1, 100)";
                    match pool.write().causal(&causal).execute(insert, &[&id]).await {
                        Ok(_) => {
                            add(&tally.written);
                            last.store(id, Ordering::Relaxed);
                            break;
                        }
                        Err(error) => match error.outcome() {
                            Some(Outcome::NotSent) => add(&tally.not_sent),
                            Some(Outcome::NoEffect) => add(&tally.no_effect),
                            _ => {
                                add(&tally.unknown);
                                break;
                            }
                        },
                    };
                }
            }
        };
        let reads = async {
            let mut ticks = interval(Duration::from_millis(2));
            loop {
                ticks.tick().await;
                let id = last.load(Ordering::Relaxed);
                read(&pool, &tally, &causal, (id != NONE).then_some(id)).await;
            }
        };
        tokio::join!(writes, reads);
    })
}

/// No bid is acknowledged yet.
const NONE: i64 = -1;

/// Reads the session's last bid of which the write was acknowledged, if there is one.
async fn read(pool: &Pool, tally: &Tally, causal: &Causal, id: Option<i64>) {
    let select = "SELECT count(*) FROM bid WHERE id = $1";
    let wanted = id.unwrap_or(NONE);
    match pool.read().causal(causal).query_at(select, &[&wanted]).await {
        Ok(at) => {
            tally.read.fetch_add(1, Ordering::Relaxed);
            let mut by_node = tally.by_node.lock().unwrap_or_else(PoisonError::into_inner);
            *by_node.entry(at.node.to_string()).or_default() += 1;
            drop(by_node);
            let found: i64 = at.value.first().map_or(0, |row| row.get(0));
            if id.is_some() && found == 0 {
                tally.stale.fetch_add(1, Ordering::Relaxed);
            }
        }
        Err(seawall_pool::Error::NoNode { .. }) => {
            tally.refused.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            tally.failed_reads.fetch_add(1, Ordering::Relaxed);
            let mut why = tally.why.lock().unwrap_or_else(PoisonError::into_inner);
            why.get_or_insert_with(|| error.to_string());
        }
    }
}

/// Prints a line every 200 ms, `lines` in all: what was done since the line before.
async fn watch(tally: &Tally, seen: &mut [u64; 5], begun: Instant, lines: usize, what: &str) {
    let mut ticks = interval(Duration::from_millis(200));
    ticks.tick().await;
    let mut what = what;
    for _ in 0..lines {
        ticks.tick().await;
        let now = tally.counts();
        let [written, read, refused, not_sent, unknown] =
            std::array::from_fn(|index| now[index] - seen[index]);
        *seen = now;
        let ms = begun.elapsed().as_millis();
        let line = format!("{written:>9}{read:>9}{refused:>9}{not_sent:>10}{unknown:>9}  {what}");
        println!("{ms:>7}  {}", line.trim_end());
        what = "";
    }
}

impl Tally {
    /// Those of the table.
    fn counts(&self) -> [u64; 5] {
        [&self.written, &self.read, &self.refused, &self.not_sent, &self.unknown]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}
