use std::sync::Arc;

use seawall_limit::Source;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_answer_most_checks_and_stay_within_the_bound() {
    let stack = redis().await;
    let config = leased(stack.redis().unwrap().url());
    let quota = Quota::per(20_000, Duration::from_secs(1)).unwrap();
    let mut tasks = Vec::new();
    let start = Instant::now();
    let mut bound = 0;
    for _ in 0..8 {
        let limiter = node(&config, &[Policy::new("a", quota)]).await;
        bound = limiter.over_admission_bound("a").unwrap();
        tasks.push(tokio::spawn(async move {
            let set = Arc::new(limiter.set(&["a"]).unwrap());
            let (mut admitted, mut leased) = (0_u64, 0_u64);
            for _ in 0..6_000 {
                let decision = check(&limiter, "k", &set).await;
                admitted += u64::from(decision.is_allowed());
                leased += u64::from(decision.source() == Source::Lease);
            }
            (admitted, leased)
        }));
    }
    let (mut admitted, mut leased) = (0, 0);
    for task in tasks {
        let (a, l) = task.await.unwrap();
        admitted += a;
        leased += l;
    }
    let most = quota.max_admitted(start.elapsed()) + bound;
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(leased > admitted / 2, "{leased} of {admitted}");
}

#[tokio::test]
async fn every_unit_can_be_spent_and_none_twice_whoever_held_it() {
    let stack = redis().await;
    let short = Duration::from_millis(200);
    let config = ClusterConfig { lease_ttl: short, ..leased(stack.redis().unwrap().url()) };
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(node(&config, &[policy("a", 200)]).await);
    }
    let sets: Vec<_> = nodes.iter().map(|it| it.set(&["a"]).unwrap()).collect();
    let mut admitted = 0;
    // Units that one node holds and does not use come back for the others.
    eventually("all units are spent", async || {
        for (limiter, set) in nodes.iter().zip(&sets) {
            for _ in 0..7 {
                admitted += u32::from(check(limiter, "k", set).await.is_allowed());
            }
        }
        assert!(admitted <= 200, "{admitted}");
        admitted == 200
    })
    .await;
    // An hour for 200: 18 s a unit, and the test is shorter or slower by a unit or two.
    let mut more = 0;
    for (limiter, set) in nodes.iter().zip(&sets) {
        more += u32::from(check(limiter, "k", set).await.is_allowed());
    }
    assert!(more <= 2, "{more}");
}

#[tokio::test]
async fn a_shutdown_gives_back_what_was_taken_ahead() {
    let stack = redis().await;
    let config = leased(stack.redis().unwrap().url());
    let (first, second) =
        (node(&config, &[policy("a", 1_000)]).await, node(&config, &[policy("a", 1_000)]).await);
    let set = first.set(&["a"]).unwrap();
    let mut admitted = 0;
    while first.leased_units() == 0 {
        admitted += u32::from(check(&first, "k", &set).await.is_allowed());
        assert!(admitted < 900, "it never takes ahead");
    }
    let of_second = second.set(&["a"]).unwrap();
    let held = second.peek("k", &of_second).await.unwrap().remaining();
    assert!(held < 1_000 - admitted, "{held} left after {admitted}");
    first.shutdown().await;
    // 3.6 s a unit: what took longer than that is not given back twice.
    let left = second.peek("k", &of_second).await.unwrap().remaining();
    assert!(left + 3 >= 1_000 - admitted, "{left} left after {admitted}");
    assert!(left <= 1_000 - admitted + 9, "{left} left after {admitted}");
}

#[tokio::test]
async fn an_exact_policy_is_never_leased() {
    let stack = redis().await;
    let builder = ClusterLimiter::builder(leased(stack.redis().unwrap().url()));
    let builder = builder.policies([policy("a", 1_000), policy("b", 1_000)]).exact("a");
    let limiter = builder.connect().await.unwrap();
    let both = limiter.set(&["b", "a"]).unwrap();
    for _ in 0..200 {
        assert_eq!(check(&limiter, "k", &both).await.source(), Source::Redis);
    }
    assert_eq!(limiter.leased_units(), 0);
    assert_eq!(limiter.over_admission_bound("a").unwrap(), 0);
    // 3.6 s a unit, and an answer may take 5 s.
    assert_eq!(limiter.over_admission_bound("b").unwrap(), 2);
}

#[tokio::test]
async fn a_check_on_a_thread_without_a_runtime_still_takes_more_ahead() {
    let stack = redis().await;
    let minute = Duration::from_secs(60);
    let config = ClusterConfig { lease_ttl: minute, ..leased(stack.redis().unwrap().url()) };
    let limiter = node(&config, &[policy("a", 1_000_000)]).await;
    let set = limiter.set(&["a"]).unwrap();
    // Leases grow; those of eight and more are renewed before they are spent.
    eventually("it holds some", async || {
        assert!(check(&limiter, "k", &set).await.is_allowed());
        limiter.leased_units() >= 16
    })
    .await;
    let spend = move || {
        let mut spent = 0;
        while spent < 100_000
            && limiter.try_check_n("k", &set, 1, Instant::now()).is_some_and(|it| it.is_allowed())
        {
            spent += 1;
        }
        spent
    };
    let spent = tokio::task::spawn_blocking(|| std::thread::spawn(spend).join()).await.unwrap();
    assert!(spent.expect("no panic") >= 16);
}

#[tokio::test]
async fn a_node_that_shuts_down_is_counted_no_more() {
    let stack = redis().await;
    // By itself it would be missed after five beats.
    let slow = Duration::from_secs(10);
    let config = ClusterConfig { heartbeat: slow, ..leased(stack.redis().unwrap().url()) };
    let (first, second) =
        (node(&config, &[policy("a", 10)]).await, node(&config, &[policy("a", 10)]).await);
    assert_eq!(second.live_nodes(), 2);
    first.shutdown().await;
    eventually("it has left", async || {
        // An order makes nodes beat at once.
        second.block("k", Duration::from_millis(1)).await.unwrap();
        second.live_nodes() == 1
    })
    .await;
}

#[tokio::test]
async fn a_dropped_check_takes_no_units_with_it_that_were_taken_ahead() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let minute = Duration::from_secs(60);
    let config = ClusterConfig { lease_ttl: minute, ..leased(redis.url()) };
    let limiter = node(&config, &[policy("a", 1_000)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert!(check(&limiter, "k", &set).await.is_allowed());
    // The second takes some ahead.
    redis.pause().await.unwrap();
    {
        let check = check(&limiter, "k", &set);
        let mut check = std::pin::pin!(check);
        let sent = tokio::time::timeout(Duration::from_millis(300), &mut check).await;
        assert!(sent.is_err());
    }
    redis.resume().await.unwrap();
    eventually("what was taken ahead is held", async || limiter.leased_units() > 0).await;
    assert_eq!(check(&limiter, "k", &set).await.source(), Source::Lease);
}
