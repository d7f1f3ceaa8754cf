//! Where statements go while all is well.

use std::collections::HashMap;

use seawall_pool::{Error, NodeConfig, Policy, Pool, PoolConfig, Role};

use crate::support::{config, is_up, node, pool, port, secs, stack, until};

#[tokio::test]
async fn reads_follow_the_weights_and_writes_stay_on_the_primary() {
    let stack = stack(2).await;
    let mut config = config(&stack);
    config.replicas[1].weight = 3;
    config.routing.policy = Policy::SmoothWeighted;
    let pool = Pool::connect(config).await.unwrap();
    let mut reads = HashMap::new();
    for _ in 0..400 {
        *reads.entry(port(pool.read()).await).or_insert(0) += 1;
        assert_eq!(port(pool.write()).await, stack.primary().unwrap().port());
    }
    let light = reads[&stack.replica(0).unwrap().port()];
    let heavy = reads[&stack.replica(1).unwrap().port()];
    assert_eq!(light + heavy, 400, "{reads:?}");
    assert!((96..=104).contains(&light), "{reads:?}");
    assert_eq!(node(&pool, "replica-1").served.reads, light);
    assert_eq!(node(&pool, "primary").served.writes, 400);

    pool.set_weight("replica-2", 1).unwrap();
    for _ in 0..100 {
        pool.read().query_one("SELECT 1", &[]).await.unwrap();
    }
    let light = node(&pool, "replica-1").served.reads - light;
    assert!((48..=52).contains(&light), "{light}");
    assert!(matches!(pool.set_weight("primary", 1), Err(Error::UnknownNode { .. })));
    assert!(matches!(pool.set_weight("replica-1", 0), Err(Error::Config { .. })));
}

#[tokio::test]
async fn analytics_and_users_keep_to_their_own_replica() {
    let stack = stack(2).await;
    let mut config = config(&stack);
    config.replicas[1].role = Role::Analytics;
    let pool = Pool::connect(config).await.unwrap();
    let (general, analytics) = (stack.replica(0).unwrap(), stack.replica(1).unwrap());
    for _ in 0..50 {
        assert_eq!(port(pool.read()).await, general.port());
        assert_eq!(port(pool.analytics()).await, analytics.port());
    }

    general.kill().await.unwrap();
    until("replica-1 is out", secs(30), async || !is_up(&pool, "replica-1")).await;
    assert_eq!(port(pool.read()).await, analytics.port(), "the only replica left serves all");

    analytics.kill().await.unwrap();
    assert_eq!(port(pool.analytics()).await, stack.primary().unwrap().port());
}

#[tokio::test]
async fn a_replica_that_is_down_at_start_is_marked_and_joins_later() {
    let stack = stack(1).await;
    let replica = stack.replica(0).unwrap();
    replica.stop().await.unwrap();
    let pool = pool(&stack).await;
    let status = node(&pool, "replica-1");
    assert!(status.to_string().starts_with("replica-1 down for "), "{status}");
    assert!(status.to_string().contains("refused"), "{status}");
    assert_eq!(port(pool.read()).await, stack.primary().unwrap().port());

    replica.restart().await.unwrap();
    until("the replica joins", secs(30), async || is_up(&pool, "replica-1")).await;
    assert_eq!(port(pool.read()).await, replica.port());
}

#[tokio::test]
async fn a_replica_that_takes_writes_is_kept_out_of_rotation() {
    let stack = stack(1).await;
    let pool = pool(&stack).await;
    stack.replica(0).unwrap().promote().await.unwrap();
    until("the promoted replica is out", secs(30), async || !is_up(&pool, "replica-1")).await;
    assert_eq!(port(pool.read()).await, stack.primary().unwrap().port());
}

#[tokio::test]
async fn a_standby_configured_as_primary_takes_reads_and_refuses_writes() {
    let stack = stack(1).await;
    let primary = NodeConfig::new(stack.replica(0).unwrap().url());
    let config = PoolConfig { primary, replicas: Vec::new(), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    assert!(!node(&pool, "primary").writable);
    assert!(matches!(pool.write().execute("SELECT 1", &[]).await, Err(Error::NotWritable { .. })));
    assert_eq!(port(pool.read()).await, stack.replica(0).unwrap().port());
}

#[tokio::test]
async fn statements_that_change_their_session_are_refused_on_a_route() {
    let stack = stack(0).await;
    let pool = pool(&stack).await;
    for sql in ["BEGIN", " /* x */ set work_mem = '1MB'", "LISTEN a"] {
        let error = pool.write().execute(sql, &[]).await.unwrap_err();
        assert!(matches!(error, Error::SessionStatement { .. }), "{sql}: {error}");
    }
}

#[tokio::test]
async fn rows_are_counted() {
    let stack = stack(0).await;
    let pool = pool(&stack).await;
    let sql = "SELECT generate_series(1, $1)";
    let rows = async |n: i32| {
        let one = pool_rows(pool.read().query_one(sql, &[&n]).await.map(|_| 1));
        let opt =
            pool_rows(pool.read().query_opt(sql, &[&n]).await.map(|row| u8::from(row.is_some())));
        (one, opt)
    };
    assert_eq!(rows(0).await, (Err(false), Ok(0)));
    assert_eq!(rows(1).await, (Ok(1), Ok(1)));
    assert_eq!(rows(2).await, (Err(true), Err(true)));
}

fn pool_rows(result: Result<u8, Error>) -> Result<u8, bool> {
    result.map_err(|error| match error {
        Error::RowCount { many, .. } => many,
        other => panic!("{other}"),
    })
}
