use seawall_limit::{FailureMode, Source};

use super::*;

fn impatient(url: String) -> ClusterConfig {
    ClusterConfig { deadline: Duration::from_secs(1), ..exact(url) }
}

async fn with_modes(config: ClusterConfig) -> ClusterLimiter {
    let builder = ClusterLimiter::builder(config)
        .policy(policy("open", 4))
        .policy(policy("closed", 4))
        .policy(policy("local", 4))
        .on_failure("open", FailureMode::Open)
        .on_failure("closed", FailureMode::Closed);
    builder.connect().await.unwrap()
}

/// Waits until Redis is asked again. It only looks: what is spent without Redis counts afterwards.
async fn returns(limiter: &ClusterLimiter, set: &ClusterSet) {
    eventually("Redis decides again", async || {
        limiter.is_reachable() && limiter.peek("returning", set).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn lost_scripts_are_loaded_again_and_charged_once() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    for functions in [false, true] {
        redis.flush().await.unwrap();
        let config = ClusterConfig { functions, ..exact(redis.url()) };
        let limiter = node(&config, &[policy("a", 100)]).await;
        let set = limiter.set(&["a"]).unwrap();
        for left in (95..100).rev() {
            redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
            redis.command(&["FUNCTION", "FLUSH"]).await.unwrap();
            let decision = check(&limiter, "k", &set).await;
            assert_eq!((decision.source(), decision.remaining()), (Source::Redis, left));
        }
    }
}

#[tokio::test]
async fn a_restarted_redis_is_used_again_with_nothing_but_its_scripts_and_spending_lost() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let limiter = node(&exact(redis.url()), &[policy("a", 10)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert_eq!(check(&limiter, "k", &set).await.remaining(), 9);
    redis.restart().await.unwrap();
    returns(&limiter, &set).await;
    assert_eq!(check(&limiter, "other", &set).await.source(), Source::Redis);
}

#[tokio::test]
async fn a_hung_redis_costs_each_caller_a_deadline_and_then_nobody() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let limiter = with_modes(impatient(redis.url())).await;
    let [open, closed, local] = ["open", "closed", "local"].map(|it| limiter.set(&[it]).unwrap());
    let all = limiter.set(&["open", "closed", "local"]).unwrap();
    redis.pause().await.unwrap();
    let start = Instant::now();
    let first = check(&limiter, "k", &open).await;
    let one = start.elapsed();
    assert_eq!((first.is_allowed(), first.source()), (true, Source::Open));
    assert!(one >= Duration::from_secs(1));
    eventually("the breaker opens", async || {
        let _ = check(&limiter, "k", &open).await;
        !limiter.is_reachable()
    })
    .await;
    // A thousand now take less than one did while it waited.
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(check(&limiter, "k", &open).await.is_allowed());
        let decision = check(&limiter, "k", &closed).await;
        assert_eq!((decision.is_allowed(), decision.source()), (false, Source::Closed));
        assert!(decision.retry_after().is_some());
    }
    assert!(start.elapsed() < one * 8, "{:?} {one:?}", start.elapsed());
    let admitted = async |set: &ClusterSet| {
        let mut admitted = 0;
        for _ in 0..20 {
            admitted += u32::from(check(&limiter, "l", set).await.is_allowed());
        }
        admitted
    };
    assert_eq!(admitted(&local).await, 4);
    assert_eq!(admitted(&all).await, 0);
    redis.resume().await.unwrap();
    returns(&limiter, &closed).await;
    // What was admitted without Redis is charged to it, and the waits of this node's share end.
    eventually("the spending is pushed", async || {
        limiter.peek("l", &local).await.is_ok_and(|it| it.remaining() == 0)
    })
    .await;
    limiter.shutdown().await;
}

#[tokio::test]
async fn nodes_without_redis_go_on_from_what_was_spent_and_stay_within_the_quota() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let config = ClusterConfig { nodes: Some(4), ..impatient(redis.url()) };
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(node(&config, &[policy("a", 40)]).await);
    }
    // 20 spent, which each node has been told.
    let mut spent = 0;
    for limiter in &nodes {
        let set = limiter.set(&["a"]).unwrap();
        for _ in 0..5 {
            spent += u32::from(check(limiter, "k", &set).await.is_allowed());
        }
    }
    assert_eq!(spent, 20);
    redis.kill().await.unwrap();
    let mut alone = 0;
    for limiter in &nodes {
        let set = limiter.set(&["a"]).unwrap();
        for _ in 0..40 {
            let decision = check(limiter, "k", &set).await;
            alone += u32::from(decision.is_allowed());
            if decision.is_allowed() {
                assert_eq!(decision.source(), Source::Local);
            }
        }
    }
    // A share is 10. The first node last heard of 5 spent, the others of more.
    assert!((20..=26).contains(&alone), "{alone}");
}

