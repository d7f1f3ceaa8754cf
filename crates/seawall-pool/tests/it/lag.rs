//! Replicas that are behind.

use seawall_pool::{Lag, LagLimits, Pool, PoolConfig, RoutingConfig, Standing};
use tokio::time::Instant;

use crate::support::{admin, config, millis, node, port, secs, stack, until, wary};

fn standing(pool: &Pool, name: &str) -> Standing {
    node(pool, name).standing.unwrap()
}

async fn pool_with(stack: &seawall_devstack::Stack, lag: LagLimits) -> Pool {
    let routing = RoutingConfig { lag, ..RoutingConfig::default() };
    let config = PoolConfig { routing, health_interval: millis(50), ..config(stack) };
    Pool::connect(config).await.unwrap()
}

#[tokio::test]
async fn a_replica_whose_replay_stands_still_is_left_out_by_bytes_and_by_age_and_comes_back() {
    let stack = stack(2).await;
    // One that goes by bytes, and one that goes by age.
    let bytes = LagLimits { soft_bytes: 1 << 20, soft: secs(30), ..LagLimits::default() };
    let pool = pool_with(&stack, bytes).await;
    let (primary, one, two) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    admin(primary, "CREATE TABLE bulk (text text)").await;
    one.wait_caught_up(primary, secs(30)).await.unwrap();

    one.pause_replay().await.unwrap();
    admin(primary, "INSERT INTO bulk SELECT repeat('x', 1000) FROM generate_series(1, 4000)").await;
    // The other one, too, needs its time for four megabytes.
    let by_bytes = async || {
        standing(&pool, "replica-1") == Standing::Lagging
            && standing(&pool, "replica-2") == Standing::Open
    };
    two.wait_caught_up(primary, secs(30)).await.unwrap();
    until("it is left out by bytes", secs(20), by_bytes).await;
    // A sample from before the other had caught up may still be on its way.
    let all_elsewhere = async || {
        for _ in 0..20 {
            if port(pool.read()).await != two.port() {
                return false;
            }
        }
        by_bytes().await
    };
    until("all reads go to the other", secs(20), all_elsewhere).await;
    one.resume_replay().await.unwrap();
    until("it is back", secs(30), async || standing(&pool, "replica-1") == Standing::Open).await;

    let pool = pool_with(&stack, LagLimits::default()).await;
    one.pause_replay().await.unwrap();
    let start = Instant::now();
    admin(primary, "INSERT INTO bulk VALUES ('little')").await;
    let by_age = async || standing(&pool, "replica-1") == Standing::Lagging;
    until("it is left out by age", secs(30), by_age).await;
    let took = start.elapsed();
    assert!(took > millis(800), "a little log is no lag before its time: {took:?}");
    assert!(node(&pool, "replica-1").to_string().starts_with("replica-1 up lagging "));
    one.resume_replay().await.unwrap();
    until("it is back", secs(30), async || standing(&pool, "replica-1") == Standing::Open).await;
}

#[tokio::test]
async fn of_replicas_that_all_lag_one_serves_until_the_hard_limit_and_then_the_primary() {
    let stack = stack(2).await;
    let lag = LagLimits { soft: millis(200), hard: secs(6), ..LagLimits::default() };
    let pool = pool_with(&stack, lag).await;
    let (primary, one, two) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    admin(primary, "CREATE TABLE mark (id int)").await;
    one.wait_caught_up(primary, secs(30)).await.unwrap();
    two.wait_caught_up(primary, secs(30)).await.unwrap();
    two.pause_replay().await.unwrap();
    admin(primary, "INSERT INTO mark VALUES (1)").await;
    until("two lags", secs(30), async || standing(&pool, "replica-2") == Standing::Lagging).await;
    one.pause_replay().await.unwrap();
    admin(primary, "INSERT INTO mark VALUES (2)").await;
    until("one lags", secs(30), async || standing(&pool, "replica-1") == Standing::Lagging).await;
    assert_eq!(port(pool.read()).await, one.port(), "the one that lags less serves");
    let on_primary = async || port(pool.read()).await == primary.port();
    until("both are past the hard limit", secs(30), on_primary).await;
    one.resume_replay().await.unwrap();
    two.resume_replay().await.unwrap();
    let open =
        async || ["replica-1", "replica-2"].iter().all(|n| standing(&pool, n) == Standing::Open);
    until("both are back", secs(30), open).await;
    assert_ne!(port(pool.read()).await, primary.port());
}

#[tokio::test]
async fn a_quiet_primary_is_no_lag_and_the_first_write_after_it_neither() {
    let stack = stack(1).await;
    let limits = LagLimits { soft: secs(3), ..LagLimits::default() };
    let pool = pool_with(&stack, limits).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE TABLE mark (id int)").await;
    stack.replica(0).unwrap().wait_caught_up(primary, secs(30)).await.unwrap();
    let level = Some(Lag { bytes: 0, time: millis(0) });
    until("it is level", secs(30), async || node(&pool, "replica-1").lag == level).await;
    // Quiet for longer than the limit.
    let start = Instant::now();
    until("time goes by", secs(30), async || {
        assert_eq!(standing(&pool, "replica-1"), Standing::Open);
        start.elapsed() > secs(4)
    })
    .await;
    admin(primary, "INSERT INTO mark VALUES (1)").await;
    let mut ticks = 0;
    until("time goes by", secs(30), async || {
        ticks += 1;
        assert_eq!(standing(&pool, "replica-1"), Standing::Open, "{}", node(&pool, "replica-1"));
        ticks > 50
    })
    .await;
}

#[tokio::test]
async fn replicas_that_never_get_the_last_words_of_a_dead_primary_go_on_serving() {
    let stack = stack(1).await;
    let limits = LagLimits { soft: millis(500), hard: secs(6), ..LagLimits::default() };
    let routing = RoutingConfig { lag: LagLimits { keep: 1, ..limits }, ..Default::default() };
    // A lag is counted on until the primary may be taken for gone: two probes.
    let health = PoolConfig { health_interval: millis(50), ..wary(config(&stack)) };
    let pool = Pool::connect(PoolConfig { routing, ..health }).await.unwrap();
    let (primary, one) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    admin(primary, "CREATE TABLE mark (id int)").await;
    one.wait_caught_up(primary, secs(30)).await.unwrap();
    one.pause_replay().await.unwrap();
    admin(primary, "INSERT INTO mark VALUES (1)").await;
    let behind = async || node(&pool, "replica-1").lag.is_some_and(|lag| lag.bytes > 0);
    until("the pool knows that it is behind", secs(30), behind).await;
    primary.stop_immediate().await.unwrap();
    // Well past the hard limit, counted from the write.
    let mut last = None;
    let start = Instant::now();
    until("time goes by", secs(30), async || {
        last = node(&pool, "replica-1").lag;
        start.elapsed() > secs(7)
    })
    .await;
    assert!(last.unwrap().time < secs(6), "{last:?}");
    assert_eq!(port(pool.read()).await, one.port());
}
