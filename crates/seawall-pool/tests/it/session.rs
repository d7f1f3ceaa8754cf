//! What a borrower leaves behind.

use futures_util::SinkExt;
use seawall_devstack::Stack;
use seawall_pool::{Error, Lsn, NodeConfig, Outcome, Pool, PoolConfig};
use tokio::time::{Instant, timeout};

use crate::support::{
    admin, backend, config, count, millis, node, pool_of_one, secs, stack, until,
};

const SLEEPERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(50)%' \
     AND pid <> pg_backend_pid()";

/// The next borrower is served fast, and the server has stopped working on what
/// nobody waits for.
async fn next_borrower_is_served(stack: &Stack, pool: &Pool) {
    let start = Instant::now();
    pool.write().query_one("SELECT 1", &[]).await.unwrap();
    let took = start.elapsed();
    assert!(took < secs(20), "{took:?}");
    let primary = stack.primary().unwrap();
    until("the server gave it up", secs(30), async || count(primary, SLEEPERS).await == 0).await;
}

async fn asleep(stack: &Stack) {
    let primary = stack.primary().unwrap();
    until("the statement runs", secs(30), async || count(primary, SLEEPERS).await == 1).await;
}

#[tokio::test]
async fn a_dropped_query_does_not_block_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    for _ in 0..3 {
        let query = pool.write().query("SELECT pg_sleep(50)", &[]);
        tokio::select! {
            _ = query => panic!("it cannot be done"),
            () = asleep(&stack) => {}
        }
        next_borrower_is_served(&stack, &pool).await;
    }
}

#[tokio::test]
async fn a_dropped_query_on_a_connection_does_not_block_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    for raw in [false, true] {
        let conn = pool.write().get().await.unwrap();
        let query = async {
            if raw {
                conn.batch_execute("SELECT pg_sleep(50)").await.unwrap();
            } else {
                conn.execute("SELECT pg_sleep(50)", &[]).await.unwrap();
            }
        };
        tokio::select! {
            () = query => panic!("it cannot be done"),
            () = asleep(&stack) => {}
        }
        drop(conn);
        next_borrower_is_served(&stack, &pool).await;
    }
}

#[tokio::test]
async fn a_query_that_times_out_is_stopped_before_its_connection_is_lent_again() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let before = backend(pool.write()).await;
    let start = Instant::now();
    let query = pool.write().timeout(millis(200)).execute("SELECT pg_sleep(50)", &[]);
    let error = query.await.unwrap_err();
    assert!(start.elapsed() < secs(20));
    assert!(matches!(error, Error::QueryTimeout { outcome: Outcome::Unknown, .. }), "{error}");
    let query = pool.read().timeout(millis(200)).execute("SELECT pg_sleep(50)", &[]);
    let error = query.await.unwrap_err();
    assert!(matches!(error, Error::QueryTimeout { outcome: Outcome::NoEffect, .. }), "{error}");
    next_borrower_is_served(&stack, &pool).await;
    assert_eq!(backend(pool.write()).await, before, "stopped, not thrown away");
}

#[tokio::test]
async fn an_open_transaction_never_reaches_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int)", &[]).await.unwrap();
    let left_open: [&[&str]; 4] = [
        &["BEGIN", "INSERT INTO leak VALUES (1)"],
        &["BEGIN; INSERT INTO leak VALUES (2)"],
        &["BEGIN; INSERT INTO leak VALUES (3); SELECT 1 / 0"],
        &["/* who would */ START TRANSACTION", "INSERT INTO leak VALUES (4)", "SELECT 1 / 0"],
    ];
    for raw in [true, false] {
        for statements in left_open {
            let conn = pool.write().get().await.unwrap();
            for sql in statements {
                if raw {
                    let _ = conn.batch_execute(sql).await;
                } else {
                    let _ = conn.execute(sql, &[]).await;
                }
            }
            drop(conn);
            // Refused inside a transaction block, open or failed.
            pool.write().execute("VACUUM leak", &[]).await.unwrap();
            let rows = pool.write().query("SELECT id FROM leak", &[]).await.unwrap();
            assert!(rows.is_empty(), "{statements:?}");
        }
    }
}