#[tokio::test]
async fn a_service_starts_without_redis_and_finds_it_later() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    redis.kill().await.unwrap();
    let config = impatient(redis.url());
    let limiter = ClusterLimiter::builder(config.clone()).policy(policy("a", 10));
    let limiter = limiter.connect_lazy().unwrap();
    let set = limiter.set(&["a"]).unwrap();
    assert_eq!(check(&limiter, "k", &set).await.source(), Source::Local);
    let short = ClusterConfig { connect_timeout: Duration::from_millis(50), ..config };
    let error = ClusterLimiter::builder(short).policy(policy("a", 10)).connect().await;
    assert!(error.is_err_and(|error| error.is_retryable()));
    redis.restart().await.unwrap();
    returns(&limiter, &set).await;
}

#[tokio::test]
async fn a_flushed_redis_counts_from_the_start_and_knows_the_nodes_again() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let limiters = [
        node(&exact(redis.url()), &[policy("a", 10)]).await,
        node(&exact(redis.url()), &[policy("a", 10)]).await,
    ];
    let both = async || limiters.iter().all(|it| it.live_nodes() == 2);
    eventually("both are seen", both).await;
    let set = limiters[0].set(&["a"]).unwrap();
    assert_eq!(check(&limiters[0], "k", &set).await.remaining(), 9);
    redis.flush().await.unwrap();
    assert_eq!(check(&limiters[0], "k", &set).await.remaining(), 9);
    eventually("both are seen", both).await;
}

/// A deadline is for Redis: it says nothing of a runtime that does not get round to its answer.
#[tokio::test]
async fn a_busy_runtime_is_not_taken_for_a_slow_redis() {
    let stack = redis().await;
    let url = stack.redis().unwrap().url();
    let deadline = Duration::from_millis(50);
    let config = ClusterConfig { deadline, failures_to_open: 1_000, ..exact(url) };
    let limiter = node(&config, &[policy("a", 1_000)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert!(check(&limiter, "warm", &set).await.is_allowed());
    // Between two looks at the socket the deadline passes.
    let busy: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn(async move {
                loop {
                    let start = Instant::now();
                    while start.elapsed() < deadline / 10 {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut by_redis = 0;
    for _ in 0..20 {
        by_redis += u32::from(check(&limiter, "a", &set).await.source() == Source::Redis);
        if by_redis > 0 {
            break;
        }
    }
    busy.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(by_redis > 0, "its answers lay in the socket");
}

#[tokio::test]
async fn a_redis_that_hangs_is_given_up_for_settlement_as_for_decisions() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let lease_ttl = Duration::from_secs(2);
    let deadline = Duration::from_secs(1);
    let config = ClusterConfig { lease_ttl, deadline, ..leased(redis.url()) };
    let names = ["a", "b", "c"];
    let limiter = node(&config, &names.map(|name| policy(name, 1_000_000))).await;
    for name in names {
        // Leases of three sets are returned by three commands.
        let set = limiter.set(&[name]).unwrap();
        let before = limiter.leased_units();
        eventually("units are taken ahead", async || {
            let _ = check(&limiter, "k", &set).await;
            limiter.leased_units() > before
        })
        .await;
    }
    redis.pause().await.unwrap();
    let start = Instant::now();
    // Nobody asks for a decision any more.
    eventually("it is given up", async || !limiter.is_reachable()).await;
    let took = start.elapsed();
    redis.resume().await.unwrap();
    assert!(took < deadline * 15, "not by the connection, which waits for 20 deadlines: {took:?}");
    eventually("and asked again", async || limiter.is_reachable()).await;
}
