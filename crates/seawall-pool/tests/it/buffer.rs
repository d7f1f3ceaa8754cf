//! Writes while there is no primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use seawall_devstack::{Postgres, Proxy, Stack};
use seawall_pool::tokio_postgres::error::SqlState;
use seawall_pool::{BufferConfig, Error, NodeConfig, Outcome, Pool, PoolConfig};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::support::{
    admin, config, count, is_up, millis, node, pool, port, secs, slow_door, stack, until,
};

async fn with_table(stack: &Stack, buffer: BufferConfig, max_size: usize) -> Pool {
    let config = PoolConfig { buffer, max_size, ..config(stack) };
    let pool = Pool::connect(config).await.unwrap();
    let sql = "CREATE TABLE entry (number bigserial, id bigint)";
    pool.write().execute(sql, &[]).await.unwrap();
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    replica.wait_caught_up(primary, secs(20)).await.unwrap();
    pool
}

fn bounds(max_writes: usize, max_wait: Duration) -> BufferConfig {
    BufferConfig { max_writes, max_wait }
}

async fn write(pool: &Pool, id: i64) -> Result<u64, Error> {
    pool.write().execute("INSERT INTO entry (id) VALUES ($1)", &[&id]).await
}

fn spawn_write(pool: &Pool, id: i64) -> JoinHandle<Result<u64, Error>> {
    let pool = pool.clone();
    tokio::spawn(async move { write(&pool, id).await })
}

/// Waits until so many writes are in the line.
async fn waiting(pool: &Pool, writes: usize) {
    let there = async || pool.status().buffered_writes == writes;
    until("the writes wait", secs(20), there).await;
}

/// Kills a server and waits until the pool knows of all its connections that they are broken, so
/// that no write is sent on one.
async fn kill(pool: &Pool, server: &Postgres, name: &str) {
    server.kill().await.unwrap();
    let known = async || node(pool, name).available == 0;
    until("its connections are gone", secs(20), known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_wait_for_a_promotion_and_only_those_on_their_way_fail() {
    let stack = stack(1).await;
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let pool = with_table(&stack, bounds(1_000, secs(30)), 8).await;
    let (stop, ids) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        let (pool, stop, ids) = (pool.clone(), Arc::clone(&stop), Arc::clone(&ids));
        writers.spawn(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let id = ids.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = write(&pool, id).await {
                    failures.push(error);
                }
            }
            failures
        });
    }
    let rows = "SELECT count(*) FROM entry";
    until("writes are done", secs(20), async || count(new, rows).await > 100).await;
    old.kill().await.unwrap();
    waiting(&pool, 20).await;
    let before = count(new, rows).await;
    let asked = Instant::now();
    new.promote().await.unwrap();
    let promoted = asked.elapsed();
    let done = async || count(new, rows).await > before;
    until("writes go on", secs(20), done).await;
    println!("promoted after {promoted:?}, first write seen after {:?}", asked.elapsed());
    until("all have gone on", secs(20), async || count(new, rows).await > before + 100).await;
    stop.store(true, Ordering::Relaxed);
    let failures: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    println!("{} failed", failures.len());
    let on_their_way = |error: &Error| error.outcome() == Some(Outcome::Unknown);
    assert!(failures.iter().all(on_their_way), "{failures:?}");
    assert!(failures.len() <= 8, "one for each connection at most: {failures:?}");
    let twice = "SELECT count(*) FROM (SELECT id FROM entry GROUP BY id HAVING count(*) > 1) AS t";
    assert_eq!(count(new, twice).await, 0);
    assert_eq!(port(pool.write()).await, new.port());
}

#[tokio::test]
async fn writes_that_waited_go_in_the_order_in_which_they_came() {
    let stack = stack(1).await;
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let pool = with_table(&stack, bounds(100, secs(30)), 1).await;
    kill(&pool, old, "primary").await;
    // Who comes while others wait stands behind them without trying.
    let first = spawn_write(&pool, 0);
    waiting(&pool, 1).await;
    let rest = async { join_all((1..50).map(|id| write(&pool, id))).await };
    let promote = async {
        waiting(&pool, 50).await;
        new.promote().await.unwrap();
    };
    let (rest, ()) = tokio::join!(rest, promote);
    first.await.unwrap().unwrap();
    rest.into_iter().for_each(|done| assert_eq!(done.unwrap(), 1));
    let out_of_order = "SELECT count(*) FROM \
         (SELECT id, row_number() OVER (ORDER BY number) - 1 AS place FROM entry) AS t \
         WHERE id <> place";
    assert_eq!(count(new, out_of_order).await, 0);
}

#[tokio::test]
async fn an_outage_without_a_promotion_is_waited_for_once() {
    let stack = stack(1).await;
    let pool = with_table(&stack, bounds(100, millis(500)), 8).await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    let error = write(&pool, 1).await.unwrap_err();
    let Error::NoPrimary { waited, .. } = &error else { panic!("{error}") };
    assert!(*waited >= millis(500), "{waited:?}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    assert!(error.is_retryable());
    let error = write(&pool, 2).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "at once, with its cause: {error:?}");
    // Back on the same address, it takes writes, and the next outage is waited for again.
    stack.primary().unwrap().restart().await.unwrap();
    let works = async || write(&pool, 3).await.is_ok();
    until("writes go on", secs(20), works).await;
    until("the outage is over", secs(20), async || is_up(&pool, "primary")).await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    let waits = async || matches!(write(&pool, 4).await, Err(Error::NoPrimary { .. }));
    until("writes wait again", secs(20), waits).await;
}

