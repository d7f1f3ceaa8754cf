//! How many connections there are, for how long, and who gets them.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use parking_lot::Mutex;
use seawall_pool::{Error, NodeConfig, Outcome, Pool, PoolConfig};
use tokio::time::{Instant, timeout};

use crate::support::{
    OPEN, admin, backend, config, count, is_up, millis, node, pool_of_one, secs, slow_door, stack,
    until,
};

/// The most connections that the server saw at once while `work` ran, the
/// monitor's own left out.
async fn most_open(server: &seawall_devstack::Postgres, work: impl Future<Output = ()>) -> i64 {
    let client = server.client().await.unwrap();
    let statement = client.prepare(OPEN).await.unwrap();
    let mut most = 0;
    let watch = async {
        loop {
            let open: i64 = client.query_one(&statement, &[]).await.unwrap().get(0);
            most = most.max(open - 1);
        }
    };
    tokio::select! {
        () = work => {}
        () = watch => {}
    }
    // Idle ones stay, so that none of those opened last is missed.
    let open: i64 = client.query_one(&statement, &[]).await.unwrap().get(0);
    most.max(open - 1)
}

async fn nap(pool: &Pool) {
    pool.write().execute("SELECT pg_sleep(0.02)", &[]).await.unwrap();
}

/// Twenty callers beside those who take `size` connections and keep them for a while.
async fn crowd(pool: &Pool, size: usize) {
    let keep = async {
        let held = join_all((0..size).map(|_| async { pool.write().get().await.unwrap() })).await;
        drop(held);
    };
    join(keep, join_all((0..20).map(|_| nap(pool)))).await;
}

#[tokio::test]
async fn shrinking_a_pool_that_was_never_full_limits_it_on_the_server() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 10, min_idle: 0, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    pool.resize(2).unwrap();
    assert_eq!(most_open(stack.primary().unwrap(), crowd(&pool, 2)).await, 2);
    pool.resize_node("primary", 5).unwrap();
    assert_eq!(most_open(stack.primary().unwrap(), crowd(&pool, 5)).await, 5);
}

#[tokio::test]
async fn ten_to_two_to_ten_with_all_out_never_makes_more_than_ten() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 10, min_idle: 0, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let held = join_all((0..10).map(|_| async { pool.write().get().await.unwrap() })).await;
    pool.resize(2).unwrap();
    pool.resize(10).unwrap();
    let work = async {
        let waiters = join_all((0..30).map(|_| nap(&pool)));
        join(waiters, async { drop(held) }).await;
    };
    assert_eq!(most_open(stack.primary().unwrap(), work).await, 10);
    assert_eq!(node(&pool, "primary").size, 10);
    pool.resize(2).unwrap();
    let primary = stack.primary().unwrap();
    until("eight are closed", secs(30), async || count(primary, OPEN).await == 3).await;
}

#[tokio::test]
async fn a_size_out_of_bounds_or_a_node_that_is_not_there_changes_nothing() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    assert!(matches!(pool.resize(0), Err(Error::Config { field: "max_size", .. })));
    assert!(matches!(pool.resize_node("replica-9", 3), Err(Error::UnknownNode { .. })));
    assert_eq!(node(&pool, "primary").max_size, 1);
}

#[tokio::test]
async fn when_half_of_the_waiters_leave_the_rest_is_served_in_order() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let held = pool.write().get().await.unwrap();
    let order = Mutex::new(Vec::new());
    let mut waiters: Vec<_> = (0..50)
        .map(|waiter| {
            let (pool, order) = (&pool, &order);
            Some(Box::pin(async move {
                pool.write().execute("SELECT 1", &[]).await.unwrap();
                order.lock().push(waiter);
            }))
        })
        .collect();
    for waiter in waiters.iter_mut().flatten() {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    assert_eq!(node(&pool, "primary").waiting, 50);
    waiters.iter_mut().skip(1).step_by(2).for_each(|waiter| drop(waiter.take()));
    assert_eq!(node(&pool, "primary").waiting, 25);
    drop(held);
    join_all(waiters.into_iter().flatten()).await;
    assert_eq!(order.into_inner(), (0..50).step_by(2).collect::<Vec<_>>());
    assert_eq!(node(&pool, "primary").available, 1, "none was lost");
}

