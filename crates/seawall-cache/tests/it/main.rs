//! The cache against real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod cluster;
mod cluster_coherence;
mod cluster_faults;
mod conformance;
mod elsewhere;
mod joining;
mod outage;
mod processes;
mod protocol;
mod redis;
mod sentinel;
mod tracking;

use std::time::Duration;

use seawall_cache::{Cache, Got, Redis, RedisConfig};
use seawall_devstack::Stack;

pub(crate) type Numbers = Cache<u64, u64>;

#[derive(Debug, thiserror::Error)]
#[error("the origin said no")]
pub(crate) struct OriginDown;

pub(crate) async fn stack() -> Stack {
    Stack::builder().redis().start().await.expect("redis-server is installed")
}

/// With deadlines that a busy machine does not miss: a test about deadlines sets its own.
pub(crate) fn config(url: String) -> RedisConfig {
    let (command_timeout, connect_timeout) = (Duration::from_secs(5), Duration::from_secs(15));
    RedisConfig { url, command_timeout, connect_timeout, ..RedisConfig::default() }
}

/// A connection of its own, as on another node.
pub(crate) async fn connect(stack: &Stack) -> Redis {
    let url = stack.redis().expect("asked for").url();
    Redis::connect(config(url)).await.expect("it is up")
}

pub(crate) fn cache(redis: &Redis) -> Numbers {
    Cache::builder("numbers").remote(redis.clone()).build().expect("valid")
}

pub(crate) async fn load(cache: &Numbers, key: u64, answer: u64) -> Got<u64> {
    let loader = move |_| async move { Ok::<_, OriginDown>(answer) };
    cache.get_or_load(&key, loader).await.expect("loads")
}

/// A read that must not need its loader.
pub(crate) async fn cached(cache: &Numbers, key: u64) -> Option<u64> {
    let got = cache.get_or_load(&key, |_| async { Err::<u64, _>(OriginDown) }).await;
    got.expect("cached").value.as_deref().copied()
}

/// Waits until `holds`, for at most half a minute: the machine may stall.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within half a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All answers, or the first error.
fn all<T>(
    answers: Vec<Result<T, seawall_cache::RemoteError>>,
) -> Result<Vec<T>, seawall_cache::RemoteError> {
    answers.into_iter().collect()
}
