//! What can be done to Redis.

use seawall_devstack::{Error, Reply, Stack};

use crate::support::{SOON, hangs, is_alive};

/// Waits until `server` has `value` for `key`.
async fn follows(server: &seawall_devstack::Redis, key: &str, value: &str) {
    let begun = tokio::time::Instant::now();
    while get(server, key).await.as_deref() != Some(value) {
        assert!(begun.elapsed() < SOON, "the replica does not follow");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn get(redis: &seawall_devstack::Redis, key: &str) -> Option<String> {
    redis.command(&["GET", key]).await.unwrap().text()
}

#[tokio::test]
async fn commands_answer_and_flush_empties() {
    let stack = Stack::builder().redis().redis_setting("maxmemory", "32mb").start().await.unwrap();
    let redis = stack.redis().unwrap();
    assert_eq!(redis.command(&["SET", "k", "v"]).await.unwrap(), Reply::Status("OK".into()));
    assert_eq!(get(redis, "k").await.as_deref(), Some("v"));
    let limit = redis.command(&["CONFIG", "GET", "maxmemory"]).await.unwrap();
    let Reply::Array(limit) = limit else { panic!("{limit:?}") };
    assert_eq!(limit[1].text().as_deref(), Some("33554432"));
    redis.flush().await.unwrap();
    assert_eq!(get(redis, "k").await, None);
    let error = redis.command(&["NONSENSE"]).await.unwrap_err();
    assert!(matches!(error, Error::Redis { .. }) && !error.is_retryable(), "{error}");
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
}

#[tokio::test]
async fn paused_redis_hangs_and_resumes_with_its_data() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    redis.command(&["SET", "k", "v"]).await.unwrap();
    redis.pause().await.unwrap();
    assert!(hangs(redis.command(&["GET", "k"])).await);
    redis.resume().await.unwrap();
    assert_eq!(get(redis, "k").await.as_deref(), Some("v"));
}

#[tokio::test]
async fn killed_redis_refuses_and_comes_back_empty_on_its_port() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    let (port, pid) = (redis.port(), redis.pid().unwrap());
    redis.command(&["SET", "k", "v"]).await.unwrap();
    redis.kill().await.unwrap();
    assert!(!is_alive(pid));
    assert_eq!(redis.pid(), None);
    let error = redis.command(&["PING"]).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    redis.restart().await.unwrap();
    assert_eq!((redis.port(), get(redis, "k").await), (port, None));
    // From running as well.
    redis.restart().await.unwrap();
}

#[tokio::test]
async fn cluster_serves_all_slots_from_three_masters() {
    let stack = Stack::builder().redis_cluster().start().await.unwrap();
    println!("cluster was ready in {:?}", stack.ready_in());
    let cluster = stack.redis_cluster().unwrap();
    assert!(stack.redis().is_err());
    assert_eq!(cluster.nodes().len(), 3);
    for node in cluster.nodes() {
        let info = node.command(&["CLUSTER", "INFO"]).await.unwrap().text().unwrap();
        for line in ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"] {
            assert!(info.contains(line), "{info}");
        }
    }
    // Slots 12182 and 5061: the third node's and the first one's.
    let [first, _, third] = cluster.nodes() else { panic!() };
    third.command(&["SET", "foo", "1"]).await.unwrap();
    first.command(&["SET", "bar", "1"]).await.unwrap();
    let moved = first.command(&["SET", "foo", "1"]).await.unwrap_err();
    let moved = std::error::Error::source(&moved).unwrap().to_string();
    assert_eq!(moved, format!("MOVED 12182 {}", third.addr()));
    let addr = |index: usize| cluster.nodes()[index].addr();
    let url = format!("redis-cluster://{}?node={}&node={}", addr(0), addr(1), addr(2));
    assert_eq!(cluster.url(), url);
    cluster.flush().await.unwrap();
    assert_eq!(get(third, "foo").await, None);
}

#[tokio::test]
async fn replica_of_a_cluster_takes_over_when_asked() {
    let stack = Stack::builder().redis_cluster_with_replicas().start().await.unwrap();
    println!("cluster with replicas was ready in {:?}", stack.ready_in());
    let cluster = stack.redis_cluster().unwrap();
    assert_eq!((cluster.nodes().len(), cluster.replicas().len()), (3, 3));
    let replica = &cluster.replicas()[0];
    let (begun, mut asked) = (tokio::time::Instant::now(), 0);
    while replica.command(&["SET", "bar", "1"]).await.is_err() {
        assert!(begun.elapsed() < SOON);
        // It gives up after five seconds, which a busy machine may take.
        if begun.elapsed().as_secs() / 11 >= asked {
            let _ = replica.command(&["CLUSTER", "FAILOVER"]).await;
            asked += 1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    cluster.wait_ready(SOON).await.unwrap();
}

#[tokio::test]
async fn restarted_node_rejoins_its_cluster() {
    let stack = Stack::builder().redis_cluster().start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    cluster.nodes()[1].restart().await.unwrap();
    cluster.wait_ready(SOON).await.unwrap();
}

#[tokio::test]
async fn replica_becomes_master_when_the_master_is_killed() {
    let stack = Stack::builder().redis_sentinel().start().await.unwrap();
    println!("sentinels were ready in {:?}", stack.ready_in());
    let sentinel = stack.redis_sentinel().unwrap();
    let [first, replica] = sentinel.servers() else { panic!() };
    assert_eq!(sentinel.sentinels().len(), 3);
    assert_eq!(sentinel.master(SOON).await.unwrap().port(), first.port());
    first.command(&["SET", "k", "v"]).await.unwrap();
    // A replica that has not connected yet is not waited for.
    follows(replica, "k", "v").await;

    first.kill().await.unwrap();
    let second = sentinel.wait_failover(first, SOON).await.unwrap();
    assert_eq!(second.port(), replica.port());
    second.command(&["SET", "k", "w"]).await.unwrap();

    // The first comes back, as a replica.
    first.restart().await.unwrap();
    sentinel.wait_ready(SOON * 3).await.unwrap();
    // Soon, if not at once: it was seen to answer nil though its link was up.
    follows(first, "k", "w").await;
    let addr = |index: usize| sentinel.sentinels()[index].addr();
    let url = format!(
        "redis-sentinel://{}?node={}&node={}&sentinelServiceName=seawall",
        addr(0),
        addr(1),
        addr(2)
    );
    assert_eq!((sentinel.url(), sentinel.service()), (url, "seawall"));
}
