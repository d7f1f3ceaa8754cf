//! Redis frozen, killed, and back.

use std::time::Duration;

use seawall_cache::{Cache, L2Write, OutageConfig, Redis, RedisConfig};
use seawall_devstack::Stack;
use tokio::time::Instant;

use crate::{Numbers, cache, cached, config, load, stack, until};

/// Longer than a busy machine takes for an answer.
const DEADLINE: Duration = Duration::from_secs(1);

/// A connection that gives up soon, and rests for longer than a test takes to look at it.
async fn connect(stack: &Stack) -> Redis {
    let outage = OutageConfig { open_for: 3 * DEADLINE, ..OutageConfig::default() };
    let url = stack.redis().expect("asked for").url();
    let config = RedisConfig { command_timeout: DEADLINE, outage, ..config(url) };
    Redis::connect(config).await.expect("it is up")
}

#[tokio::test]
async fn a_frozen_redis_costs_one_deadline_and_then_nothing() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    let handle = connect(&stack).await;
    let cache = cache(&handle);
    load(&cache, 1, 10).await;
    handle.ping().await.expect("alive");
    redis.pause().await.expect("frozen");

    let asked = Instant::now();
    handle.ping().await.expect_err("frozen");
    assert!(asked.elapsed() < DEADLINE * 10, "{:?}", asked.elapsed());

    let asked = Instant::now();
    assert!(load(&cache, 2, 20).await.degraded);
    let first = asked.elapsed();
    assert!(first >= DEADLINE && first < DEADLINE * 10, "{first:?}");
    assert_eq!(cached(&cache, 1).await, Some(10), "L1 is as it was");
    load(&cache, 3, 30).await;
    load(&cache, 4, 40).await;
    assert!(handle.status().breaker_open);

    let asked = Instant::now();
    for key in 100..200 {
        assert!(load(&cache, key, key).await.degraded);
    }
    let each = asked.elapsed() / 100;
    // But for a probe now and then.
    assert!(each < DEADLINE / 5, "{each:?} a read");

    redis.resume().await.expect("runs again");
    let mut key = 1_000;
    until("the breaker closed", || {
        key += 1;
        let cache = cache.clone();
        async move { !load(&cache, key, key).await.degraded }
    })
    .await;
    assert_eq!(cached(&self::cache(&connect(&stack).await), key).await, Some(key));
}

#[tokio::test]
async fn a_killed_redis_does_not_fail_reads_and_is_used_again_after_its_restart() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    let handle = connect(&stack).await;
    let cache = cache(&handle);
    load(&cache, 1, 10).await;
    redis.kill().await.expect("killed");
    let asked = Instant::now();
    for key in 2..50 {
        assert!(load(&cache, key, key).await.degraded);
    }
    assert!(asked.elapsed() < DEADLINE * 24, "{:?}: each waited", asked.elapsed());
    redis.restart().await.expect("started");
    let mut key = 1_000;
    until("Redis is used again", || {
        key += 1;
        let cache = cache.clone();
        async move { !load(&cache, key, key).await.degraded }
    })
    .await;
}

#[tokio::test]
async fn a_removal_while_redis_is_frozen_wins_when_it_is_back() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    let handle = connect(&stack).await;
    let a = cache(&handle);
    load(&a, 1, 10).await;
    redis.pause().await.expect("frozen");
    let written = a.remove(&1).await;
    assert!(written.l1 && written.is_partial());
    assert_eq!(handle.status().pending, 1);
    assert!(load(&a, 1, 11).await.degraded, "the old entry in Redis is not read");
    redis.resume().await.expect("runs again");
    until("Redis acknowledged it", || async { handle.status().pending == 0 }).await;
    let b = cache(&connect(&stack).await);
    assert!(b.get(&1).await.expect("in reach").is_none());
    // What was loaded meanwhile had no version: the removal may have been meant for it, too.
    assert_ne!(
        a.get(&1).await.expect("in reach").and_then(|got| got.value.as_deref().copied()),
        Some(10)
    );
}

#[tokio::test]
async fn a_set_that_sat_in_a_frozen_redis_does_not_come_back() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    let handle = connect(&stack).await;
    let a = cache(&handle);
    load(&a, 1, 10).await;
    a.set(&1, 11).await;
    redis.command(&["CONFIG", "RESETSTAT"]).await.expect("up");
    redis.pause().await.expect("frozen");
    // It stands in the socket of the frozen server, and its caller is told that it is partial.
    assert_eq!(a.set(&1, 12).await.l2, L2Write::Pending);
    // This process ends, so that no removal covers up what the late set does.
    drop((a, handle));
    redis.resume().await.expect("runs again");
    let calls = async |command: &str| {
        let stats = redis.command(&["INFO", "commandstats"]).await.expect("up").text();
        stats.expect("text").contains(&format!("cmdstat_{command}:calls="))
    };
    until("Redis has read it", || calls("evalsha")).await;
    assert!(!calls("set").await, "it wrote nothing");
    assert_eq!(cached(&cache(&connect(&stack).await), 1).await, Some(11));
}

#[tokio::test]
async fn a_removal_while_redis_is_down_is_repeated_after_the_restart() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    let handle = connect(&stack).await;
    let a = cache(&handle);
    load(&a, 1, 10).await;
    redis.kill().await.expect("killed");
    for key in 0..500 {
        assert!(a.remove(&key).await.is_partial());
    }
    redis.restart().await.expect("started");
    until("Redis acknowledged all", || async { handle.status().pending == 0 }).await;
    assert_eq!(handle.shutdown(Duration::from_secs(1)).await, 0);
}

#[tokio::test]
async fn shutdown_of_a_dead_redis_ends_and_counts_what_is_lost() {
    let stack = stack().await;
    let handle = connect(&stack).await;
    let a = cache(&handle);
    stack.redis().expect("asked for").kill().await.expect("killed");
    assert!(a.remove(&1).await.is_partial());
    let asked = Instant::now();
    assert_eq!(handle.shutdown(Duration::from_millis(300)).await, 1);
    assert!(asked.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn caches_of_one_connection_learn_of_the_outage_together() {
    let stack = stack().await;
    let handle = connect(&stack).await;
    let (a, b): (Numbers, Numbers) = (
        Cache::builder("a").remote(handle.clone()).build().expect("valid"),
        Cache::builder("b").remote(handle.clone()).build().expect("valid"),
    );
    stack.redis().expect("asked for").pause().await.expect("frozen");
    for key in 0..3 {
        load(&a, key, key).await;
    }
    let asked = Instant::now();
    assert!(load(&b, 1, 1).await.degraded);
    assert!(asked.elapsed() < DEADLINE, "{:?}", asked.elapsed());
}
