//! What only a real Redis shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seawall_cache::{Cache, Error, Guarded, Layer, Redis, RedisConfig};
use seawall_devstack::{Reply, Stack};
use tokio::time::{Instant, sleep};

use crate::{Numbers, OriginDown, cache, cached, config, connect, load, stack, until};

async fn command(stack: &Stack, words: &[&str]) -> Reply {
    stack.redis().expect("asked for").command(words).await.expect("it is up")
}

#[tokio::test]
async fn nodes_share_entries_and_removals() {
    let stack = stack().await;
    let (a, b) = (cache(&connect(&stack).await), cache(&connect(&stack).await));
    load(&a, 1, 10).await;
    let got = b.get(&1).await.expect("in reach").expect("filled by the other");
    assert_eq!((got.value.as_deref(), got.layer), (Some(&10), Layer::L2));
    assert!(got.age < Duration::from_secs(5));
    assert!(!b.remove(&1).await.is_partial());
    assert!(cache(&connect(&stack).await).get(&1).await.expect("in reach").is_none());
}

#[tokio::test]
async fn a_removal_on_another_node_beats_the_load() {
    let stack = stack().await;
    let (a, b) = (cache(&connect(&stack).await), cache(&connect(&stack).await));
    let (begun, begin) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let loader = |_| async move {
        let _ = begun.send(());
        let _ = gone.await;
        Ok::<_, OriginDown>(10)
    };
    let loading = a.clone();
    let old = tokio::spawn(async move { loading.get_or_load(&1, loader).await });
    begin.await.expect("the load began");
    b.remove_after(&1, 7).await;
    let _ = go.send(());
    old.await.expect("no panic").expect("loads");
    assert!(a.get(&1).await.expect("in reach").is_none());
    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let loader = move |load: seawall_cache::Load<_>| async move {
        tell.store(load.min_source().unwrap_or(0) as usize, Ordering::Relaxed);
        Ok::<_, OriginDown>(seawall_cache::Loaded::new(11).source(7))
    };
    a.get_or_load(&1, loader).await.expect("loads");
    assert_eq!(told.load(Ordering::Relaxed), 7);
    assert_eq!(cached(&b, 1).await, Some(11));
}

#[tokio::test]
async fn scripts_come_back_after_a_script_flush() {
    let stack = stack().await;
    let a = cache(&connect(&stack).await);
    load(&a, 1, 10).await;
    command(&stack, &["SCRIPT", "FLUSH"]).await;
    let got = load(&a, 2, 20).await;
    assert!(!got.degraded);
    assert!(!a.set(&3, 30).await.is_partial());
    command(&stack, &["SCRIPT", "FLUSH"]).await;
    assert!(!a.remove(&1).await.is_partial());
    assert_eq!(a.stats().l2_errors, 0);
}

#[tokio::test]
async fn foreign_data_under_our_key_is_a_miss_and_gets_replaced() {
    let stack = stack().await;
    let a = cache(&connect(&stack).await);
    command(&stack, &["RPUSH", "seawall:numbers:1", "a", "b"]).await;
    command(&stack, &["SET", "seawall:numbers:2", "somebody else's"]).await;
    command(&stack, &["SET", "seawall:numbers:3", ""]).await;
    command(&stack, &["HSET", "seawall:numbers:4", "field", "value"]).await;
    for key in 1..=4 {
        assert!(a.get(&key).await.expect("no error").is_none());
        assert!(!load(&a, key, key * 10).await.degraded);
        assert_eq!(cached(&cache(&connect(&stack).await), key).await, Some(key * 10));
    }
    assert_eq!(a.stats().corrupt, 8);
    command(&stack, &["SADD", "seawall:numbers:5", "member"]).await;
    assert!(!a.remove(&5).await.is_partial());
    assert_eq!(a.stats().l2_errors, 0);
}

#[tokio::test]
async fn no_key_is_without_a_ttl() {
    let stack = stack().await;
    let redis = connect(&stack).await;
    let cache = cache(&redis);
    for key in 0..20 {
        load(&cache, key, key).await;
        cache.set(&(key + 100), key).await;
        cache.remove(&(key + 200)).await;
    }
    let Reply::Array(keys) = command(&stack, &["KEYS", "*"]).await else { panic!("an array") };
    assert_eq!(keys.len(), 60 + 2, "and the namespace's mark, and the canary of the tracking");
    for key in keys {
        let key = key.text().expect("text");
        let Reply::Integer(ttl) = command(&stack, &["PTTL", &key]).await else { panic!("{key}") };
        assert!(ttl > 0, "{key}: {ttl}");
    }
}

