//! Which of several replicas serves.

use std::time::Duration;

use futures_util::future::join_all;
use seawall_devstack::{Direction, Faults, Proxy};
use seawall_pool::{Error, NodeConfig, NodeState, Policy, Pool, PoolConfig, SlowStart, Standing};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::support::{config, is_up, millis, node, pool, port, secs, stack, until, wary};

/// Sends 200 reads a second for `span`; how long each took, sorted.
async fn steady(pool: &Pool, span: Duration) -> Vec<Duration> {
    let mut reads = Vec::new();
    let mut ticks = interval(millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + span;
    while Instant::now() < end {
        ticks.tick().await;
        let pool = pool.clone();
        reads.push(tokio::spawn(async move {
            let start = Instant::now();
            pool.read().query_one("SELECT 1", &[]).await.unwrap();
            start.elapsed()
        }));
    }
    let mut took: Vec<_> = join_all(reads).await.into_iter().map(Result::unwrap).collect();
    took.sort();
    took
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blackholed_replica_is_soon_out_and_the_rest_is_as_fast_as_before() {
    let stack = stack(2).await;
    let proxy = Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap();
    let mut config = wary(config(&stack));
    config.replicas[0] = NodeConfig::new(stack.replica(0).unwrap().url_via(proxy.addr()));
    config.min_idle = 0;
    let pool = Pool::connect(config).await.unwrap();
    steady(&pool, secs(1)).await;
    let before = p99(&steady(&pool, secs(2)).await);

    proxy.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    let load = tokio::spawn({
        let pool = pool.clone();
        async move { steady(&pool, secs(2)).await }
    });
    let out = until("the dead node is out", secs(30), async || !is_up(&pool, "replica-1")).await;
    let during = load.await.unwrap();
    // Longer than a busy machine takes for a read.
    let stuck = during.iter().filter(|took| **took > millis(250).max(4 * before)).count();
    let after = p99(&steady(&pool, secs(2)).await);
    println!(
        "out after {out:?}; p99 before {before:?}, after {after:?}; {stuck} of {} reads stuck, longest {:?}",
        during.len(),
        during.last()
    );
    // 250 ms to the next probe and one of 500 ms, on a machine that is not busy.
    assert!(out <= secs(8), "{out:?}");
    // Below that it is a busy machine that is measured; reads that hung would show.
    assert!(after < 10 * before.max(millis(100)), "{before:?} before, {after:?} after");
    // Half of all, if the dead one were asked as often as the other.
    assert!(stuck <= during.len() / 5, "{stuck} of {} reads hung", during.len());

    // However many readers there are, the dead node meets its monitor only.
    let (accepted, start) = (proxy.accepted(), Instant::now());
    for _ in 0..3 {
        let reads = (0..500).map(|_| pool.read().query_one("SELECT 1", &[]));
        for row in join_all(reads).await {
            row.unwrap();
        }
    }
    let accepted = proxy.accepted() - accepted;
    // The monitor comes once a second.
    assert!(accepted <= 4 + start.elapsed().as_secs(), "{accepted} connections to a dead node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_asked_once_at_a_time_however_many_would_read_there() {
    let stack = stack(1).await;
    let proxy = Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap();
    let health = millis(100);
    let mut config = PoolConfig { min_idle: 0, health_timeout: health, ..config(&stack) };
    config.replicas[0] = NodeConfig::new(stack.replica(0).unwrap().url_via(proxy.addr()));
    let pool = Pool::connect(config).await.unwrap();
    proxy.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    let down = async || matches!(node(&pool, "replica-1").state, NodeState::Down { .. });
    until("it is down", secs(20), down).await;

    let (before, start) = (proxy.accepted(), Instant::now());
    while start.elapsed() < millis(2_500) {
        let reads = (0..500).map(|_| pool.read().query_one("SELECT 1", &[]));
        join_all(reads).await.into_iter().for_each(|row| drop(row.unwrap()));
    }
    let accepted = proxy.accepted() - before;
    // As soon as one probe after the other may come: each has its time, then it rests for 200 ms,
    // twice that, and so on to a second.
    let mut next = Duration::ZERO;
    let rests = [200, 400, 800].into_iter().chain(std::iter::repeat(1_000));
    let begin = rests.map(|rest| {
        next += health + millis(rest);
        next
    });
    let most = 1 + begin.take_while(|at| *at < start.elapsed()).count() as u64;
    assert!((1..=most).contains(&accepted), "{accepted} probes, not one to {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_slow_gets_little_until_it_is_cured() {
    let stack = stack(2).await;
    let proxy = Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap();
    // The other one has its proxy too, for that it is compared with.
    let other = Proxy::start(stack.replica(1).unwrap().addr()).await.unwrap();
    let mut config = config(&stack);
    config.replicas[0] = NodeConfig::new(stack.replica(0).unwrap().url_via(proxy.addr()));
    config.replicas[1] = NodeConfig::new(stack.replica(1).unwrap().url_via(other.addr()));
    let pool = Pool::connect(config).await.unwrap();
    steady(&pool, millis(500)).await;
    let share = async |span| {
        let served = || [1, 2].map(|n| node(&pool, &format!("replica-{n}")).served.reads);
        let before = served();
        steady(&pool, span).await;
        let after = served();
        let [slow, fast] = [after[0] - before[0], after[1] - before[1]];
        slow * 100 / (slow + fast)
    };
    proxy.set(Faults { latency: millis(200), ..Faults::default() });
    share(millis(500)).await;
    let slow = share(secs(3)).await;
    assert!(slow < 20, "{slow} %");
    proxy.set(Faults::default());
    let mut cured = 0;
    until("it has its share again", secs(10), async || {
        cured = share(millis(500)).await;
        cured >= 20
    })
    .await;
}

#[tokio::test]
async fn a_replica_full_of_slow_queries_is_not_out_and_new_reads_prefer_the_other() {
    let stack = stack(2).await;
    let mut config = PoolConfig { max_size: 2, min_idle: 2, max_waiting: 1, ..config(&stack) };
    // Or a slow machine comes back to it, in vain, before all is read.
    config.routing.saturated_for = secs(600);
    let pool = Pool::connect(config).await.unwrap();
    pool.warm_up().await.unwrap();
    let one = stack.replica(0).unwrap().port();
    let lock = stack.replica(0).unwrap().client().await.unwrap();
    lock.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1)").await.unwrap();
    // Both its connections and its line are taken.
    let only = pool.clone();
    only.drain("replica-2").unwrap();
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let pool = only.clone();
            tokio::spawn(async move {
                let sql = "SELECT pg_advisory_xact_lock(1), inet_server_port()";
                pool.read().query_one(sql, &[]).await
            })
        })
        .collect();
    let full = async || {
        let node = node(&pool, "replica-1");
        (node.waiting, node.size, node.connecting, node.available) == (1, 2, 0, 0)
    };
    until("replica-1 is full", secs(30), full).await;
    let error = pool.read().query_one("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::QueueFull { .. }), "{error}");
    assert_eq!(node(&pool, "replica-1").standing, Some(Standing::Saturated));
    only.restore("replica-2").unwrap();
    for _ in 0..50 {
        assert_ne!(port(pool.read()).await, one);
    }
    assert!(is_up(&pool, "replica-1"), "full is not dead");
    lock.batch_execute("COMMIT").await.unwrap();
    for read in slow {
        let row = read.await.unwrap().unwrap();
        assert_eq!(row.get::<_, i32>(1), i32::from(one), "its work was not moved");
    }
}

#[tokio::test]
async fn a_drained_replica_gets_nothing_new_and_with_all_drained_the_primary_serves() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    pool.drain("replica-1").unwrap();
    for _ in 0..20 {
        assert_eq!(port(pool.read()).await, stack.replica(1).unwrap().port());
    }
    pool.drain("replica-2").unwrap();
    assert_eq!(port(pool.read()).await, stack.primary().unwrap().port());
    assert!(node(&pool, "replica-1").to_string().starts_with("replica-1 up draining"));
    pool.restore("replica-1").unwrap();
    assert_eq!(port(pool.read()).await, stack.replica(0).unwrap().port());
}

#[tokio::test]
async fn reads_with_a_tag_stay_with_the_replicas_that_have_it() {
    let stack = stack(2).await;
    let mut config = config(&stack);
    config.replicas[1].tags = vec!["west".to_owned()];
    let pool = Pool::connect(config).await.unwrap();
    for _ in 0..20 {
        assert_eq!(port(pool.read().tag("west")).await, stack.replica(1).unwrap().port());
    }
    stack.replica(1).unwrap().kill().await.unwrap();
    assert_eq!(port(pool.read().tag("west")).await, stack.primary().unwrap().port());
    let error = pool.read().tag("east").query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "no replica has the tag east");
    assert_eq!(port(pool.write().tag("west")).await, stack.primary().unwrap().port());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_back_starts_with_a_small_share() {
    let stack = stack(2).await;
    let mut config = config(&stack);
    config.routing.slow_start = SlowStart { window: secs(60), ..SlowStart::default() };
    let pool = Pool::connect(config).await.unwrap();
    let replica = stack.replica(0).unwrap();
    replica.kill().await.unwrap();
    until("it is down", secs(30), async || !is_up(&pool, "replica-1")).await;
    until("its monitor knows", secs(30), async || {
        node(&pool, "replica-1").to_string().contains("down")
    })
    .await;
    replica.restart().await.unwrap();
    until("it is back", secs(30), async || is_up(&pool, "replica-1")).await;
    let before = node(&pool, "replica-1").served.reads;
    steady(&pool, secs(2)).await;
    let share = node(&pool, "replica-1").served.reads - before;
    assert!((1..=120).contains(&share), "{share} of 400");
}

/// Of two, so that whoever has the key of the full one would be refused.
#[tokio::test]
async fn a_read_that_meets_a_full_replica_goes_to_another_and_never_to_the_primary() {
    let stack = stack(2).await;
    let mut config = PoolConfig { max_size: 1, max_waiting: 1, ..config(&stack) };
    config.routing.policy = Policy::Rendezvous;
    // It does not rest: each read meets it anew.
    config.routing.saturated_for = Duration::ZERO;
    for (replica, tag) in config.replicas.iter_mut().zip(["a", "b"]) {
        replica.tags = vec![tag.to_owned()];
    }
    let pool = Pool::connect(config).await.unwrap();
    let both_up = async || is_up(&pool, "replica-1") && is_up(&pool, "replica-2");
    until("both serve", secs(20), both_up).await;
    let (mut held, mut waiters) = (Vec::new(), Vec::new());
    let mut fill = async |tag: &'static str, name| {
        held.push(pool.read().tag(tag).get().await.unwrap());
        let waiter = pool.clone();
        waiters.push(tokio::spawn(async move { waiter.read().tag(tag).get().await }));
        until("one waits", secs(20), async || node(&pool, name).waiting == 1).await;
    };
    fill("a", "replica-1").await;
    let other = stack.replica(1).unwrap().addr().port();
    for key in 0..40 {
        assert_eq!(port(pool.read().key(&key)).await, other);
    }
    // With nowhere else to go, it is what it was.
    let error = pool.read().tag("a").query("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(&error, Error::QueueFull { node, .. } if &**node == "replica-1"), "{error:?}");
    fill("b", "replica-2").await;
    let error = pool.read().query("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::QueueFull { .. }), "{error:?}");
    assert_eq!(node(&pool, "primary").served.reads, 0);
    drop(held);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
}