#[tokio::test]
async fn begin_given_up_at_any_moment_leaves_no_transaction_open() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    for micros in (0..1_000).step_by(20) {
        let mut conn = pool.write().get().await.unwrap();
        let _ = timeout(std::time::Duration::from_micros(micros), conn.transaction()).await;
        drop(conn);
        pool.write().execute("SELECT 1", &[]).await.unwrap();
    }
    let primary = stack.primary().unwrap();
    until("no transaction is open", secs(30), async || count(primary, open).await == 0).await;
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int)", &[]).await.unwrap();
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("INSERT INTO leak VALUES (1)", &[]).await.unwrap();
    drop(tx);
    drop(conn);
    pool.write().execute("VACUUM leak", &[]).await.unwrap();
    assert!(pool.write().query("SELECT FROM leak", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_commit_of_a_failed_transaction_is_an_error() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int)", &[]).await.unwrap();
    for raw in [false, true] {
        let mut conn = pool.write().get().await.unwrap();
        let tx = conn.transaction().await.unwrap();
        tx.execute("INSERT INTO leak VALUES (1)", &[]).await.unwrap();
        if raw {
            tx.batch_execute("SELECT 1 / 0").await.unwrap_err();
        } else {
            tx.execute("SELECT 1 / 0", &[]).await.unwrap_err();
        }
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().code(), "25P02");
        assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    }
    // A failure undone by a savepoint is none.
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("SAVEPOINT a", &[]).await.unwrap();
    tx.execute("SELECT 1 / 0", &[]).await.unwrap_err();
    tx.execute("ROLLBACK TO a", &[]).await.unwrap();
    tx.execute("INSERT INTO leak VALUES (2)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    drop(conn);
    assert_eq!(pool.write().query("SELECT FROM leak", &[]).await.unwrap().len(), 1);
}

/// What the session carries: setting, temporary table, advisory locks, listeners.
async fn carried(pool: &Pool) -> String {
    let sql = "SELECT concat_ws(' ', current_setting('work_mem'), to_regclass('pg_temp.mine'), \
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), \
               (SELECT count(*) FROM pg_listening_channels()))";
    pool.write().query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn nothing_of_a_session_reaches_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let (clean, process) = (carried(&pool).await, backend(pool.write()).await);
    let conn = pool.write().get().await.unwrap();
    conn.batch_execute(
        "SET work_mem = '77MB'; CREATE TEMP TABLE mine (); SELECT pg_advisory_lock(1); LISTEN a",
    )
    .await
    .unwrap();
    drop(conn);
    assert_eq!(carried(&pool).await, clean);
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("SET work_mem = '77MB'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    drop(conn);
    assert_eq!(carried(&pool).await, clean);
    assert_eq!(backend(pool.write()).await, process, "a reset keeps the connection");
}

#[tokio::test]
async fn a_connection_to_a_standby_can_be_reset() {
    let stack = stack(1).await;
    let mut config = PoolConfig { max_size: 1, ..config(&stack) };
    config.replicas = vec![NodeConfig::new(stack.replica(0).unwrap().url())];
    let pool = Pool::connect(config).await.unwrap();
    let process = backend(pool.read()).await;
    let conn = pool.read().get().await.unwrap();
    assert_eq!(&**conn.node(), "replica-1");
    conn.batch_execute("BEGIN; SET work_mem = '77MB'").await.unwrap();
    drop(conn);
    let row = pool.read().query_one("SHOW work_mem", &[]).await.unwrap();
    assert_ne!(row.get::<_, String>(0), "77MB");
    assert_eq!(backend(pool.read()).await, process, "a reset keeps the connection");
}

#[tokio::test]
async fn a_clean_transaction_costs_no_reset() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("SELECT 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    drop(conn);
    let sql =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process} AND query = 'COMMIT'");
    assert_eq!(count(stack.primary().unwrap(), &sql).await, 1, "COMMIT was the last thing sent");
}

#[tokio::test]
async fn statements_gone_stale_are_prepared_again() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE TABLE wide (a int); INSERT INTO wide VALUES (1)").await;
    let sql = "SELECT * FROM wide";
    assert_eq!(pool.read().query_one(sql, &[]).await.unwrap().len(), 1);
    admin(primary, "ALTER TABLE wide ADD b int").await;
    assert_eq!(pool.read().query_one(sql, &[]).await.unwrap().len(), 2);
    let conn = pool.write().get().await.unwrap();
    conn.batch_execute("DEALLOCATE ALL").await.unwrap();
    drop(conn);
    pool.write().query_at(sql, &[]).await.unwrap();

    // Inside a transaction the failure shows, and the next one is well.
    for expected in [false, true] {
        if !expected {
            admin(primary, "ALTER TABLE wide ADD c int").await;
        }
        let mut conn = pool.write().get().await.unwrap();
        let tx = conn.transaction().await.unwrap();
        assert_eq!(tx.query_one(sql, &[]).await.is_ok(), expected);
    }
}

