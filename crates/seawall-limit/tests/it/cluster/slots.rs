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