#[tokio::test]
async fn a_burst_of_callers_opens_few_connections() {
    let stack = stack(0).await;
    let door = slow_door(stack.primary().unwrap().addr(), millis(150)).await;
    let config = PoolConfig {
        primary: NodeConfig::new(stack.primary().unwrap().url_via(door)),
        max_size: 50,
        min_idle: 0,
        ..PoolConfig::default()
    };
    let pool = Pool::connect(config).await.unwrap();
    let begun = Instant::now();
    let calls = (0..50).map(|_| pool.write().execute("SELECT pg_sleep(0.002)", &[]));
    join_all(calls).await.into_iter().for_each(|done| assert!(done.is_ok()));
    let took = begun.elapsed();
    until("nothing is being opened", secs(30), async || node(&pool, "primary").connecting == 0)
        .await;
    let opened = node(&pool, "primary").size;
    // Three at a time, beside the one there was: eight at most, and more only where a busy machine
    // takes so long for fifty queries that three more have come by then. A connection each would be fifty.
    let connects = usize::try_from(took.as_millis() / 150).unwrap();
    let most = 8.max(1 + 3 * (connects + 1));
    assert!(opened <= most.min(25), "{opened} in {took:?}");
}

#[tokio::test]
async fn callers_with_little_time_fill_the_pool_all_the_same() {
    let stack = stack(0).await;
    let door = slow_door(stack.primary().unwrap().addr(), millis(300)).await;
    let config = PoolConfig {
        primary: NodeConfig::new(stack.primary().unwrap().url_via(door)),
        max_size: 2,
        min_idle: 0,
        health_timeout: secs(30),
        connect_timeout: secs(30),
        acquire_timeout: millis(100),
        ..PoolConfig::default()
    };
    let pool = Pool::connect(config).await.unwrap();
    let held = pool.write().get().await.unwrap();
    let mut calls = 0;
    while pool.write().execute("SELECT 1", &[]).await.is_err() {
        calls += 1;
        assert!(calls < 100, "each attempt is thrown away with its caller");
    }
    assert!(calls > 0);
    drop(held);
}

#[tokio::test]
async fn one_waiter_too_many_is_refused_at_once() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 1, min_idle: 1, max_waiting: 5, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let held = pool.write().get().await.unwrap();
    let waiters = join_all((0..5).map(|_| pool.write().execute("SELECT 1", &[])));
    let crowd = async {
        until("five wait", secs(30), async || node(&pool, "primary").waiting == 5).await;
        let asked = Instant::now();
        let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
        assert!(asked.elapsed() < secs(10), "{:?}", asked.elapsed());
        assert!(matches!(error, Error::QueueFull { waiting: 5, .. }), "{error}");
        assert_eq!(error.to_string(), "5 callers wait for a connection to primary already");
        assert_eq!(error.outcome(), Some(Outcome::NotSent));
        assert!(error.is_retryable());
        drop(held);
    };
    let (served, ()) = join(waiters, crowd).await;
    assert!(served.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_the_named_cause_and_is_not_banned() {
    let stack = seawall_devstack::Stack::builder()
        .postgres()
        .setting("max_connections", "4")
        .setting("superuser_reserved_connections", "0")
        .start()
        .await
        .unwrap();
    let config = PoolConfig {
        max_size: 10,
        min_idle: 0,
        acquire_timeout: secs(2),
        create_retry_interval: millis(50),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    let mut held = Vec::new();
    let asked = loop {
        let asked = Instant::now();
        match pool.write().get().await {
            Ok(conn) => held.push(conn),
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, Error::AcquireTimeout { cause: Some(_), .. }), "{text}");
                assert_eq!(error.sqlstate().unwrap().code(), "53300");
                assert!(error.is_retryable());
                break asked;
            }
        }
    };
    assert!((millis(1_995)..secs(20)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    assert!(held.len() >= 2, "{}", held.len());
    assert!(is_up(&pool, "primary"), "saturation is no failure");
    held[0].query_one("SELECT 1", &[]).await.unwrap();
    // What comes back serves, though nothing can be opened.
    let call = pool.write().execute("SELECT 1", &[]);
    let release = async {
        until("it waits", secs(30), async || node(&pool, "primary").waiting == 1).await;
        held.pop();
    };
    join(async { call.await.unwrap() }, release).await;
}

#[tokio::test]
async fn a_connection_used_up_is_replaced() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 1, max_uses: Some(3), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let mut processes = Vec::new();
    for _ in 0..12 {
        processes.push(backend(pool.write()).await);
    }
    processes.dedup();
    // The first borrow was that of `connect`.
    assert!((4..=5).contains(&processes.len()), "{processes:?}");
}

