use super::*;

async fn ttl(redis: &Redis, key: &str) -> i64 {
    match redis.command(&["PTTL", key]).await.unwrap() {
        Reply::Integer(millis) => millis,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_key_of_ours_has_a_ttl_at_all_times() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let all = [policy("a", 10), policy("b", 1_000)];
    let limiter = node(&leased(redis.url()), &all).await;
    let (one, both) = (limiter.set(&["a"]).unwrap(), limiter.set(&["a", "b"]).unwrap());
    limiter.block("blocked", HOUR).await.unwrap();
    for turn in 0..300 {
        let key = format!("k{}", turn % 7);
        let set = [&one, &both][turn % 2];
        let _ = check(&limiter, &key, set).await;
        if turn % 10 == 0 {
            limiter.refund(key.as_str(), set, 1).await.unwrap();
        }
        if turn % 50 == 0 {
            for key in texts(redis.command(&["KEYS", "*"]).await.unwrap()) {
                assert!(ttl(redis, &key).await > 0, "{key}");
            }
        }
    }
    assert!(!subjects(redis).await.is_empty());
}

#[tokio::test]
async fn a_key_lives_no_longer_than_its_quota_takes_to_refill() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 10)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert!(check(&limiter, "k", &set).await.is_allowed());
    let key = subjects(stack.redis().unwrap()).await.remove(0);
    let millis = ttl(stack.redis().unwrap(), &key).await;
    assert!((300_000..=360_001).contains(&millis), "{millis}");
}

#[tokio::test]
async fn a_foreign_ttl_of_none_is_mended_also_by_a_rejection() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let (first, second) = (
        node(&exact(redis.url()), &[policy("a", 1)]).await,
        node(&exact(redis.url()), &[policy("a", 1)]).await,
    );
    assert!(check(&first, "k", &first.set(&["a"]).unwrap()).await.is_allowed());
    let key = subjects(redis).await.remove(0);
    redis.command(&["PERSIST", &key]).await.unwrap();
    assert_eq!(ttl(redis, &key).await, -1);
    // One without a memory of it, which asks.
    assert!(!check(&second, "k", &second.set(&["a"]).unwrap()).await.is_allowed());
    assert!(ttl(redis, &key).await > 0);
}

/// The key in Redis of the subject `k`.
async fn name_of_k(redis: &Redis) -> String {
    let limiter = node(&exact(redis.url()), &[policy("slow", 1)]).await;
    let set = limiter.set(&["slow"]).unwrap();
    assert!(check(&limiter, "k", &set).await.is_allowed());
    subjects(redis).await.remove(0)
}

#[tokio::test]
async fn values_that_are_not_ours_count_as_spent_and_are_mended() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let key = name_of_k(redis).await;
    let foreign: [&[&str]; 6] = [
        &["SET", &key, "rubbish"],
        &["SET", &key, ""],
        &["SET", &key, "a=12;b"],
        &["SET", &key, "a=-12;"],
        &["HSET", &key, "a", "1"],
        &["RPUSH", &key, "1"],
    ];
    for command in foreign {
        redis.command(&["DEL", &key]).await.unwrap();
        redis.command(command).await.unwrap();
        // One that remembers nothing.
        let limiter = node(&exact(redis.url()), &[policy("a", 1_000_000)]).await;
        let set = limiter.set(&["a"]).unwrap();
        if command[2].is_empty() {
            // Nothing is nothing spent.
            assert!(check(&limiter, "k", &set).await.is_allowed(), "{command:?}");
            continue;
        }
        let decision = check(&limiter, "k", &set).await;
        assert!(!decision.is_allowed(), "{command:?}");
        let wait = decision.retry_after().unwrap();
        assert!(wait <= Duration::from_millis(4), "it refills from now on: {wait:?}");
        assert!((1..=3_600_001).contains(&ttl(redis, &key).await), "{command:?}");
        sleep(Duration::from_millis(20)).await;
        assert!(check(&limiter, "k", &set).await.is_allowed(), "{command:?}");
    }
}

#[tokio::test]
async fn a_tat_from_a_clock_far_ahead_blocks_for_one_refill_at_most() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let key = name_of_k(redis).await;
    redis.command(&["SET", &key, "a=99999999999999999999;"]).await.unwrap();
    let other = node(&exact(redis.url()), &[policy("a", 1_000_000)]).await;
    let set = other.set(&["a"]).unwrap();
    let decision = check(&other, "k", &set).await;
    assert!(decision.retry_after().unwrap() <= Duration::from_millis(4));
    assert!(ttl(redis, &key).await > 0);
}