/// The statement that asks for the position is as stale as any other, and
/// the write beside it is not.
#[tokio::test]
async fn a_write_with_its_position_is_not_run_again_when_the_position_cannot_be_read() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int)", &[]).await.unwrap();
    pool.write().query_at("SELECT 1", &[]).await.unwrap();
    let conn = pool.write().get().await.unwrap();
    // Behind the back of the pool, which would forget its statements too.
    conn.batch_execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$").await.unwrap();
    drop(conn);
    let sql = "INSERT INTO leak VALUES (1) RETURNING id";
    let at = pool.write().query_at(sql, &[]).await.unwrap();
    assert_eq!((at.value.len(), at.lsn), (1, Lsn(0)), "done, and nothing claimed");
    assert_eq!(pool.write().query("SELECT FROM leak", &[]).await.unwrap().len(), 1);
    assert!(pool.write().query_at(sql, &[]).await.unwrap().lsn > Lsn(0), "and prepared again");
}

#[tokio::test]
async fn a_token_is_given_though_its_statement_has_gone_stale() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let conn = pool.write().get().await.unwrap();
    conn.commit_lsn().await.unwrap();
    conn.batch_execute("DEALLOCATE ALL").await.unwrap();
    conn.commit_lsn().await.unwrap();
}

#[tokio::test]
async fn the_commit_after_a_dropped_statement_that_failed_is_an_error() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int)", &[]).await.unwrap();
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("INSERT INTO leak VALUES (1)", &[]).await.unwrap();
    let fails = tx.execute("SELECT 1 / (0 * length(pg_sleep(1)::text))", &[]);
    timeout(millis(100), fails).await.expect_err("it takes longer");
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "25P02");
    drop(conn);
    assert!(pool.write().query("SELECT FROM leak", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_write_that_returns_too_many_rows_is_not_cut_off() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE leak (id int, note text)", &[]).await.unwrap();
    let process = backend(pool.write()).await;
    let sql = "INSERT INTO leak SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) AS n RETURNING *";
    let error = pool.write().query_opt(sql, &[]).await.unwrap_err();
    assert!(matches!(error, Error::RowCount { many: true, .. }), "{error}");
    let row = pool.write().query_one("SELECT count(*) FROM leak", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 20_000, "the statement was executed");
    assert_eq!(backend(pool.write()).await, process);
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_not_sent_and_costs_no_connection() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let process = backend(pool.write()).await;
    let sql = "SELECT $1::int8";
    let wrong_type = pool.write().execute(sql, &[&"text"]).await.unwrap_err();
    let wrong_count = pool.write().execute(sql, &[&1i64, &2i64]).await.unwrap_err();
    let with_position = pool.write().query_at(sql, &[&"text"]).await.unwrap_err();
    for error in [wrong_type, wrong_count, with_position] {
        assert_eq!(error.outcome(), Some(Outcome::NotSent), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(backend(pool.write()).await, process);
}

#[tokio::test]
async fn a_temporary_table_never_reaches_the_next_borrower() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let clean = carried(&pool).await;
    for sql in ["CREATE TEMP TABLE mine ()", "create local /* x */ temporary table mine ()"] {
        let error = pool.write().execute(sql, &[]).await.unwrap_err();
        assert!(matches!(error, Error::SessionStatement { keyword: "CREATE TEMP" }), "{error}");
        let conn = pool.write().get().await.unwrap();
        conn.execute(sql, &[]).await.unwrap();
        drop(conn);
        assert_eq!(carried(&pool).await, clean);
        let mut conn = pool.write().get().await.unwrap();
        let tx = conn.transaction().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        tx.commit().await.unwrap();
        drop(conn);
        assert_eq!(carried(&pool).await, clean);
    }
}

#[tokio::test]
async fn statement_texts_without_end_do_not_grow_a_connection_without_end() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    for n in 0..2_000 {
        pool.read().query(&format!("SELECT {n}"), &[]).await.unwrap();
    }
    let sql = "SELECT count(*) FROM pg_prepared_statements";
    let kept: i64 = pool.read().query_one(sql, &[]).await.unwrap().get(0);
    assert!(kept <= 500, "{kept}");
}

/// The task that resets is lost with the runtime of the pool; the connection
/// must be lost too.
#[test]
fn nothing_of_a_session_reaches_the_next_borrower_on_another_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (servers, first, second) = (runtime(), runtime(), runtime());
    let stack = servers.block_on(stack(0));
    let pool = first.block_on(pool_of_one(&stack));
    drop(first);
    second.block_on(async {
        let conn = pool.write().get().await.unwrap();
        conn.batch_execute("SET work_mem = '77MB'").await.unwrap();
        drop(conn);
        let row = pool.write().query_one("SHOW work_mem", &[]).await.unwrap();
        assert_ne!(row.get::<_, String>(0), "77MB");
    });
    servers.block_on(stack.shutdown());
}