#[tokio::test]
async fn connections_age_apart_and_the_pool_never_runs_low() {
    let stack = stack(0).await;
    let config = PoolConfig {
        min_idle: 5,
        max_lifetime: secs(4),
        lifetime_jitter: 0.5,
        reap_interval: millis(20),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    pool.warm_up().await.unwrap();
    let primary = stack.primary().unwrap();
    assert_eq!(count(primary, OPEN).await, 6, "five before the first use, and the monitor's");
    let started = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity \
                   WHERE application_name = 'seawall-pool'";
    let client = primary.client().await.unwrap();
    let processes = async || -> Vec<i32> { client.query_one(started, &[]).await.unwrap().get(0) };
    let before = processes().await;
    let (mut low_since, mut ends): (Option<Instant>, Vec<(i32, Instant)>) = (None, Vec::new());
    until("all five were replaced", secs(30), async || {
        let now = processes().await;
        low_since = if now.len() < 6 { low_since.or_else(|| Some(Instant::now())) } else { None };
        if let Some(since) = low_since {
            assert!(since.elapsed() < secs(10), "{now:?}");
        }
        for gone in before.iter().filter(|process| !now.contains(process)) {
            if !ends.iter().any(|(process, _)| process == gone) {
                ends.push((*gone, Instant::now()));
            }
        }
        ends.len() == 5
    })
    .await;
    assert!(ends[4].1 - ends[0].1 >= millis(300), "they ended together");
    until("five are there again", secs(30), async || processes().await.len() >= 6).await;
}

#[tokio::test]
async fn a_paused_pool_lets_nobody_in_and_loses_nobody() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let held = pool.write().get().await.unwrap();
    let mut pausing = Box::pin(pool.pause());
    assert!(pausing.as_mut().now_or_never().is_none(), "one is in use");
    drop(held);
    assert!(pausing.await, "all is quiet");
    assert!(node(&pool, "primary").paused);
    let mut waiting = Box::pin(pool.write().execute("SELECT 1", &[]));
    assert!(timeout(millis(100), waiting.as_mut()).await.is_err(), "it was let in");
    assert_eq!(node(&pool, "primary").waiting, 1);
    pool.resume();
    waiting.await.unwrap();
}

#[tokio::test]
async fn an_evicted_connection_is_not_lent_again() {
    let stack = stack(0).await;
    let pool = Pool::connect(PoolConfig { max_size: 2, ..config(&stack) }).await.unwrap();
    let in_use = pool.write().get().await.unwrap();
    let idle = backend(pool.write()).await;
    let used: i32 = in_use.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    pool.evict();
    in_use.query_one("SELECT 1", &[]).await.expect("its borrower is not disturbed");
    drop(in_use);
    for _ in 0..5 {
        let process = backend(pool.write()).await;
        assert!(process != idle && process != used);
    }
}

