//! Quotas that nodes share, on real Redis.

mod decisions;
mod faults;
mod keys;
mod layer;
mod leases;
mod orders;
mod reload;
mod settled;
mod slots;
mod trial;

use std::time::Duration;

use seawall_devstack::{Redis, Reply, Stack};
use seawall_limit::{ClusterConfig, ClusterDecision, ClusterLimiter, ClusterSet, Policy, Quota};
use tokio::time::{Instant, sleep};

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);

async fn redis() -> Stack {
    Stack::builder().redis().start().await.unwrap()
}

/// Nothing is taken ahead, and no slow machine makes it miss a deadline.
fn exact(url: String) -> ClusterConfig {
    ClusterConfig { lease_ttl: Duration::ZERO, ..leased(url) }
}

fn leased(url: String) -> ClusterConfig {
    ClusterConfig {
        url,
        deadline: Duration::from_secs(5),
        connect_timeout: PATIENCE,
        ..ClusterConfig::default()
    }
}

/// So many an hour: no unit comes back while a test runs, if they are few.
fn policy(name: &'static str, units: u32) -> Policy {
    Policy::new(name, Quota::per(units, HOUR).unwrap())
}

async fn node(config: &ClusterConfig, policies: &[Policy]) -> ClusterLimiter {
    let builder = ClusterLimiter::builder(config.clone()).policies(policies.iter().cloned());
    builder.connect().await.unwrap()
}

async fn check<'s>(
    limiter: &ClusterLimiter,
    key: &str,
    set: &'s ClusterSet,
) -> ClusterDecision<'s> {
    limiter.check(key, set, Instant::now()).await
}

/// Waits until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "never came true: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What Redis keeps of subjects.
async fn subjects(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "seawall:limit:{*"]).await.unwrap();
    let all = texts(keys);
    all.into_iter().filter(|key| !key.contains("{control}")).collect()
}

fn texts(reply: Reply) -> Vec<String> {
    match reply {
        Reply::Array(all) => all.into_iter().filter_map(|it| it.text()).collect(),
        other => panic!("{other:?}"),
    }
}

/// How often a command was run, in scripts too.
async fn calls(redis: &Redis, command: &str) -> u64 {
    let info = redis.command(&["INFO", "commandstats"]).await.unwrap().text().unwrap();
    let start = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|rest| rest.split(',').next()).map_or(0, |count| count.parse().unwrap())
}
