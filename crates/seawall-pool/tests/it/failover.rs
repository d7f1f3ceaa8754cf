//! Promotions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics_util::debugging::DebuggingRecorder;
use seawall_devstack::{Direction, Faults, Proxy};
use seawall_pool::{Error, NodeConfig, NodeState, Outcome, Pool, PoolConfig};
use tokio::time::Instant;

use crate::metrics::value;
use crate::support::{admin, config, count, is_up, node, pool, port, secs, stack, until, wary};

/// Writes numbers one after the other, each until it is done or nobody knows, and
/// says which are done and what was met.
async fn write_on(pool: Pool, stop: Arc<AtomicBool>) -> (Vec<i64>, HashMap<Outcome, u32>) {
    let (mut done, mut errors) = (Vec::new(), HashMap::new());
    let mut id = 0i64;
    while !stop.load(Ordering::Relaxed) {
        match pool.write().execute("INSERT INTO mark VALUES ($1)", &[&id]).await {
            Ok(_) => {
                done.push(id);
                id += 1;
            }
            Err(error) => {
                let outcome = error.outcome().unwrap();
                *errors.entry(outcome).or_insert(0) += 1;
                if outcome == Outcome::Unknown {
                    id += 1;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    (done, errors)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_follow_a_promotion_none_is_done_twice_and_reads_go_on() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(2).await;
    let (old, new, follower) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    let pool = pool(&stack).await;
    pool.write().execute("CREATE TABLE mark (id bigint)", &[]).await.unwrap();
    new.wait_caught_up(old, secs(30)).await.unwrap();
    follower.wait_caught_up(old, secs(30)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_on(pool.clone(), Arc::clone(&stop)));
    let reader = tokio::spawn({
        let (pool, stop) = (pool.clone(), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                pool.read().query_one("SELECT 1", &[]).await.unwrap();
            }
        }
    });
    let rows = "SELECT count(*) FROM mark";
    until("writes are done", secs(30), async || count(new, rows).await > 100).await;
    old.kill().await.unwrap();
    new.promote().await.unwrap();
    let promoted = Instant::now();
    let before = count(new, rows).await;
    until("writes go on", secs(30), async || count(new, rows).await > before).await;
    let took = promoted.elapsed();
    println!("first write seen {took:?} after the promotion");
    assert!(took < secs(20), "{took:?}");
    follower.follow(new.addr()).await.unwrap();
    until("more are done", secs(30), async || count(new, rows).await > before + 100).await;
    stop.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    let (done, errors) = writer.await.unwrap();
    println!("{} done, {errors:?}", done.len());
    let twice = "SELECT count(*) FROM (SELECT id FROM mark GROUP BY id HAVING count(*) > 1) AS t";
    assert_eq!(count(new, twice).await, 0);
    assert!(errors.get(&Outcome::Unknown).is_none_or(|unknown| *unknown <= 1), "{errors:?}");
    assert_eq!(port(pool.write()).await, new.port());
    assert!(node(&pool, "replica-1").primary && !node(&pool, "primary").primary);
    // It comes back once it has taken up the log of the new primary.
    let serves = async || port(pool.read()).await == follower.port();
    until("the follower serves", secs(30), serves).await;
    // Where probes of the follower come too late for a moment, the primary serves: so not the next
    // twenty. Were it taken for a replica, twenty in a row would be beside it by chance.
    let alone = async || {
        for _ in 0..20 {
            if port(pool.read()).await != follower.port() {
                return false;
            }
        }
        true
    };
    until("the primary is no replica", secs(30), alone).await;

    // The old one comes back and takes writes: nobody gives it any.
    old.restart().await.unwrap();
    admin(old, "SELECT 1").await;
    let fenced = async || node(&pool, "primary").to_string().contains("not in recovery");
    until("the old primary is fenced", secs(30), fenced).await;
    assert!(value(&snapshotter, "seawall_pool_node_fenced", "primary") > 0.5, "raise an alarm");
    for _ in 0..20 {
        assert_eq!(port(pool.write()).await, new.port());
    }
}

/// The pool could not see the promotion, and the old primary was back first.
#[tokio::test]
async fn writes_leave_an_old_primary_that_is_back_before_the_promoted_one_is_seen() {
    let stack = stack(1).await;
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let (door, other) =
        (Proxy::start(old.addr()).await.unwrap(), Proxy::start(new.addr()).await.unwrap());
    let mut config = wary(config(&stack));
    config.primary = NodeConfig::new(old.url_via(door.addr()));
    config.replicas = vec![NodeConfig::new(new.url_via(other.addr()))];
    let pool = Pool::connect(config).await.unwrap();
    pool.write().execute("CREATE TABLE mark (id bigint)", &[]).await.unwrap();
    new.wait_caught_up(old, secs(30)).await.unwrap();

    other.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    let is_down = |name: &str| matches!(node(&pool, name).state, NodeState::Down { .. });
    until("the replica is out of sight", secs(30), async || is_down("replica-1")).await;
    door.refuse().await.unwrap();
    door.reset_all();
    until("the primary is out of sight", secs(30), async || is_down("primary")).await;
    new.promote().await.unwrap();
    door.accept().await.unwrap();
    until("the old primary is back", secs(30), async || is_up(&pool, "primary")).await;
    let insert = "INSERT INTO mark VALUES ($1)";
    pool.write().execute(insert, &[&0i64]).await.expect("nobody knows better");

    other.clear();
    until("the new one is seen", secs(30), async || node(&pool, "replica-1").primary).await;
    for id in 1..=20i64 {
        pool.write().execute(insert, &[&id]).await.unwrap();
    }
    assert_eq!(count(new, "SELECT count(*) FROM mark").await, 20);
    assert_eq!(count(old, "SELECT count(*) FROM mark").await, 1);
    let fenced = async || node(&pool, "primary").to_string().contains("not in recovery");
    until("the old primary is fenced", secs(30), fenced).await;
}

#[tokio::test]
async fn between_two_primaries_writes_are_refused_and_say_that_they_were_not_sent() {
    let stack = stack(1).await;
    let config = PoolConfig { failover: false, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    stack.primary().unwrap().kill().await.unwrap();
    stack.replica(0).unwrap().promote().await.unwrap();
    until("the primary is down", secs(30), async || !is_up(&pool, "primary")).await;
    until("the promoted one is out", secs(30), async || !is_up(&pool, "replica-1")).await;
    let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    assert!(error.is_retryable());
    assert!(!node(&pool, "replica-1").primary, "not unless it may");
}

#[tokio::test]
async fn a_writer_of_another_cluster_never_takes_over() {
    let stack = stack(0).await;
    let dir = std::env::temp_dir().join(format!("seawall-pool-usurper-{}", std::process::id()));
    let other = seawall_devstack::Stack::builder().dir(&dir).replicas(1).start().await.unwrap();
    let usurper = other.replica(0).unwrap();
    let replicas = vec![NodeConfig::new(usurper.url())];
    let pool = Pool::connect(PoolConfig { replicas, ..config(&stack) }).await.unwrap();
    usurper.promote().await.unwrap();
    stack.primary().unwrap().kill().await.unwrap();
    until("the primary is down", secs(30), async || !is_up(&pool, "primary")).await;
    for _ in 0..20 {
        assert!(pool.write().execute("SELECT 1", &[]).await.is_err());
    }
    assert!(!node(&pool, "replica-1").primary);
    other.shutdown().await;
    std::fs::remove_dir_all(dir).unwrap();
}