/// Who looked whose time was up is lost with the runtime of the caller who waited first.
#[test]
fn who_waits_on_one_runtime_is_served_or_told_though_another_ends() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    // On which the connections are: it goes on by itself.
    let mut servers = tokio::runtime::Builder::new_multi_thread();
    let servers = servers.worker_threads(1).enable_all().build().unwrap();
    let stack = servers.block_on(stack(0));
    let config = PoolConfig { max_size: 1, acquire_timeout: secs(8), ..config(&stack) };
    let pool = servers.block_on(Pool::connect(config)).unwrap();
    let held = servers.block_on(pool.write().get()).unwrap();
    let other = pool.clone();
    drop(first.spawn(async move { other.write().execute("SELECT 1", &[]).await }));
    first.block_on(until("one waits", secs(20), async || node(&pool, "primary").waiting == 1));
    second.block_on(async {
        let calls = [pool.write(), pool.write()];
        let [late, served] = calls.map(|route| route.execute("SELECT 1", &[]));
        let mut late = Box::pin(late);
        assert!(timeout(millis(1), late.as_mut()).await.is_err());
        let mut served = Box::pin(served);
        assert!(timeout(millis(1), served.as_mut()).await.is_err());
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert!(matches!(late.await, Err(Error::AcquireTimeout { .. })), "told in time");
        drop(held);
        assert!(!matches!(served.await, Err(Error::Closed)));
        pool.write().execute("SELECT 1", &[]).await.unwrap();
    });
    servers.block_on(stack.shutdown());
}

/// Takes the only connection, and waits until nobody looks any more whose time is up.
async fn exhausted(pool: &Pool) -> seawall_pool::Conn {
    let held = pool.write().get().await.unwrap();
    let told = pool.write().execute("SELECT 1", &[]).await;
    assert!(matches!(told, Err(Error::AcquireTimeout { .. })), "{told:?}");
    held
}

/// Who would look whose time is up is on a runtime that nobody runs any more.
#[test]
fn who_waits_is_told_though_the_runtime_of_one_who_waited_before_stands_still() {
    let still = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut servers = tokio::runtime::Builder::new_multi_thread();
    let servers = servers.worker_threads(1).enable_all().build().unwrap();
    let stack = servers.block_on(stack(0));
    let config = PoolConfig { max_size: 1, acquire_timeout: secs(1), ..config(&stack) };
    let pool = servers.block_on(Pool::connect(config)).unwrap();
    let held = servers.block_on(exhausted(&pool));
    still.block_on(async {
        assert!(timeout(millis(1), pool.write().execute("SELECT 1", &[])).await.is_err());
    });
    servers.block_on(async {
        let told = timeout(secs(30), pool.write().execute("SELECT 1", &[])).await;
        assert!(matches!(told, Ok(Err(Error::AcquireTimeout { .. }))), "{told:?}");
        drop(held);
        pool.write().execute("SELECT 1", &[]).await.unwrap();
    });
    servers.block_on(stack.shutdown());
}

/// Nothing can be spawned there, so nobody ever looks.
#[test]
fn who_waits_on_a_runtime_that_has_ended_does_not_ask_for_ever() {
    let ended = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut servers = tokio::runtime::Builder::new_multi_thread();
    let servers = servers.worker_threads(1).enable_all().build().unwrap();
    let stack = servers.block_on(stack(0));
    let config = PoolConfig { max_size: 1, acquire_timeout: millis(300), ..config(&stack) };
    let pool = servers.block_on(Pool::connect(config)).unwrap();
    let held = servers.block_on(exhausted(&pool));
    let handle = ended.handle().clone();
    ended.shutdown_background();
    let (tell, told) = std::sync::mpsc::channel();
    let other = pool.clone();
    let asks = move || {
        let result = handle.block_on(other.write().execute("SELECT 1", &[]));
        tell.send(result.map(drop)).unwrap();
    };
    std::thread::spawn(asks);
    let result = told.recv_timeout(secs(30)).expect("an end");
    assert!(matches!(result, Err(Error::AcquireTimeout { .. })), "{result:?}");
    drop(held);
    servers.block_on(stack.shutdown());
}

/// tokio-postgres ends a copy that never began, and takes the answer to that for the next one.
#[tokio::test]
async fn a_copy_of_the_borrower_that_was_refused_harms_nobody_else() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    for _ in 0..20 {
        let conn = pool.write().get().await.unwrap();
        // By the driver's own, which leaves it one answer ahead.
        let client: &tokio_postgres::Client = &conn;
        let sink = client.copy_in::<_, &'static [u8]>("COPY nothing_of_this_name FROM STDIN").await;
        assert!(sink.is_err());
        drop(conn);
        for _ in 0..3 {
            let row = pool.write().query_one("SELECT 1", &[]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), 1);
        }
    }
}

