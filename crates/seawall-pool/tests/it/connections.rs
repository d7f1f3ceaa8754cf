//! Connections: how many, for how long, and who waits for them.

use futures_util::future::join_all;
use seawall_pool::{Error, Pool, PoolConfig};
use tokio::time::Instant;

use crate::support::{OPEN, config, count, millis, node, pool_of_one, secs, stack, until};

#[tokio::test]
async fn waiting_for_a_connection_ends_in_time_and_names_the_node() {
    let stack = stack(0).await;
    let config =
        PoolConfig { max_size: 1, min_idle: 0, acquire_timeout: millis(500), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let (held, line) = (pool.write().get().await.unwrap(), line!());
    for route in [pool.read(), pool.write(), pool.analytics()] {
        let start = Instant::now();
        let error = route.query("SELECT 1", &[]).await.unwrap_err();
        let took = start.elapsed();
        assert!((millis(495)..secs(10)).contains(&took), "{took:?}");
        let text = error.to_string();
        let expected = "no connection to primary came free within 500ms (1 of 1 open, 0 waiting); ";
        assert!(text.starts_with(expected), "{text}");
        // Its state, how old that is, and who has held a connection for longest.
        let place = format!(" s at {}:{line}:", file!());
        for part in ["primary up", ", probed ", ", oldest borrow ", &place] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(error.nodes().len(), 1);
        assert!(error.is_retryable());
    }
    drop(held);
    pool.read().query("SELECT 1", &[]).await.unwrap();
}

#[tokio::test]
async fn waiting_and_connecting_share_one_deadline() {
    let stack = stack(0).await;
    let config = PoolConfig {
        min_idle: 0,
        acquire_timeout: millis(300),
        connect_timeout: secs(60),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    stack.primary().unwrap().pause().await.unwrap();
    // The one idle connection is taken; every other call has to connect.
    let calls = (0..3).map(|_| async {
        let start = Instant::now();
        pool.write().timeout(millis(300)).execute("SELECT 1", &[]).await.unwrap_err();
        start.elapsed()
    });
    for took in join_all(calls).await {
        assert!(took < secs(20), "{took:?}");
    }
    stack.primary().unwrap().resume().await.unwrap();
}

#[tokio::test]
async fn connecting_longer_than_the_time_to_acquire_is_not_called_waiting() {
    let stack = stack(0).await;
    let config = PoolConfig { min_idle: 0, acquire_timeout: millis(200), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let held = pool.write().get().await.unwrap();
    stack.primary().unwrap().pause().await.unwrap();
    let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
    stack.primary().unwrap().resume().await.unwrap();
    assert_eq!(error.to_string(), "primary did not complete a connection within 200ms");
    drop(held);
}

#[tokio::test]
async fn waiters_are_served_in_turn() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let held = pool.write().get().await.unwrap();
    let order = parking_lot::Mutex::new(Vec::new());
    let waiters = (0..20).map(|waiter| {
        let (pool, order) = (&pool, &order);
        async move {
            pool.write().execute("SELECT 1", &[]).await.unwrap();
            order.lock().push(waiter);
        }
    });
    let release = async {
        until("all wait", secs(30), async || node(&pool, "primary").waiting == 20).await;
        drop(held);
    };
    futures_util::future::join(join_all(waiters), release).await;
    assert_eq!(order.into_inner(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn connections_are_opened_ahead_and_closed_when_idle() {
    let stack = stack(0).await;
    let config = PoolConfig { min_idle: 3, idle_timeout: secs(1), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let primary = stack.primary().unwrap();
    // The monitor has one more of its own.
    until("three are open", secs(30), async || count(primary, OPEN).await == 4).await;
    let busy = join_all((0..8).map(|_| async { pool.write().get().await.unwrap() })).await;
    assert_eq!(node(&pool, "primary").size, 8);
    drop(busy);
    until("five are closed", secs(30), async || count(primary, OPEN).await == 4).await;
    assert_eq!(node(&pool, "primary").size, 3);
}

#[tokio::test]
async fn shutdown_waits_for_those_in_use_and_closes_everything() {
    let stack = stack(1).await;
    let pool = Pool::connect(config(&stack)).await.unwrap();
    let other = pool.clone();
    let busy =
        tokio::spawn(async move { other.write().query_one("SELECT pg_sleep(3), 7", &[]).await });
    until("it runs", secs(30), async || {
        let status = node(&pool, "primary");
        status.size > status.available
    })
    .await;
    pool.shutdown().await;
    assert_eq!(busy.await.unwrap().unwrap().get::<_, i32>(1), 7);
    assert!(matches!(pool.read().query("SELECT 1", &[]).await, Err(Error::Closed)));
    for server in [stack.primary().unwrap(), stack.replica(0).unwrap()] {
        until("all are closed", secs(30), async || count(server, OPEN).await == 0).await;
    }
    pool.shutdown().await;
}

#[tokio::test]
async fn a_dropped_pool_closes_everything() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let conn = pool.write().get().await.unwrap();
    drop(pool);
    conn.query_one("SELECT 1", &[]).await.expect("a connection outlives its pool");
    drop(conn);
    let primary = stack.primary().unwrap();
    until("all are closed", secs(30), async || count(primary, OPEN).await == 0).await;
}

#[tokio::test]
async fn a_bad_configuration_connects_to_nothing() {
    let stack = stack(0).await;
    let refused = async |change: fn(&mut PoolConfig)| {
        let mut config = config(&stack);
        change(&mut config);
        Pool::connect(config).await.unwrap_err()
    };
    let error = refused(|config| config.max_size = 0).await;
    assert!(matches!(error, Error::Config { field: "max_size", .. }), "{error}");
    let error = refused(|config| config.primary.url = "postgres://a:hunter2@:x".into()).await;
    assert!(matches!(error, Error::Url { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = refused(|config| config.primary.url = "postgres://a,b/c".into()).await;
    assert!(matches!(error, Error::Hosts { hosts: 2, .. }), "{error}");
    let error = refused(|config| config.primary.url.clear()).await;
    assert!(matches!(error, Error::Hosts { hosts: 0, .. }), "{error}");
}

#[tokio::test]
async fn opening_spare_connections_does_not_hold_those_that_are_idle() {
    let stack = stack(0).await;
    let config = PoolConfig {
        max_size: 2,
        min_idle: 2,
        health_interval: secs(60),
        health_timeout: secs(60),
        validate_after: secs(60),
        cancel_timeout: millis(250),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    until("two are idle", secs(30), async || node(&pool, "primary").available == 2).await;
    stack.primary().unwrap().pause().await.unwrap();
    pool.write().timeout(millis(50)).execute("SELECT 1", &[]).await.unwrap_err();
    until("one was given up", secs(30), async || node(&pool, "primary").size == 1).await;
    // Twice as long as it takes the pool to begin opening another, in vain.
    let start = Instant::now();
    until("some time has passed", secs(30), async || {
        let asked = Instant::now();
        drop(pool.write().get().await.unwrap());
        assert!(asked.elapsed() < secs(10), "the idle one is there");
        start.elapsed() > secs(2)
    })
    .await;
    stack.primary().unwrap().resume().await.unwrap();
}
