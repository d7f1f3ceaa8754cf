//! How long does a replica that answers nothing stay in rotation, and what do the reads feel? How
//! long after a promotion is the first write done, and what became of the writes on their way?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bench_harness::{Bench, Role, Row};
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use parking_lot::Mutex;
use seawall_devstack::{Direction, Faults, Proxy, Stack};
use seawall_pool::{NodeConfig, Outcome, Pool, PoolConfig};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

/// Each takes new servers.
const ROUNDS: usize = 5;
const READERS: u64 = 8;
const WRITERS: usize = 20;

fn main() -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut bench = Bench::new("pool_failover");
    let rounds = bench.rounds().min(ROUNDS);
    blackhole(&mut bench, &runtime, rounds);
    promotion(&mut bench, &runtime, rounds);
    bench.finish()
}

/// One of two replicas answers nothing any more, while readers ask for a row every few milliseconds.
fn blackhole(bench: &mut Bench, runtime: &Runtime, rounds: usize) {
    let (mut out, mut ratios, mut longest, mut failed) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let seen = runtime.block_on(one_blackhole());
        out.push(seen.out.as_secs_f64() * 1e3);
        ratios.push(seen.after.as_secs_f64() / seen.before.as_secs_f64());
        longest.push(seen.longest.as_secs_f64() * 1e3);
        failed.push(seen.failed as f64);
    }
    let us = "seawall-pool, defaults";
    let mut row = |case: &str, unit, values| bench.add(Row::of(case, us, Role::Ours, unit, values));
    row("a replica answers nothing: out of rotation after", "ms", out);
    row("p99 of all reads in the 2 s from then on, over p99 before", "ratio", ratios);
    row("the longest read, one that was on its way there", "ms", longest);
    row("reads that failed", "", failed);
}

/// When it began and how long it took; none if it failed.
type Read = (Instant, Option<Duration>);

struct Blackhole {
    out: Duration,
    /// The 99th percentile.
    before: Duration,
    after: Duration,
    longest: Duration,
    failed: usize,
}

async fn one_blackhole() -> Blackhole {
    let stack = Stack::builder().replicas(2).start().await.unwrap();
    let link = Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap();
    let through = stack.replica(0).unwrap().url_via(link.addr());
    let config = PoolConfig {
        primary: NodeConfig::new(stack.primary().unwrap().url()),
        replicas: vec![NodeConfig::new(through), NodeConfig::new(stack.replica(1).unwrap().url())],
        ..PoolConfig::default()
    };
    let pool = Pool::connect(config).await.unwrap();
    pool.warm_up().await.unwrap();
    let reads: Arc<Mutex<Vec<Read>>> = Arc::default();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (pool, reads) = (pool.clone(), Arc::clone(&reads));
        readers.spawn(async move {
            loop {
                let began = Instant::now();
                let done = pool.read().query("SELECT 1", &[]).await.is_ok();
                reads.lock().push((began, done.then(|| began.elapsed())));
                sleep(Duration::from_millis(4)).await;
            }
        });
    }
    sleep(Duration::from_millis(500)).await;
    let from = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let cut = Instant::now();
    link.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    while pool.status().nodes[1].state.is_up() {
        sleep(Duration::from_millis(1)).await;
    }
    let out = cut.elapsed();
    sleep(Duration::from_secs(2).saturating_sub(out)).await;
    let end = Instant::now();
    // Those under way are still to be counted.
    sleep(Duration::from_millis(1_500)).await;
    readers.shutdown().await;
    let reads = std::mem::take(&mut *reads.lock());
    let between = |from: Instant, to: Instant| {
        let reads = reads.iter().filter(|(began, _)| (from..to).contains(began));
        let mut times: Vec<_> = reads.filter_map(|(_, took)| *took).collect();
        times.sort_unstable();
        times
    };
    let (before, after) = (between(from, cut), between(cut - Duration::from_millis(20), end));
    let seen = Blackhole {
        out,
        before: percentile(&before),
        after: percentile(&after),
        longest: after.last().copied().unwrap_or_default(),
        failed: reads.iter().filter(|(_, took)| took.is_none()).count(),
    };
    pool.shutdown().await;
    drop(link);
    stack.shutdown().await;
    seen
}

fn percentile(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default()
}

