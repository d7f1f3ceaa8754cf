//! The log of slow statements, what is kept of them, and their plans.

use seawall_pool::{Error, Fingerprint, Pool, PoolConfig, SlowConfig};

use crate::support::{admin, config, count, millis, pool, secs, stack, until, warnings};

#[tokio::test]
async fn a_slow_statement_is_logged_with_its_node_and_without_its_values() {
    let warnings = warnings();
    let stack = stack(0).await;
    let config = PoolConfig { slow_query: secs(2), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    warnings.lock().clear();

    pool.read().query("SELECT $1::text", &[&"quick"]).await.unwrap();
    assert_eq!(*warnings.lock(), "");
    let sql = "SELECT pg_sleep(2.5), $1::text";
    pool.read().query(sql, &[&"secret"]).await.unwrap();
    let text = warnings.lock().clone();
    assert!(text.contains("slow query") && text.contains(sql), "{text}");
    assert!(text.contains("node=primary") && text.contains("op=\"read\""), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn slow_statements_are_kept_with_their_fingerprint_and_without_values() {
    let stack = stack(0).await;
    let config = PoolConfig {
        slow_query: millis(50),
        slow_queries: SlowConfig { keep: 2, ..SlowConfig::default() },
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    for seconds in [0.1, 0.11, 0.12] {
        let sql = format!("SELECT pg_sleep({seconds}), 'secret', $1::text");
        pool.read().query(&sql, &[&"secret"]).await.unwrap();
    }
    let kept = pool.slow_queries();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(&*kept[0].statement, "select pg_sleep(?), ?, ?::text");
    assert_eq!(kept[0].fingerprint, kept[1].fingerprint);
    assert_eq!(kept[0].fingerprint, Fingerprint::of("select pg_sleep($1), $2, $3::text"));
    assert!(kept[0].took >= millis(100) && &*kept[0].node == "primary");
    assert!(kept[0].ended <= kept[1].ended);
    assert!(kept.iter().all(|query| query.plan.is_none()), "plans are off");
    assert!(pool.plan_of(&kept[0]).await.unwrap().starts_with("Result"));
}

#[tokio::test]
async fn a_plan_is_had_for_parameters_without_values_and_nothing_is_run() {
    let stack = stack(1).await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    admin(
        primary,
        "CREATE TABLE item (id bigint PRIMARY KEY, name text); \
         INSERT INTO item SELECT i, 'x' FROM generate_series(1, 10000) AS i; ANALYZE item",
    )
    .await;
    replica.wait_caught_up(primary, secs(20)).await.unwrap();
    let pool = pool(&stack).await;
    for node in ["primary", "replica-1"] {
        let plan = pool.explain(node, "SELECT name FROM item WHERE id = $1;").await.unwrap();
        assert!(plan.contains("item_pkey") && plan.contains("$1"), "{node}: {plan}");
        let plan = pool.explain(node, "DELETE FROM item WHERE id = $1").await.unwrap();
        assert!(plan.starts_with("Delete on item"), "{node}: {plan}");
    }
    let rows = "SELECT count(*) FROM item";
    assert_eq!(count(primary, rows).await, 10_000);
    // Neither a second statement nor one that cannot be planned gets through.
    for sql in ["SELECT 1; DELETE FROM item", "COMMIT; DELETE FROM item", "VACUUM", "SELEC", ""] {
        let refused = pool.explain("primary", sql).await.unwrap_err();
        assert!(matches!(refused, Error::Query { .. }), "{sql}: {refused:?}");
    }
    assert_eq!(count(primary, rows).await, 10_000);
    let unknown = pool.explain("replica-9", "SELECT 1").await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownNode { .. }), "{unknown:?}");
}

#[tokio::test]
async fn the_pool_asks_for_plans_itself_when_it_is_told_to() {
    let stack = stack(0).await;
    let config = PoolConfig {
        slow_query: millis(20),
        slow_queries: SlowConfig { plans_per_minute: 1, ..SlowConfig::default() },
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    pool.read().query("SELECT pg_sleep(0.05)", &[]).await.unwrap();
    pool.read().query("SELECT pg_sleep(0.05), 1", &[]).await.unwrap();
    until("the first has its plan", secs(20), async || {
        pool.slow_queries()[0].plan.as_deref().is_some_and(|plan| plan.starts_with("Result"))
    })
    .await;
    assert!(pool.slow_queries()[1].plan.is_none(), "one a minute");
}
