//! What happens to a connection between two borrowers.

use std::pin::pin;

use futures_util::{FutureExt, StreamExt};
use seawall_devstack::{Faults, Proxy};
use seawall_pool::tokio_postgres::types::ToSql;
use seawall_pool::{NodeConfig, Pool, PoolConfig};
use tokio::time::{Instant, timeout};

use crate::support::{
    admin, backend, config, count, millis, node, pool_of_one, secs, stack, until,
};

/// The last statement that the process `backend` was sent.
async fn last_sent(server: &seawall_devstack::Postgres, backend: i32) -> String {
    let sql = format!("SELECT query FROM pg_stat_activity WHERE pid = {backend}");
    server.client().await.unwrap().query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_cancel_request_never_hits_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    for round in 0..200u64 {
        // It ends by itself at about the moment in which it is given up.
        let limit = std::time::Duration::from_micros(1_500 + 17 * (round % 60));
        let query = pool.write().execute("SELECT pg_sleep(0.001)", &[]);
        let _ = timeout(limit, query).await;
        pool.write().execute("SELECT pg_sleep(0.002)", &[]).await.unwrap();
    }
    assert_eq!(backend(pool.write()).await, process, "none was thrown away");
}

#[tokio::test]
async fn a_dropped_stream_of_rows_does_not_block_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let conn = pool.write().get().await.unwrap();
    // Without end, as far as a test goes.
    let sql = "SELECT generate_series(1, 1000000000), repeat('x', 500)";
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = Box::pin(conn.query_raw(sql, none).await.unwrap());
    rows.next().await.unwrap().unwrap();
    drop(rows);
    drop(conn);
    let start = Instant::now();
    pool.write().execute("SELECT 1", &[]).await.unwrap();
    assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn several_statements_in_flight_are_all_stopped() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    let conn = pool.write().get().await.unwrap();
    {
        let (first, second) = (
            pin!(conn.execute("SELECT pg_sleep(50)", &[])),
            pin!(conn.execute("SELECT pg_sleep(40)", &[])),
        );
        let both = futures_util::future::join(first, second);
        timeout(millis(100), both).await.unwrap_err();
    }
    drop(conn);
    let start = Instant::now();
    assert_eq!(backend(pool.write()).await, process);
    assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_transaction_that_the_caller_began_and_ended_costs_no_reset() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    let conn = pool.write().get().await.unwrap();
    for sql in ["BEGIN", "SET LOCAL work_mem = '77MB'", "SELECT 1", "COMMIT"] {
        conn.execute(sql, &[]).await.unwrap();
    }
    drop(conn);
    assert_eq!(node(&pool, "primary").available, 1, "back at once");
    assert_eq!(last_sent(stack.primary().unwrap(), process).await, "COMMIT");
}

#[tokio::test]
async fn a_transaction_that_the_caller_left_open_costs_one_rollback() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    admin(stack.primary().unwrap(), "CREATE TABLE leak (id int)").await;
    let process = backend(pool.write()).await;
    for last in ["INSERT INTO leak VALUES (1)", "SELECT 1 / 0"] {
        let conn = pool.write().get().await.unwrap();
        conn.execute("BEGIN", &[]).await.unwrap();
        let _ = conn.execute(last, &[]).await;
        drop(conn);
        until("it is back", secs(30), async || node(&pool, "primary").available == 1).await;
        assert_eq!(last_sent(stack.primary().unwrap(), process).await, "ROLLBACK");
        pool.write().execute("VACUUM leak", &[]).await.unwrap();
    }
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM leak").await, 0);
    assert_eq!(backend(pool.write()).await, process);
}

#[tokio::test]
async fn a_transaction_begun_by_a_statement_nobody_waited_for_is_rolled_back() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    for _ in 0..20 {
        let conn = pool.write().get().await.unwrap();
        let mut begin = Box::pin(conn.batch_execute("BEGIN; SET work_mem = '77MB'"));
        assert!(begin.as_mut().now_or_never().is_none());
        drop(begin);
        drop(conn);
        pool.write().execute("VACUUM pg_class", &[]).await.unwrap();
        let row = pool.write().query_one("SHOW work_mem", &[]).await.unwrap();
        assert_ne!(row.get::<_, String>(0), "77MB");
    }
}

