//! What does a read cost while Redis is frozen or gone, beside a cache-aside over bare fred with the
//! same deadline? The loader answers at once.
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::convert::Infallible;
use std::time::Duration;

use bench_harness::{Bench, Role, Row};
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Builder;
use fred::types::config::{Config, PerformanceConfig, ReconnectPolicy};
use seawall_cache::{Cache, Coherence, Load, Redis, RedisConfig};
use seawall_devstack::Stack;
use tokio::time::{Instant, sleep};

/// Reads once the outage is known, in one round.
const READS: u64 = 1_000;
const DEADLINE: Duration = Duration::from_millis(100);

/// What happens to the server.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Frozen,
    Killed,
}

/// In milliseconds.
#[derive(Default)]
struct Times {
    first: Vec<f64>,
    later: Vec<f64>,
}

fn main() -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut bench = Bench::new("cache_outage");
    let rounds = bench.rounds();
    for row in runtime.block_on(outages(rounds)) {
        bench.add(row);
    }
    bench.finish()
}

async fn outages(rounds: usize) -> Vec<Row> {
    let stack = Stack::builder().redis().start().await.unwrap();
    let server = stack.redis().unwrap();
    let url = server.url();
    let config = RedisConfig { url: url.clone(), command_timeout: DEADLINE, ..Default::default() };
    let redis = Redis::connect(config).await.unwrap();
    let ours: Cache<u64, u64> = Cache::builder("outage").remote(redis.clone()).build().unwrap();
    let performance =
        PerformanceConfig { default_command_timeout: DEADLINE, ..PerformanceConfig::default() };
    let aside = Builder::from_config(Config::from_url(&url).unwrap())
        .set_performance_config(performance)
        .set_policy(ReconnectPolicy::new_constant(0, 100))
        .build()
        .unwrap();
    aside.init().await.unwrap();
    let mut rows = Vec::new();
    let mut next = 0;
    for (fault, name) in [(Fault::Frozen, "frozen"), (Fault::Killed, "killed")] {
        let (mut by_ours, mut by_aside) = (Times::default(), Times::default());
        for _ in 0..rounds {
            whole(&ours, &aside).await;
            strike(server, fault).await;
            by_ours.measure(&mut next, READS, async |key| through(&ours, key).await).await;
            // Each of these takes its whole deadline.
            by_aside.measure(&mut next, 5, async |key| beside(&aside, key).await).await;
            heal(server, fault).await;
        }
        let subjects = [
            ("seawall-cache", Role::Ours, by_ours),
            ("cache-aside over fred", Role::Peer, by_aside),
        ];
        let (first, later) =
            (format!("Redis {name}: first read"), format!("Redis {name}: p99 after"));
        let row = |case: &str, name: &str, role, times| Row::of(case, name, role, "ms", times);
        rows.extend(subjects.map(|(name, role, times)| {
            [row(&first, name, role, times.first), row(&later, name, role, times.later)]
        }));
    }
    redis.shutdown(DEADLINE).await;
    stack.shutdown().await;
    let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
    rows.sort_by(|a, b| a.case.cmp(&b.case));
    rows
}

impl Times {
    /// The first read of an outage, a few until it is known, and the rest.
    async fn measure(&mut self, next: &mut u64, count: u64, read: impl AsyncFn(u64)) {
        let mut key = || {
            *next += 1;
            *next
        };
        let timed = async |key| {
            let asked = Instant::now();
            read(key).await;
            asked.elapsed().as_secs_f64() * 1e3
        };
        self.first.push(timed(key()).await);
        for _ in 0..5 {
            read(key()).await;
        }
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(timed(key()).await);
        }
        times.sort_by(f64::total_cmp);
        self.later.push(times[times.len() * 99 / 100]);
    }
}

async fn through(cache: &Cache<u64, u64>, key: u64) {
    let load = move |_: Load<u64>| async move { Ok::<_, Infallible>(key) };
    cache.get_or_load(&key, load).await.unwrap();
}

/// As one writes it in an afternoon.
async fn beside(client: &Client, key: u64) {
    let name = format!("aside:{key}");
    if let Ok(Some(_)) = client.get::<Option<u64>, _>(&name).await {
        return;
    }
    let _: Result<(), _> = client.set(&name, key, None, None, false).await;
}

async fn strike(server: &seawall_devstack::Redis, fault: Fault) {
    match fault {
        Fault::Frozen => server.pause().await.unwrap(),
        Fault::Killed => server.kill().await.unwrap(),
    }
}

async fn heal(server: &seawall_devstack::Redis, fault: Fault) {
    match fault {
        Fault::Frozen => server.resume().await.unwrap(),
        Fault::Killed => server.restart().await.unwrap(),
    }
}

/// Both have found it again.
async fn whole(cache: &Cache<u64, u64>, aside: &Client) {
    loop {
        let status = cache.status();
        let asked = status.remote.is_some_and(|remote| !remote.breaker_open && remote.pending == 0);
        let watching = status.coherence == Coherence::Watching;
        if asked && watching && aside.ping::<()>(None).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}
