//! What does a cluster-wide decision cost, asked of Redis and out of a lease, beside a bare script?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::sync::Arc;
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::scripts::Script;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seawall_devstack::Stack;
use seawall_limit::{ClusterConfig, ClusterLimiter, ClusterSet, Policy, Quota, Source};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const KEYS: u64 = 10_000;
/// Checks between two yields of a task.
const YIELDS: usize = 64;
const DRAWS: usize = 1 << 14;
/// In one round of the row of stalls.
const CHECKS: usize = 300_000;

/// One quota by Redis's clock, as peers write it.
const GCRA: &str = "local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local emission, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local new = tat + emission
if new - now > capacity then return {0, new - now - capacity} end
redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil((new - now) / 1000))
return {1, capacity - (new - now)}";

fn main() -> std::io::Result<()> {
    // A worker that runs between the rounds too: where heartbeats stand still, Redis seems gone.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stack = runtime.block_on(Stack::builder().redis().start()).unwrap();
    let url = stack.redis().unwrap().url();
    let mut bench = Bench::new("limit_redis").with_round(Duration::from_millis(200));
    let exact = runtime.block_on(limiter(&url, Duration::ZERO));
    let leased = runtime.block_on(limiter(&url, Duration::from_secs(1)));
    let (fred, script) = runtime.block_on(bare(&url));
    let mut random = StdRng::seed_from_u64(1);
    let drawn: Arc<[u64]> = (0..DRAWS).map(|_| random.random_range(0..KEYS)).collect();
    for tasks in [1, 16, 128] {
        let floor = || {
            let (fred, sha, drawn) = (fred.clone(), script.sha1().to_string(), Arc::clone(&drawn));
            each(&runtime, tasks, move |turn| {
                let (fred, sha, key) = (fred.clone(), sha.clone(), drawn[turn]);
                async move {
                    let arguments = vec![1_i64, 1_000_000_000];
                    let key = format!("bare:{{{key}}}");
                    let answer: Vec<i64> = fred.evalsha(sha, key, arguments).await.unwrap();
                    assert!(answer[0] == 1);
                }
            })
        };
        bench.case(
            &format!("one decision, {KEYS} keys, {tasks} tasks on one thread"),
            vec![
                Subject::new(
                    "seawall, leased, 1 policy",
                    Role::Ours,
                    checks(&runtime, tasks, &leased, &["a"], &drawn),
                ),
                Subject::new(
                    "seawall, leased, 3 policies",
                    Role::Ours,
                    checks(&runtime, tasks, &leased, &["a", "b", "c"], &drawn),
                ),
                Subject::new(
                    "seawall, exact, 1 policy",
                    Role::Ours,
                    checks(&runtime, tasks, &exact, &["a"], &drawn),
                ),
                Subject::new(
                    "seawall, exact, 3 policies",
                    Role::Ours,
                    checks(&runtime, tasks, &exact, &["a", "b", "c"], &drawn),
                ),
                Subject::new("bare GCRA script, fred", Role::Floor, floor()),
            ],
        );
    }
    for row in stalls(&runtime, &leased, bench.rounds()) {
        bench.add(row);
    }
    runtime.block_on(async {
        exact.shutdown().await;
        leased.shutdown().await;
    });
    bench.finish()
}

async fn limiter(url: &str, lease_ttl: Duration) -> ClusterLimiter {
    // A burst that no round spends; a unit each microsecond.
    let quota = Quota::per(1_000_000, Duration::from_secs(1)).unwrap();
    let quota = quota.with_burst(1_000_000_000).unwrap();
    // A stall of a busy machine is to be measured, not to end the bench.
    let deadline = Duration::from_secs(1);
    let config = ClusterConfig { url: url.into(), lease_ttl, deadline, ..ClusterConfig::default() };
    let policies = ["a", "b", "c"].map(|name| Policy::new(name, quota));
    ClusterLimiter::builder(config).policies(policies).connect().await.unwrap()
}

async fn bare(url: &str) -> (fred::clients::Client, Script) {
    let config = fred::types::config::Config::from_url(url).unwrap();
    let mut builder = fred::types::Builder::from_config(config);
    builder.with_connection_config(|it| it.tcp.nodelay = Some(true));
    let fred = builder.build().unwrap();
    fred.init().await.unwrap();
    let script = Script::from_lua(GCRA);
    script.load(&fred).await.unwrap();
    (fred, script)
}

/// Checks by drawn keys; each must be allowed, and by Redis.
fn checks<'a>(
    runtime: &'a Runtime,
    tasks: usize,
    limiter: &ClusterLimiter,
    names: &[&str],
    drawn: &Arc<[u64]>,
) -> impl FnMut(u64) + use<'a> {
    let set: Arc<ClusterSet> = Arc::new(limiter.set(names).unwrap());
    let (limiter, drawn) = (limiter.clone(), Arc::clone(drawn));
    each(runtime, tasks, move |turn| {
        let (limiter, set, key) = (limiter.clone(), Arc::clone(&set), drawn[turn]);
        async move {
            let decision = limiter.check(key, &set, Instant::now()).await;
            assert!(decision.is_allowed() && !decision.is_degraded(), "{decision:?}");
        }
    })
}

/// Runs an operation so many times, each task the same share of them.
fn each<F>(
    runtime: &Runtime,
    tasks: usize,
    operation: impl Fn(usize) -> F + Clone + Send + 'static,
) -> impl FnMut(u64)
where
    F: Future<Output = ()> + Send + 'static,
{
    move |times| {
        let task = |first: usize| {
            let operation = operation.clone();
            async move {
                for (count, turn) in (first..times as usize).step_by(tasks).enumerate() {
                    operation(turn % DRAWS).await;
                    // Out of a lease nothing waits: a task that never lets others run would
                    // keep answers of Redis from being read.
                    if count % YIELDS == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (0..tasks).map(|first| tokio::spawn(task(first))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

/// One hot key out of leases: the longest that one check took, and the part that Redis was asked for.
fn stalls(runtime: &Runtime, limiter: &ClusterLimiter, rounds: usize) -> Vec<Row> {
    let set = limiter.set(&["a", "b", "c"]).unwrap();
    let (mut p999, mut longest, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut times = Vec::with_capacity(CHECKS);
        let mut redis = 0_u32;
        runtime.block_on(async {
            for turn in 0..CHECKS {
                let start = Instant::now();
                let decision = limiter.check("hot", &set, start).await;
                times.push(start.elapsed().as_secs_f64() * 1e6);
                redis += u32::from(decision.source() == Source::Redis);
                if turn % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        times.sort_by(f64::total_cmp);
        p999.push(times[CHECKS * 999 / 1_000]);
        longest.push(times[CHECKS - 1]);
        asked.push(f64::from(redis) / CHECKS as f64);
    }
    let (case, name) = ("one hot key, leased", "seawall, 3 policies");
    vec![
        Row::of(&format!("{case}: p99.9"), name, Role::Ours, "us", p999),
        Row::of(&format!("{case}: longest"), name, Role::Ours, "us", longest),
        Row::of(&format!("{case}: asked of Redis"), name, Role::Ours, "ratio", asked),
    ]
}
