//! Prepared statements: how many are kept, and what is done when one goes stale.

use seawall_pool::{Outcome, Pool, PoolConfig};

use crate::support::{admin, config, count, pool_of_one, stack};

#[tokio::test]
async fn the_bound_is_exact_and_hot_statements_stay() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 1, min_idle: 1, statement_cache: 50, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let hot = "SELECT 'hot', count(*), min(prepare_time)::text FROM pg_prepared_statements \
               WHERE statement LIKE 'SELECT ''hot''%'";
    let prepared: String = pool.read().query_one(hot, &[]).await.unwrap().get(2);
    let kept = "SELECT count(*) FROM pg_prepared_statements";
    for n in 0..1_000 {
        pool.read().query(&format!("SELECT {n}"), &[]).await.unwrap();
        if n % 20 == 0 {
            let row = pool.read().query_one(hot, &[]).await.unwrap();
            assert_eq!(row.get::<_, String>(2), prepared, "it was prepared again");
            let kept: i64 = pool.read().query_one(kept, &[]).await.unwrap().get(0);
            assert!(kept <= 50, "{kept}");
        }
    }
}

#[tokio::test]
async fn a_stale_statement_in_a_transaction_of_the_caller_is_not_run_again() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE TABLE wide (a int); INSERT INTO wide VALUES (1)").await;
    let sql = "SELECT * FROM wide";
    pool.write().query_one(sql, &[]).await.unwrap();
    admin(primary, "ALTER TABLE wide ADD b int").await;
    let conn = pool.write().get().await.unwrap();
    conn.execute("BEGIN", &[]).await.unwrap();
    let error = conn.query_one(sql, &[]).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "0A000", "the cause, not what came of it");
    assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    conn.execute("ROLLBACK", &[]).await.unwrap();
    assert_eq!(conn.query_one(sql, &[]).await.unwrap().len(), 2, "and is prepared anew");
}

#[tokio::test]
async fn a_stale_write_is_run_once() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE TABLE wide (a int)").await;
    let sql = "INSERT INTO wide VALUES (1) RETURNING *";
    pool.write().query_one(sql, &[]).await.unwrap();
    admin(primary, "ALTER TABLE wide ADD b int").await;
    assert_eq!(pool.write().query_one(sql, &[]).await.unwrap().len(), 2);
    assert_eq!(count(primary, "SELECT count(*) FROM wide").await, 2);
}

/// The same code from inside of a function says nothing about our statement,
/// which has begun to run.
#[tokio::test]
async fn a_statement_that_fails_inside_for_a_statement_gone_is_not_run_again() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let primary = stack.primary().unwrap();
    admin(
        primary,
        "CREATE SEQUENCE runs; CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$ \
         BEGIN PERFORM nextval('runs'); EXECUTE 'EXECUTE nowhere'; RETURN 1; END $$",
    )
    .await;
    let error = pool.write().execute("SELECT fails()", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "26000");
    assert_eq!(count(primary, "SELECT last_value FROM runs").await, 1);
}
