//! The primary in place of its replicas.

use futures_util::future::join_all;
use seawall_pool::{Error, Pool, PoolConfig, RoutingConfig};
use tokio::time::timeout;

use crate::support::{config, count, is_up, millis, node, secs, stack, until};

#[tokio::test]
async fn without_replicas_reads_leave_connections_of_the_primary_to_writes() {
    let stack = stack(1).await;
    let routing = RoutingConfig { fallback_share: 0.25, ..RoutingConfig::default() };
    let config = PoolConfig { routing, max_size: 8, max_waiting: 40, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let primary = stack.primary().unwrap();
    stack.replica(0).unwrap().stop().await.unwrap();
    until("it is out", secs(20), async || !is_up(&pool, "replica-1")).await;

    let held = pool.read().get().await.unwrap();
    let sql = "SELECT pg_sleep(0.05), 'a read'";
    let reads: Vec<_> = (0..40)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.read().query_one(sql, &[]).await })
        })
        .collect();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%a read%' \
         AND pid <> pg_backend_pid()";
    let mut most = 0;
    until("all are done", secs(20), async || {
        most = most.max(count(primary, running).await);
        // Whatever reads do, a write finds a connection.
        assert_eq!(node(&pool, "primary").waiting, 0);
        pool.write().execute("SELECT 1", &[]).await.unwrap();
        reads.iter().all(tokio::task::JoinHandle::is_finished)
    })
    .await;
    assert_eq!(most, 1, "two may be there, and one is held");
    for read in reads {
        read.await.unwrap().unwrap();
    }
    // Those that are too many even to wait.
    let second = pool.read().get().await.unwrap();
    let reads = join_all((0..41).map(|_| {
        let read = pool.read().query_one("SELECT 1", &[]);
        async { timeout(secs(1), read).await }
    }));
    let refused = reads
        .await
        .into_iter()
        .filter(|read| matches!(read, Ok(Err(Error::QueueFull { waiting: 40, .. }))));
    assert_eq!(refused.count(), 1, "forty wait");
    drop((held, second));
    pool.read().query_one("SELECT 1", &[]).await.unwrap();

    stack.replica(0).unwrap().restart().await.unwrap();
    until("it is back", secs(20), async || is_up(&pool, "replica-1")).await;
    let held = join_all((0..8).map(|_| pool.read().get())).await;
    assert!(held.iter().all(|conn| &**conn.as_ref().unwrap().node() == "replica-1"));
}

/// They would wait for the connection that analytics may have, in all places there are.
#[tokio::test]
async fn analytics_in_place_of_replicas_leave_places_to_the_reads_of_users() {
    let stack = stack(1).await;
    let routing = RoutingConfig { fallback_share: 0.5, ..RoutingConfig::default() };
    let config = PoolConfig { routing, max_size: 4, analytics_share: 0.25, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    stack.replica(0).unwrap().stop().await.unwrap();
    until("it is out", secs(20), async || !is_up(&pool, "replica-1")).await;
    let _one = pool.analytics().get().await.unwrap();
    let mut more: Vec<_> = (0..3).map(|_| Box::pin(pool.analytics().get())).collect();
    for one in &mut more {
        let served = timeout(millis(50), one).await;
        assert!(served.is_err(), "analytics have one connection");
    }
    pool.read().query_one("SELECT 1", &[]).await.expect("a user does not wait for them");
}

#[tokio::test]
async fn a_pool_that_is_shut_down_leaves_no_read_waiting_for_its_place() {
    let stack = stack(1).await;
    let routing = RoutingConfig { fallback_share: 0.0, ..RoutingConfig::default() };
    let config = PoolConfig { routing, query_timeout: secs(1), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    stack.replica(0).unwrap().stop().await.unwrap();
    until("it is out", secs(20), async || !is_up(&pool, "replica-1")).await;
    let _held = pool.read().get().await.unwrap();
    let other = pool.clone();
    let waits = tokio::spawn(async move { other.read().query_one("SELECT 1", &[]).await });
    tokio::task::yield_now().await;
    pool.shutdown().await;
    assert!(matches!(waits.await.unwrap(), Err(Error::Closed)));
}