#[tokio::test]
async fn idle_connections_that_died_are_replaced_before_anyone_asks() {
    let stack = stack(0).await;
    let pool = Pool::connect(PoolConfig { min_idle: 8, ..config(&stack) }).await.unwrap();
    pool.warm_up().await.unwrap();
    admin(
        stack.primary().unwrap(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'seawall-pool'",
    )
    .await;
    until("the dead are gone", secs(30), async || node(&pool, "primary").size < 8).await;
    until("eight are there again", secs(30), async || node(&pool, "primary").available == 8).await;
    let calls = (0..20).map(|_| pool.write().execute("SELECT 1", &[]));
    join_all(calls).await.into_iter().for_each(|done| assert!(done.is_ok()));
}

#[tokio::test]
async fn a_connection_unused_for_long_is_asked_before_it_is_lent() {
    let stack = stack(0).await;
    for (validate_after, lent) in [(Duration::ZERO, false), (secs(60), true)] {
        let config = PoolConfig {
            max_size: 1,
            acquire_timeout: millis(500),
            health_interval: secs(60),
            validate_after,
            ..config(&stack)
        };
        let pool = Pool::connect(config).await.unwrap();
        until("it is idle", secs(30), async || node(&pool, "primary").available == 1).await;
        stack.primary().unwrap().pause().await.unwrap();
        let asked = Instant::now();
        assert_eq!(pool.write().get().await.is_ok(), lent);
        assert!(asked.elapsed() < secs(10), "one deadline over asking and waiting");
        stack.primary().unwrap().resume().await.unwrap();
    }
}

#[tokio::test]
async fn analytics_leaves_connections_to_those_who_wait() {
    let stack = stack(0).await;
    let config = PoolConfig {
        max_size: 4,
        analytics_share: 0.5,
        acquire_timeout: secs(2),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    let heavy = [pool.analytics().get().await.unwrap(), pool.analytics().get().await.unwrap()];
    let error = pool.analytics().query("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::AcquireTimeout { .. }), "{error}");
    pool.read().query("SELECT 1", &[]).await.unwrap();
    drop(heavy);
    pool.analytics().query("SELECT 1", &[]).await.unwrap();
}

/// A future is moved on its way to where it is polled, and a task is as large as
/// the largest of those in it.
#[tokio::test]
async fn the_future_of_a_call_stays_small() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let (query, get) = (pool.read().query("SELECT 1", &[]), pool.read().get());
    assert!(size_of_val(&query) <= 3_000, "{}", size_of_val(&query));
    assert!(size_of_val(&get) <= 3_000, "{}", size_of_val(&get));
}

/// The limit on a statement begins when its connection is there.
#[tokio::test]
async fn a_read_that_waited_longer_than_its_limit_for_a_connection_has_all_of_it_left() {
    let stack = stack(1).await;
    let config = PoolConfig { max_size: 1, validate_after: Duration::ZERO, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    until("the replica serves", secs(20), async || is_up(&pool, "replica-1")).await;
    let held = pool.read().get().await.unwrap();
    assert_eq!(&**held.node(), "replica-1");
    let limit = secs(5);
    let started = Instant::now();
    let read = tokio::spawn({
        let pool = pool.clone();
        async move { pool.read().timeout(limit).query_one("SELECT 1", &[]).await }
    });
    until("it has waited for longer", secs(20), async || started.elapsed() > limit + secs(1)).await;
    assert_eq!(node(&pool, "replica-1").waiting, 1);
    drop(held);
    read.await.unwrap().unwrap();
}

/// One timer serves all who wait: nobody is to wait for the time of another.
#[tokio::test]
async fn each_of_many_who_wait_has_his_own_time_and_no_more() {
    let stack = stack(2).await;
    let mut config = PoolConfig { max_size: 1, acquire_timeout: secs(4), ..config(&stack) };
    config.connect_timeout = secs(30);
    let pool = Pool::connect(config).await.unwrap();
    let held = pool.write().get().await.unwrap();
    // Nobody waits, then one, then nobody, then several at their own times.
    for _ in 0..2 {
        let asked = Instant::now();
        let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
        assert!(matches!(error, Error::AcquireTimeout { .. }), "{error}");
        assert!(asked.elapsed() >= millis(3_990), "{:?}", asked.elapsed());
    }
    let late = (0..5).map(|turn| {
        let pool = &pool;
        async move {
            tokio::time::sleep(millis(200 * turn)).await;
            let asked = Instant::now();
            pool.write().execute("SELECT 1", &[]).await.unwrap_err();
            asked.elapsed()
        }
    });
    for waited in join_all(late).await {
        assert!((millis(3_990)..secs(20)).contains(&waited), "{waited:?}");
    }
    assert_eq!(node(&pool, "primary").waiting, 0);
    drop(held);
    pool.write().execute("SELECT 1", &[]).await.unwrap();
}