#[tokio::test]
async fn after_a_copy_that_was_refused_its_connection_goes_on() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE mark (id int)", &[]).await.unwrap();
    let backend = backend(pool.write()).await;
    let refused = "COPY nothing_of_this_name FROM STDIN";
    let mut conn = pool.write().get().await.unwrap();
    for round in 0..20 {
        let error = conn.copy_in::<&'static [u8]>(refused).await.map(drop).unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::NoEffect), "{error}");
        // Each statement gets its own answer.
        for number in 0..3 {
            let row = conn.query_one("SELECT $1::int", &[&(round + number)]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), round + number);
        }
        let sink = conn.copy_in::<&'static [u8]>("COPY mark FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(b"1\n2\n").await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 2);
        // Also with nothing in between but the next loan, and within a transaction.
        let transaction = conn.transaction().await.unwrap();
        transaction.copy_in::<&'static [u8]>(refused).await.map(drop).unwrap_err();
        assert!(transaction.commit().await.is_err(), "it was given up");
        conn.copy_in::<&'static [u8]>(refused).await.map(drop).unwrap_err();
        drop(conn);
        conn = pool.write().get().await.unwrap();
    }
    drop(conn);
    assert_eq!(crate::support::backend(pool.write()).await, backend, "one connection did it all");
    let count: i64 = pool.read().query_one("SELECT count(*) FROM mark", &[]).await.unwrap().get(0);
    assert_eq!(count, 40);
}

/// The server takes the rows and fails before it has read the end of the request, so that it answers
/// the end of the copy once more.
#[tokio::test]
async fn after_a_copy_that_failed_as_it_began_each_statement_gets_its_own_answer() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE mark (id int)", &[]).await.unwrap();
    pool.write().execute("CREATE VIEW marks AS SELECT id FROM mark", &[]).await.unwrap();
    let backend = backend(pool.write()).await;
    let mut conn = pool.write().get().await.unwrap();
    for round in 0..20 {
        let sink = conn.copy_in::<&'static [u8]>("COPY marks FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        let _ = sink.send(b"1\n2\n").await;
        let error = sink.finish().await.unwrap_err();
        assert!(error.code().is_some(), "{error}");
        for number in 0..3 {
            let row = conn.query_one("SELECT $1::int", &[&(round + number)]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), round + number);
        }
        // Also with nothing in between but the next loan.
        conn.copy_in::<&'static [u8]>("COPY marks FROM STDIN").await.map(drop).unwrap();
        drop(conn);
        conn = pool.write().get().await.unwrap();
        let sink = conn.copy_in::<&'static [u8]>("COPY mark FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(b"1\n2\n").await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 2);
    }
    drop(conn);
    assert_eq!(crate::support::backend(pool.write()).await, backend, "one connection did it all");
}

#[tokio::test]
async fn a_copy_that_is_none_says_that_it_may_have_taken_effect() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE mark (id int)", &[]).await.unwrap();
    let conn = pool.write().get().await.unwrap();
    let insert = "INSERT INTO mark VALUES (1)";
    let error = conn.copy_in::<&'static [u8]>(insert).await.map(drop).unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::Unknown), "{error}");
    assert!(!error.is_retryable());
    let insert = "INSERT INTO mark VALUES ($1)";
    let error = conn.copy_in::<&'static [u8]>(insert).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::ParameterCount { .. }), "{error}");
    drop(conn);
    let count: i64 = pool.read().query_one("SELECT count(*) FROM mark", &[]).await.unwrap().get(0);
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_copy_that_waits_for_a_lock_is_given_up_on_the_server_too() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    pool.write().execute("CREATE TABLE mark (id int)", &[]).await.unwrap();
    let lock = stack.primary().unwrap().client().await.unwrap();
    lock.batch_execute("BEGIN; LOCK mark").await.unwrap();
    let conn = pool.write().timeout(millis(100)).get().await.unwrap();
    let error = conn.copy_in::<&'static [u8]>("COPY mark FROM STDIN").await.map(drop).unwrap_err();
    assert!(matches!(error, Error::QueryTimeout { .. }), "{error}");
    drop(conn);
    pool.write().query_one("SELECT 1", &[]).await.expect("the next one is served");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    until("nobody waits", secs(20), async || count(stack.primary().unwrap(), waits).await == 0)
        .await;
}
