use std::sync::Arc;

use seawall_devstack::Redis;
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

#[tokio::test]
async fn a_master_that_is_gone_takes_its_own_keys_with_it_and_no_others() {
    let builder = Stack::builder().redis_cluster();
    let builder = builder.redis_setting("cluster-require-full-coverage", "no");
    let stack = builder.start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    // Never spent, and kept by Redis for as long as it takes to look.
    let quota = Quota::per(1_000, HOUR).unwrap().with_burst(1_000_000).unwrap();
    let limiter = node(&exact(cluster.url()), &[Policy::new("a", quota)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let by_redis = async || {
        let mut redis = Vec::new();
        for key in 0..60_u64 {
            let decision = limiter.check(key, &set, Instant::now()).await;
            assert!(decision.is_allowed(), "{decision:?}");
            redis.push(decision.source() == Source::Redis);
        }
        redis
    };
    let all = |by: &[bool]| by.iter().all(|redis| *redis);
    assert!(all(&by_redis().await));
    for gone in &cluster.nodes()[..2] {
        // Whose keys they are is told by who has them.
        let own = subjects(gone).await.len();
        assert!((1..60).contains(&own), "{own}");
        gone.kill().await.unwrap();
        let alone = |by: &[bool]| by.iter().filter(|redis| !**redis).count();
        eventually("its own keys are decided without it", async || alone(&by_redis().await) == own)
            .await;
        assert!(!limiter.is_reachable());
        // They stay so, nobody waits for it, and all others are exact.
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(alone(&by_redis().await), own);
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        gone.restart().await.unwrap();
        eventually("all keys are decided by Redis again", async || all(&by_redis().await)).await;
        eventually("and that is known", async || limiter.is_reachable()).await;
        // Or one that still takes this for gone would find itself in a minority without the next.
        for node in cluster.nodes() {
            eventually("the masters know of each other again", async || {
                let nodes = node.command(&["CLUSTER", "NODES"]).await.unwrap();
                !nodes.text().unwrap().contains("fail")
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_slot_on_its_way_is_decided_where_each_key_is() {
    let stack = Stack::builder().redis_cluster().start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let limiter = node(&exact(cluster.url()), &[policy("a", 6)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert!(limiter.check(0_u64, &set, Instant::now()).await.is_allowed());
    let mut holder = None;
    for node in cluster.nodes() {
        if let Some(key) = subjects(node).await.pop() {
            holder = Some((node, key));
        }
    }
    let (giver, key) = holder.unwrap();
    let taker = cluster.nodes().iter().find(|it| it.addr() != giver.addr()).unwrap();
    let slot = fred::util::redis_keyslot(key.as_bytes()).to_string();
    let id = async |node: &Redis| node.command(&["CLUSTER", "MYID"]).await.unwrap().text().unwrap();
    let (from, to) = (id(giver).await, id(taker).await);
    taker.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]).await.unwrap();
    giver.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]).await.unwrap();
    let left = async || {
        let decision = limiter.check(0_u64, &set, Instant::now()).await;
        assert_eq!(decision.source(), Source::Redis, "{decision:?}");
        decision.remaining()
    };
    assert_eq!(left().await, 4, "it is still there");
    let (host, port) = (taker.host(), taker.port().to_string());
    giver.command(&["MIGRATE", &host, &port, &key, "0", "5000"]).await.unwrap();
    assert_eq!(left().await, 3, "it is asked for where it went, and charged once");
    for node in [taker, giver] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]).await.unwrap();
    }
    assert_eq!(left().await, 2, "the slot is the taker's");
}

#[tokio::test]
async fn a_master_that_hangs_holds_up_no_heartbeats() {
    let builder = Stack::builder().redis_cluster();
    let stack = builder.redis_setting("cluster-require-full-coverage", "no").start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    // Patient: a probe takes longer than it takes to be counted no more.
    let config = ClusterConfig { failures_to_open: 1, ..exact(cluster.url()) };
    let limiter = node(&config, &[policy("a", 1_000)]).await;
    let other = node(&config, &[policy("a", 1_000)]).await;
    eventually("both are counted", async || other.live_nodes() == 2).await;
    // Not the one that counts the nodes.
    let mut hung = None;
    for node in cluster.nodes() {
        if node.command(&["GET", "{control}"]).await.is_err() {
            hung = Some(node);
        }
    }
    hung.unwrap().pause().await.unwrap();
    let set = limiter.set(&["a"]).unwrap();
    let checks = (0..16_u64).map(|key| limiter.check(key, &set, Instant::now()));
    futures_util::future::join_all(checks).await;
    assert!(!limiter.is_reachable(), "some of them are its");
    let (mut counted, mut all) = (0, 0);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        counted += u32::from(other.live_nodes() == 2);
        all += 1;
        sleep(Duration::from_millis(10)).await;
    }
    hung.unwrap().resume().await.unwrap();
    assert!(counted > all * 2 / 3, "counted {counted} times of {all}");
    eventually("and it is asked again", async || limiter.is_reachable()).await;
}

#[tokio::test]
async fn a_slot_on_its_way_to_a_gone_master_gives_up_no_other_of_the_giver() {
    let builder = Stack::builder().redis_cluster();
    let stack = builder.redis_setting("cluster-require-full-coverage", "no").start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let config = ClusterConfig { failures_to_open: 1, ..exact(cluster.url()) };
    let limiter = node(&config, &[policy("a", 1_000)]).await;
    let set = limiter.set(&["a"]).unwrap();
    // The key that is on its way, and another of the same master.
    assert!(limiter.check(0_u64, &set, Instant::now()).await.is_allowed());
    let mut holder = None;
    for node in cluster.nodes() {
        if let Some(key) = subjects(node).await.pop() {
            holder = Some((node, key));
        }
    }
    let (giver, key) = holder.unwrap();
    let mut other = 0_u64;
    while subjects(giver).await.len() < 2 {
        other += 1;
        assert!(limiter.check(other, &set, Instant::now()).await.is_allowed());
    }
    // Not the one that keeps the heartbeats.
    let mut taker = None;
    for node in cluster.nodes().iter().filter(|it| it.addr() != giver.addr()) {
        if node.command(&["GET", "{control}"]).await.is_err() {
            taker = Some(node);
        }
    }
    let taker = taker.unwrap();
    let slot = fred::util::redis_keyslot(key.as_bytes()).to_string();
    let id = async |node: &Redis| node.command(&["CLUSTER", "MYID"]).await.unwrap().text().unwrap();
    let (from, to) = (id(giver).await, id(taker).await);
    taker.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]).await.unwrap();
    giver.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]).await.unwrap();
    giver.command(&["DEL", &key]).await.unwrap();
    taker.kill().await.unwrap();
    eventually("that is noticed", async || !limiter.is_reachable()).await;
    for _ in 0..5 {
        let decision = limiter.check(0_u64, &set, Instant::now()).await;
        assert_eq!(decision.source(), Source::Local, "{decision:?}");
        let decision = limiter.check(other, &set, Instant::now()).await;
        assert_eq!(decision.source(), Source::Redis, "the giver answers: {decision:?}");
    }
}
