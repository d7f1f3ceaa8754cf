use std::sync::Arc;

use seawall_limit::Source;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_all_slots_are_decided_and_follow_a_failover() {
    let stack = Stack::builder().redis_cluster_with_replicas().start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let config = exact(cluster.url());
    let (first, second) = (
        node(&config, &[policy("a", 6)]).await,
        node(&ClusterConfig { functions: true, ..config.clone() }, &[policy("a", 6)]).await,
    );
    let spend = async |limiter: &ClusterLimiter| {
        let set = Arc::new(limiter.set(&["a"]).unwrap());
        let tasks: Vec<_> = (0..60_u64)
            .map(|key| {
                let (limiter, set) = (limiter.clone(), Arc::clone(&set));
                tokio::spawn(async move {
                    let mut admitted = 0;
                    for _ in 0..2 {
                        let decision = limiter.check(key, &set, Instant::now()).await;
                        assert_eq!(decision.source(), Source::Redis, "key {key}");
                        admitted += u32::from(decision.is_allowed());
                    }
                    admitted
                })
            })
            .collect();
        let mut admitted = 0;
        for task in tasks {
            admitted += task.await.unwrap();
        }
        admitted
    };
    assert_eq!(spend(&first).await, 120);
    assert_eq!(spend(&second).await, 120);
    // Each node has its part.
    for node in cluster.nodes() {
        assert!(!subjects(node).await.is_empty());
    }
    // A replica takes over, with all that it was told: MOVED from then on.
    let replica = &cluster.replicas()[0];
    replica.command(&["CLUSTER", "FAILOVER"]).await.unwrap();
    eventually("the replica is master", async || {
        let role = replica.command(&["ROLE"]).await.unwrap();
        texts(role).first().is_some_and(|role| role == "master")
    })
    .await;
    let set = first.set(&["a"]).unwrap();
    eventually("all slots are served", async || {
        for key in 100..160_u64 {
            if first.check(key, &set, Instant::now()).await.source() != Source::Redis {
                return false;
            }
        }
        true
    })
    .await;
    for key in 0..60_u64 {
        let left = first.peek(key, &set).await.unwrap().remaining();
        assert_eq!(left, 2, "key {key}");
    }
}

#[tokio::test]
async fn a_master_that_hangs_takes_its_own_keys_with_it_and_no_others() {
    let builder = Stack::builder().redis_cluster();
    let builder = builder.redis_setting("cluster-require-full-coverage", "no");
    let stack = builder.start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let config = ClusterConfig { deadline: Duration::from_secs(1), ..exact(cluster.url()) };
    let limiter = node(&config, &[policy("a", 200)]).await;
    let set = limiter.set(&["a"]).unwrap();
    // Whose keys they are is told by who has them.
    for key in 0..30_u64 {
        assert!(limiter.check(key, &set, Instant::now()).await.is_allowed());
    }
    let own = subjects(&cluster.nodes()[0]).await.len();
    assert!((1..30).contains(&own), "{own}");
    cluster.nodes()[0].pause().await.unwrap();
    eventually("only the keys of the one that hangs are decided without it", async || {
        let mut alone = 0;
        for key in 0..30_u64 {
            let decision = limiter.check(key, &set, Instant::now()).await;
            alone += usize::from(decision.source() == Source::Local);
        }
        alone == own
    })
    .await;
    cluster.nodes()[0].resume().await.unwrap();
}

/// What fred's one connection task costs: see `docs/cluster.md`.
#[tokio::test]
async fn a_master_that_is_gone_without_a_replica_leaves_all_keys_to_their_failure_modes() {
    let builder = Stack::builder().redis_cluster();
    let builder = builder.redis_setting("cluster-require-full-coverage", "no");
    let stack = builder.start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let limiter = node(&exact(cluster.url()), &[policy("a", 200_000)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let by_redis = async || {
        let mut redis = 0;
        for key in 0..30_u64 {
            let decision = limiter.check(key, &set, Instant::now()).await;
            assert!(decision.is_allowed(), "{decision:?}");
            redis += u32::from(decision.source() == Source::Redis);
        }
        redis
    };
    assert_eq!(by_redis().await, 30);
    cluster.nodes()[0].kill().await.unwrap();
    eventually("no key is decided by Redis", async || by_redis().await == 0).await;
    // Nobody waits for it.
    let start = Instant::now();
    assert_eq!(by_redis().await, 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    cluster.nodes()[0].restart().await.unwrap();
    eventually("all keys are decided by Redis again", async || by_redis().await == 30).await;
}