#[tokio::test]
async fn a_primary_that_restarts_is_waited_for_too() {
    let stack = stack(1).await;
    let primary = stack.primary().unwrap();
    let pool = with_table(&stack, bounds(100, secs(30)), 8).await;
    kill(&pool, primary, "primary").await;
    let writes: Vec<_> = (0..10).map(|id| spawn_write(&pool, id)).collect();
    waiting(&pool, 10).await;
    primary.restart().await.unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(count(primary, "SELECT count(*) FROM entry").await, 10);
}

#[tokio::test]
async fn one_write_too_many_is_refused_at_once_and_one_that_leaves_makes_room_and_is_not_sent() {
    let stack = stack(1).await;
    let new = stack.replica(0).unwrap();
    let pool = with_table(&stack, bounds(1, secs(30)), 8).await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    let leaver = spawn_write(&pool, 1);
    waiting(&pool, 1).await;
    let error = write(&pool, 2).await.unwrap_err();
    assert!(matches!(error, Error::BufferFull { waiting: 1 }), "{error}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    leaver.abort();
    assert!(leaver.await.unwrap_err().is_cancelled());
    waiting(&pool, 0).await;
    let stayer = spawn_write(&pool, 3);
    waiting(&pool, 1).await;
    new.promote().await.unwrap();
    stayer.await.unwrap().unwrap();
    assert_eq!(count(new, "SELECT sum(id)::bigint FROM entry").await, 3);
}

#[tokio::test]
async fn a_transaction_waits_for_its_connection_and_shutdown_ends_the_wait() {
    let stack = stack(1).await;
    let new = stack.replica(0).unwrap();
    let pool = with_table(&stack, bounds(10, secs(30)), 8).await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    let transaction = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut conn = pool.write().get().await?;
            let transaction = conn.transaction().await?;
            transaction.execute("INSERT INTO entry (id) VALUES (1)", &[]).await?;
            transaction.commit().await
        }
    });
    waiting(&pool, 1).await;
    new.promote().await.unwrap();
    transaction.await.unwrap().unwrap();
    assert_eq!(count(new, "SELECT count(*) FROM entry").await, 1);
    kill(&pool, new, "replica-1").await;
    let left = spawn_write(&pool, 2);
    waiting(&pool, 1).await;
    pool.shutdown().await;
    assert!(matches!(left.await.unwrap(), Err(Error::Closed)));
}

#[tokio::test]
async fn without_a_buffer_or_failover_a_write_without_a_primary_fails_at_once() {
    let stack = stack(1).await;
    let pool = with_table(&stack, bounds(0, secs(30)), 8).await;
    let fixed = PoolConfig { failover: false, ..config(&stack) };
    let fixed = Pool::connect(fixed).await.unwrap();
    kill(&fixed, stack.primary().unwrap(), "primary").await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    for pool in [pool, fixed] {
        let error = write(&pool, 1).await.unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::NotSent));
        assert!(!matches!(error, Error::NoPrimary { .. }), "{error}");
    }
}

/// Its monitor is connected, and nobody else gets in.
#[tokio::test]
async fn a_primary_that_looks_alive_and_refuses_connections_is_waited_for_no_longer_either() {
    let stack = stack(1).await;
    let primary = stack.primary().unwrap();
    let door = Proxy::start(primary.addr()).await.unwrap();
    let mut config = config(&stack);
    config.primary = NodeConfig::new(primary.url_via(door.addr()));
    let config = PoolConfig { buffer: bounds(10, millis(700)), min_idle: 0, max_size: 1, ..config };
    let pool = Pool::connect(config).await.unwrap();
    door.refuse().await.unwrap();
    // The one connection there is is not lent again.
    pool.evict();
    let error = write(&pool, 1).await.unwrap_err();
    assert!(matches!(error, Error::NoPrimary { .. }), "{error:?}");
    door.accept().await.unwrap();
    let sent = async || {
        let refused = Some(&SqlState::UNDEFINED_TABLE);
        write(&pool, 2).await.is_err_and(|error| error.sqlstate() == refused)
    };
    until("writes are sent", secs(20), sent).await;
}

/// A writer that is not the primary must not let anybody go, though the primary was away once.
#[tokio::test]
async fn a_second_primary_beside_a_live_one_gets_no_write_that_waited() {
    let stack = stack(1).await;
    let pool = pool(&stack).await;
    admin(stack.primary().unwrap(), "CREATE TABLE entry (id bigint)").await;
    kill(&pool, stack.primary().unwrap(), "primary").await;
    stack.primary().unwrap().restart().await.unwrap();
    until("it is back", secs(30), async || is_up(&pool, "primary")).await;
    let back = Instant::now();
    let looked_since = async || {
        let probed = node(&pool, "replica-1").probed.unwrap();
        is_up(&pool, "replica-1") && back.elapsed() > probed + secs(1)
    };
    until("the replica is seen to follow", secs(30), looked_since).await;
    stack.replica(0).unwrap().promote().await.unwrap();
    for id in 0..20 {
        write(&pool, id).await.unwrap();
    }
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM entry").await, 20);
    assert!(node(&pool, "primary").primary);
}

/// A primary that is there, but is not reached in time, is not asked again and again.
#[tokio::test]
async fn a_write_whose_time_to_connect_is_over_does_not_go_on_waiting_for_a_primary() {
    let stack = stack(1).await;
    let door = slow_door(stack.primary().unwrap().addr(), secs(5)).await;
    let mut config = config(&stack);
    config.primary = NodeConfig::new(stack.primary().unwrap().url_via(door));
    let config = PoolConfig {
        acquire_timeout: secs(1),
        buffer: bounds(10, secs(60)),
        min_idle: 0,
        max_size: 1,
        health_timeout: secs(60),
        ..config
    };
    let pool = Pool::connect(config).await.unwrap();
    pool.evict();
    let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout { .. }), "{error:?}");
}