/// Everything below leaves something in the session without a word such as
/// `SET` in front.
#[tokio::test]
async fn what_a_function_or_a_block_leaves_behind_does_not_reach_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    admin(
        stack.primary().unwrap(),
        "CREATE FUNCTION elsewhere() RETURNS int LANGUAGE plpgsql AS $$ \
         BEGIN SET TimeZone = 'Asia/Tokyo'; RETURN 1; END $$",
    )
    .await;
    let carried = async || -> String {
        let sql = "SELECT concat_ws(' ', current_setting('work_mem'), current_setting('TimeZone'), \
                   to_regclass('pg_temp.mine'), (SELECT count(*) FROM pg_locks WHERE locktype = \
                   'advisory'), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql))";
        pool.write().query_one(sql, &[]).await.unwrap().get(0)
    };
    let (clean, process) = (carried().await, backend(pool.write()).await);
    for sql in [
        "SELECT set_config('work_mem', '77MB', false)",
        "SELECT pg_advisory_lock(1)",
        "DO $$ BEGIN SET work_mem = '77MB'; END $$",
        "SELECT 1 AS a INTO TEMP mine",
        // Told by the server, which reports this setting.
        "SELECT elsewhere()",
    ] {
        pool.write().execute(sql, &[]).await.unwrap();
        assert_eq!(carried().await, clean, "{sql}");
        // Prepared before, and cached: it counts each time.
        pool.write().execute(sql, &[]).await.unwrap();
        assert_eq!(carried().await, clean, "{sql}, the second time");
    }
    for sql in ["PREPARE mine AS SELECT 1", "LISTEN news", "SET work_mem = '77MB'"] {
        let conn = pool.write().get().await.unwrap();
        conn.execute(sql, &[]).await.unwrap();
        drop(conn);
        assert_eq!(carried().await, clean, "{sql}");
    }
    assert_eq!(backend(pool.write()).await, process, "a reset keeps the connection");
}

#[tokio::test]
async fn a_connection_that_cannot_be_stopped_is_closed_and_its_place_is_free() {
    let stack = stack(0).await;
    let proxy = Proxy::start(stack.primary().unwrap().addr()).await.unwrap();
    let config = PoolConfig {
        primary: NodeConfig::new(stack.primary().unwrap().url_via(proxy.addr())),
        max_size: 1,
        min_idle: 0,
        cancel_timeout: millis(100),
        ..PoolConfig::default()
    };
    let pool = Pool::connect(config).await.unwrap();
    let process = backend(pool.write()).await;
    // The cancel request needs a connection of its own.
    proxy.refuse().await.unwrap();
    let query = pool.write().execute("SELECT pg_sleep(600)", &[]);
    timeout(millis(50), query).await.unwrap_err();
    assert_eq!(node(&pool, "primary").cleaning, 1, "in quarantine");
    until("it is given up", secs(30), async || node(&pool, "primary").size == 0).await;
    proxy.accept().await.unwrap();
    assert_ne!(backend(pool.write()).await, process);
}

/// One too many would fill the server's log with warnings.
#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_once() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    for _ in 0..10 {
        let mut conn = pool.write().get().await.unwrap();
        let tx = conn.transaction().await.unwrap();
        tx.execute("SELECT 1", &[]).await.unwrap();
        drop(tx);
        drop(conn);
        until("it is back", secs(30), async || node(&pool, "primary").available == 1).await;
    }
    assert_eq!(backend(pool.write()).await, process);
    let log = std::fs::read_to_string(stack.primary().unwrap().log_path()).unwrap();
    assert!(!log.contains("no transaction in progress"), "{log}");
}

/// A cancel request is a connection of its own.
#[tokio::test]
async fn a_server_that_is_far_away_is_sent_no_cancel_against_a_reset() {
    let stack = stack(0).await;
    let door = Proxy::start(stack.primary().unwrap().addr()).await.unwrap();
    door.set(Faults { latency: millis(60), ..Faults::default() });
    let primary = NodeConfig::new(stack.primary().unwrap().url_via(door.addr()));
    let config = PoolConfig { primary, max_size: 1, min_idle: 1, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    let process = backend(pool.write()).await;
    let accepted = door.accepted();
    for _ in 0..3 {
        let mut conn = pool.write().get().await.unwrap();
        conn.execute("SET application_name = 'seawall-pool-far'", &[]).await.unwrap();
        drop(conn.transaction().await.unwrap());
        drop(conn);
        assert_eq!(backend(pool.write()).await, process, "it was kept");
    }
    assert_eq!(door.accepted(), accepted);
}