#[tokio::test]
async fn l1_does_not_outlive_what_is_left_in_redis() {
    let stack = stack().await;
    let redis = connect(&stack).await;
    let short = Duration::from_secs(4);
    let build = || {
        let builder: seawall_cache::CacheBuilder<u64, u64> = Cache::builder("short").ttl(short);
        builder.remote(redis.clone()).build().expect("valid")
    };
    let (a, b): (Numbers, Numbers) = (build(), build());
    load(&a, 1, 10).await;
    let written = Instant::now();
    sleep(short / 2).await;
    assert_eq!(cached(&b, 1).await, Some(10));
    // At four seconds and a little it is gone from Redis; from b's L1 it must be gone as well.
    tokio::time::sleep_until(written + short + Duration::from_millis(50)).await;
    assert!(b.get(&1).await.expect("in reach").is_none());
}

#[tokio::test]
async fn out_of_memory_removes_all_the_same() {
    let stack = stack().await;
    let redis = connect(&stack).await;
    let a = cache(&redis);
    load(&a, 1, 10).await;
    command(&stack, &["CONFIG", "SET", "maxmemory", "1"]).await;
    command(&stack, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    assert!(load(&a, 2, 20).await.degraded, "it could not be stored");
    assert!(!a.remove(&1).await.is_partial());
    assert!(cache(&redis).get(&1).await.expect("in reach").is_none());
    assert!(!redis.status().breaker_open, "Redis answers");
}

#[tokio::test]
async fn eight_nodes_agree_after_a_storm_of_writes() {
    let stack = stack().await;
    let mut nodes = Vec::new();
    for _ in 0..8 {
        let builder = Cache::builder("numbers").l1_ttl(Duration::from_millis(1));
        let node: Numbers = builder.remote(connect(&stack).await).build().expect("valid");
        nodes.push(node);
    }
    let writers: Vec<_> = (0..400_u64)
        .map(|version| {
            let node = nodes[(version % 8) as usize].clone();
            tokio::spawn(async move {
                let value = seawall_cache::Loaded::new(version).source(version + 1);
                node.set(&1, value).await
            })
        })
        .collect();
    for writer in writers {
        let _ = writer.await.expect("no panic");
    }
    sleep(Duration::from_millis(5)).await;
    for node in &nodes {
        assert_eq!(cached(node, 1).await, Some(399), "the newest source, whoever came last");
    }
}

#[tokio::test]
async fn versions_grow_even_if_the_clock_was_set_back() {
    let stack = stack().await;
    let redis = connect(&stack).await;
    let cache = cache(&redis);
    // A record from the future: version 2^52 + 1.
    let future = concat!(
        "SWC\x01\x00\x00\x00\x00",
        "\x00\x10\x00\x00\x00\x00\x00\x01",
        "\x00\x00\x00\x00\x00\x00\x00\x00"
    );
    command(&stack, &["SET", "seawall:numbers:1", future]).await;
    assert!(!cache.set(&1, 10).await.is_partial());
    let there = Guarded::from(redis).read("numbers:1").await.expect("in reach");
    let version = there.bytes.expect("set")[8..16].try_into().map(u64::from_be_bytes);
    assert_eq!(version.expect("8 bytes"), (1 << 52) + 2);
}

#[tokio::test]
async fn connection_and_tasks_end_with_the_last_handle() {
    let stack = stack().await;
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();
    let handle = connect(&stack).await;
    let cache = cache(&handle);
    load(&cache, 1, 10).await;
    drop(handle);
    load(&cache, 2, 20).await;
    drop(cache);
    until("the connection ended", || async {
        let clients = command(&stack, &["CLIENT", "LIST"]).await.text().expect("text");
        clients.lines().count() == 1
    })
    .await;
    until("the tasks ended", || async { runtime.metrics().num_alive_tasks() <= before }).await;
}

#[tokio::test]
async fn reconnecting_ends_with_the_last_handle() {
    let stack = stack().await;
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();
    let handle = connect(&stack).await;
    stack.redis().expect("asked for").kill().await.expect("killed");
    assert!(load(&cache(&handle), 1, 10).await.degraded);
    assert!(cache(&handle).remove(&1).await.is_partial());
    drop(handle);
    until("the tasks ended", || async { runtime.metrics().num_alive_tasks() <= before }).await;
}

#[tokio::test]
async fn connecting_fails_with_a_reason_and_without_the_password() {
    let nobody = config("redis://user:hunter2@127.0.0.1:1".into());
    assert!(!format!("{nobody:?}").contains("hunter2"));
    let asked = Instant::now();
    let error = Redis::connect(nobody).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(error.is_retryable() && !format!("{error:?} {error}").contains("hunter2"));
    assert!(asked.elapsed() < Duration::from_secs(30));
    let error = Redis::connect(config("not a url hunter2".into())).await.expect_err("not a URL");
    assert!(matches!(error, Error::Url(_)), "{error:?}");
    let odd = RedisConfig { command_timeout: Duration::ZERO, ..RedisConfig::default() };
    let error = Redis::connect(odd).await.expect_err("out of bounds");
    assert!(matches!(error, Error::Config(error) if error.field == "command_timeout"));
}

#[tokio::test]
async fn a_service_may_start_before_redis() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    redis.kill().await.expect("killed");
    let handle = Redis::connect_lazy(&config(redis.url())).expect("a good URL");
    let cache = cache(&handle);
    assert!(load(&cache, 1, 10).await.degraded);
    redis.restart().await.expect("started");
    let mut key = 100;
    loop {
        key += 1;
        if !load(&cache, key, 20).await.degraded {
            break;
        }
        assert!(key < 6_000, "it never connected");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connecting_to_a_frozen_redis_times_out_and_leaves_nothing() {
    let stack = stack().await;
    let redis = stack.redis().expect("asked for");
    redis.pause().await.expect("frozen");
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();
    let patience = Duration::from_millis(200);
    let config = RedisConfig { connect_timeout: patience, ..config(redis.url()) };
    let asked = Instant::now();
    let error = Redis::connect(config).await.expect_err("it is frozen");
    assert!(error.is_retryable(), "{error:?}");
    assert!(asked.elapsed() < patience * 50);
    until("the tasks ended", || async { runtime.metrics().num_alive_tasks() <= before }).await;
    redis.resume().await.expect("runs again");
}

/// Case 14: nobody's clock is compared with that of another node.
#[tokio::test]
async fn writers_whose_clocks_are_minutes_apart_agree() {
    let stack = stack().await;
    let url = stack.redis().expect("asked for").url();
    let short = |redis: Redis| -> Numbers {
        let builder = Cache::builder("numbers").remote(redis).ttl(Duration::from_secs(2));
        builder.ttl_jitter(0.0).build().expect("valid")
    };
    let behind = short(connect(&stack).await);
    let (orders, mut ordered) = tokio::sync::mpsc::channel::<u8>(1);
    let (done, mut ends) = tokio::sync::mpsc::channel::<Instant>(1);
    let ahead = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let before = Instant::now();
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(300)).await;
            tokio::time::resume();
            assert!(before.elapsed() >= Duration::from_secs(300));
            let ahead = short(Redis::connect(config(url)).await.expect("it is up"));
            while let Some(order) = ordered.recv().await {
                match order {
                    1 => assert!(!ahead.set(&1, 10).await.is_partial()),
                    2 => until("the removal is seen", || async { gone(&ahead, 1).await }).await,
                    3 => {
                        let got = ahead.get(&2).await.expect("in reach").expect("fresh");
                        assert_eq!(got.value.as_deref(), Some(&20));
                        assert!(got.age < Duration::from_secs(2), "{:?}", got.age);
                    }
                    _ => until("it expires", || async { gone(&ahead, 2).await }).await,
                }
                done.send(Instant::now()).await.expect("waited for");
            }
        });
    });
    let mut run = async |order| {
        orders.send(order).await.expect("it runs");
        ends.recv().await.expect("it is done");
    };
    run(1).await;
    let got = behind.get(&1).await.expect("in reach").expect("written by the one ahead");
    assert!(got.age < Duration::from_secs(2), "{:?}", got.age);
    assert!(!behind.remove(&1).await.is_partial());
    run(2).await;
    assert!(!behind.set(&2, 20).await.is_partial());
    run(3).await;
    run(1).await;
    let written = Instant::now();
    until("what the one ahead wrote expires", || async { gone(&behind, 1).await }).await;
    assert!(written.elapsed() < Duration::from_secs(60), "and not five minutes later");
    run(4).await;
    drop((orders, ends));
    ahead.join().expect("no panic");
}

async fn gone(numbers: &Numbers, key: u64) -> bool {
    numbers.get(&key).await.expect("in reach").is_none()
}
