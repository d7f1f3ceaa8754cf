//! The size of the pool: bounds, use, and following the load.

use seawall_pool::{Error, Outcome, Pool, PoolConfig, SizingConfig};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{config, millis, node, secs, stack, until};

#[tokio::test]
async fn a_size_out_of_bounds_is_set_to_the_nearest_within() {
    let stack = stack(1).await;
    let sizing = SizingConfig { min: 2, max: 6, ..SizingConfig::default() };
    let pool = Pool::connect(PoolConfig { sizing, ..config(&stack) }).await.unwrap();
    let sizes = || {
        let nodes = pool.usage().nodes.into_iter();
        nodes.map(|node| node.max_size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(), [8, 8], "what the configuration says, until it is scaled");
    assert_eq!(pool.scale_to(100), 6);
    assert_eq!(sizes(), [6, 6]);
    assert_eq!(pool.scale_node_to("replica-1", 0).unwrap(), 2);
    assert_eq!(sizes(), [6, 2]);
    let unknown = pool.scale_node_to("replica-7", 4).unwrap_err();
    assert!(matches!(unknown, Error::UnknownNode { .. }), "{unknown:?}");
    assert_eq!(sizes(), [6, 2]);
}

#[tokio::test]
async fn the_use_of_a_pool_tells_who_waits_for_how_long() {
    let stack = stack(0).await;
    let sizing = SizingConfig { min: 1, window: millis(300), ..SizingConfig::default() };
    let config = PoolConfig { sizing, reap_interval: millis(10), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    pool.scale_to(2);
    assert_eq!(pool.usage().utilisation(), 0.0);
    let held = pool.write().get().await.unwrap();
    assert_eq!(pool.usage().utilisation(), 0.5);
    drop(held);

    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let pool = pool.clone();
        tasks.spawn(async move {
            loop {
                pool.read().execute("SELECT pg_sleep(0.02)", &[]).await.unwrap();
            }
        });
    }
    until("callers wait", secs(20), async || pool.usage().utilisation() >= 1.0).await;
    // Four of six wait at any time: twice as long as they are served.
    until("the load is that of a full pool", secs(20), async || {
        let Some(load) = pool.usage().nodes[0].load else { return false };
        let Some(service) = load.service_time else { return false };
        load.utilisation > 0.9
            && service > millis(18)
            && load.wait_time > service
            && load.offered() > 4.0
    })
    .await;
    tasks.shutdown().await;
    until("nobody uses it", secs(20), async || {
        let usage = pool.usage();
        usage.utilisation() == 0.0 && usage.nodes[0].load.is_some_and(|load| load.offered() == 0.0)
    })
    .await;
}

#[tokio::test]
async fn the_size_follows_the_load_within_its_bounds_and_back() {
    let stack = stack(0).await;
    let sizing = SizingConfig {
        auto: true,
        min: 2,
        max: 12,
        window: millis(200),
        shrink_after: millis(600),
        // How slow this machine is by the second is not the matter here.
        max_slowdown: 100.0,
        ..SizingConfig::default()
    };
    let config = PoolConfig { sizing, max_size: 2, min_idle: 0, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let size = || node(&pool, "primary").max_size;
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        let pool = pool.clone();
        tasks.spawn(async move {
            loop {
                pool.read().execute("SELECT pg_sleep(0.02)", &[]).await.unwrap();
            }
        });
    }
    until("it has grown to the bound", secs(20), async || size() == 12).await;
    until("connections were opened", secs(20), async || {
        let node = node(&pool, "primary");
        assert!(node.size + node.connecting <= 12, "{node:?}");
        node.size == 12
    })
    .await;
    tasks.shutdown().await;
    until("it has shrunk", secs(20), async || size() == 2).await;
    until("and closed what is too many", secs(20), async || node(&pool, "primary").size <= 2).await;
}

#[tokio::test]
async fn a_pool_that_was_not_told_to_keeps_its_size() {
    let stack = stack(0).await;
    let sizing = SizingConfig { window: millis(100), ..SizingConfig::default() };
    let config = PoolConfig {
        sizing,
        max_size: 1,
        min_idle: 0,
        reap_interval: millis(10),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    let held = pool.write().get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.write().execute("SELECT 1", &[]).await }
    });
    until("a window with a waiter is over", secs(20), async || {
        pool.usage().nodes[0].load.is_some_and(|load| load.waiting > 0.9)
    })
    .await;
    assert_eq!(node(&pool, "primary").max_size, 1);
    drop(held);
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_would_wait_longer_than_he_may_is_refused_at_once_and_the_others_are_served() {
    let stack = stack(0).await;
    let sizing = SizingConfig { window: millis(500), ..SizingConfig::default() };
    let config = PoolConfig {
        sizing,
        shed_hopeless: true,
        max_size: 1,
        min_idle: 1,
        acquire_timeout: secs(2),
        reap_interval: millis(50),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    let nap = "SELECT pg_sleep(0.3)";
    let known =
        || pool.usage().nodes[0].load.is_some_and(|load| load.service_time > Some(millis(100)));
    until("the service time is known", secs(20), async || {
        pool.read().query_one(nap, &[]).await.unwrap();
        known()
    })
    .await;
    // Six fit into two seconds, or so.
    let start = Instant::now();
    let calls = (0..40).map(|_| async {
        let ended = pool.read().query_one(nap, &[]).await;
        (ended, start.elapsed())
    });
    let ended = futures_util::future::join_all(calls).await;
    let refused = |error: &Error| matches!(error, Error::QueueSlow { .. });
    let refusals: Vec<_> =
        ended.iter().filter(|(ended, _)| ended.as_ref().is_err_and(refused)).collect();
    let served = ended.iter().filter(|(ended, _)| ended.is_ok()).count();
    assert!(served >= 1 && refusals.len() >= 20, "{served} served, {} refused", refusals.len());
    for (ended, after) in refusals {
        assert!(*after < secs(2), "before the time is up: {after:?}");
        let error = ended.as_ref().unwrap_err();
        assert!(error.is_retryable() && error.outcome() == Some(Outcome::NotSent), "{error}");
    }
}