/// The primary is killed under twenty writers and its replica promoted.
fn promotion(bench: &mut Bench, runtime: &Runtime, rounds: usize) {
    let subjects =
        [("seawall-pool", Role::Ours), ("deadpool Fast, read-write of all hosts", Role::Peer)];
    let mut seen = [vec![], vec![]];
    for _ in 0..rounds {
        for ((_, role), seen) in subjects.iter().zip(&mut seen) {
            seen.push(runtime.block_on(one_promotion(*role)));
        }
    }
    let mut row = |case: &str, unit, value: fn(&Promoted) -> f64| {
        for ((subject, role), seen) in subjects.iter().zip(&seen) {
            let values = seen.iter().map(value).collect();
            bench.add(Row::of(case, subject, *role, unit, values));
        }
    };
    let first = "from the order to promote until the first write is done on the new primary";
    row(first, "ms", |seen| seen.first.as_secs_f64() * 1e3);
    row("writes of 20 writers that failed", "", |seen| seen.failures as f64);
    let untyped = "of those, without saying whether they were done";
    row(untyped, "", |seen| seen.untyped as f64);
    row("writes that were done twice", "", |seen| seen.twice as f64);
}

struct Promoted {
    first: Duration,
    failures: usize,
    /// Failures that name no outcome.
    untyped: usize,
    twice: i64,
}

/// What a writer does with one number.
#[derive(Clone)]
enum Writer {
    Ours(Pool),
    Deadpool(deadpool_postgres::Pool),
}

impl Writer {
    /// Whether it failed, and if so, whether it is said what became of the write.
    async fn write(&self, id: i64) -> Result<(), Option<Outcome>> {
        const SQL: &str = "INSERT INTO entry VALUES ($1)";
        match self {
            Self::Ours(pool) => match pool.write().execute(SQL, &[&id]).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.outcome()),
            },
            Self::Deadpool(pool) => {
                let done = async {
                    let client = pool.get().await.ok()?;
                    let statement = client.prepare_cached(SQL).await.ok()?;
                    client.execute(&statement, &[&id]).await.ok()
                };
                done.await.map(drop).ok_or(None)
            }
        }
    }
}

async fn one_promotion(role: Role) -> Promoted {
    let stack = Stack::builder().replicas(1).start().await.unwrap();
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let admin = old.client().await.unwrap();
    admin.batch_execute("CREATE TABLE entry (id bigint)").await.unwrap();
    new.wait_caught_up(old, Duration::from_secs(20)).await.unwrap();
    let writer = if role == Role::Ours {
        let config = PoolConfig {
            primary: NodeConfig::new(old.url()),
            replicas: vec![NodeConfig::new(new.url())],
            max_size: 8,
            ..PoolConfig::default()
        };
        Writer::Ours(Pool::connect(config).await.unwrap())
    } else {
        let hosts = format!(
            "postgres://seawall@{},{}/seawall?target_session_attrs=read-write",
            old.addr(),
            new.addr()
        );
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(hosts.parse().unwrap(), NoTls, config);
        let pool = deadpool_postgres::Pool::builder(manager).max_size(8).build().unwrap();
        Writer::Deadpool(pool)
    };
    let (stop, ids) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    // When the writes were done.
    let done: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (writer, stop, ids) = (writer.clone(), Arc::clone(&stop), Arc::clone(&ids));
        let done = Arc::clone(&done);
        writers.spawn(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let id = ids.fetch_add(1, Ordering::Relaxed);
                match writer.write(id).await {
                    Ok(()) => done.lock().push(Instant::now()),
                    Err(outcome) => {
                        failures.push(outcome);
                        // Who gets errors would not ask again at once.
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            }
            failures
        });
    }
    while done.lock().len() < 200 {
        sleep(Duration::from_millis(5)).await;
    }
    old.kill().await.unwrap();
    sleep(Duration::from_millis(300)).await;
    done.lock().clear();
    let asked = Instant::now();
    new.promote().await.unwrap();
    while done.lock().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let first = done.lock().first().map(|at| *at - asked).unwrap_or_default();
    while done.lock().len() < 200 {
        sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let failures: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let twice = "SELECT count(*) FROM (SELECT id FROM entry GROUP BY id HAVING count(*) > 1) AS t";
    let twice = new.client().await.unwrap().query_one(twice, &[]).await.unwrap().get(0);
    if let Writer::Ours(pool) = &writer {
        pool.shutdown().await;
    }
    let untyped = failures.iter().filter(|outcome| outcome.is_none()).count();
    stack.shutdown().await;
    Promoted { first, failures: failures.len(), untyped, twice }
}
