//! Statements that are routed by what they look like.

use seawall_pool::{Outcome, Pool, PoolConfig, TransactionOptions};

use crate::support::{admin, config, count, node, pool, port, secs, stack, until};

const FUNCTIONS: &str = "
    CREATE TABLE log (id serial, text text);
    CREATE FUNCTION plain(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
    CREATE FUNCTION looks(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) + $1 FROM log';
    CREATE FUNCTION writes(text) RETURNS int VOLATILE LANGUAGE sql
        AS 'INSERT INTO log (text) VALUES ($1) RETURNING id';
    CREATE FUNCTION naps(text) RETURNS int VOLATILE LANGUAGE sql
        AS 'INSERT INTO log (text) SELECT $1 FROM pg_sleep(50) RETURNING id';
    CREATE FUNCTION lies(text) RETURNS int STABLE LANGUAGE plpgsql
        AS 'BEGIN RETURN writes($1); END';
    CREATE FUNCTION lies_long(text) RETURNS int STABLE LANGUAGE plpgsql
        AS 'BEGIN RETURN naps($1); END';
    CREATE FUNCTION picky() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN
        IF pg_is_in_recovery() THEN RAISE 'not on a standby' USING ERRCODE = '0A000'; END IF;
        RETURN 1;
    END $$;
    CREATE FUNCTION two(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION two(text) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION step(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1 + $2';
    CREATE AGGREGATE steps(int) (SFUNC = step, STYPE = int, INITCOND = '0');
    CREATE AGGREGATE plains(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
    CREATE FUNCTION \"normalize\"(int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
";

async fn with_functions(stack: &seawall_devstack::Stack) -> Pool {
    let primary = stack.primary().unwrap();
    admin(primary, FUNCTIONS).await;
    for replica in stack.replicas() {
        replica.wait_caught_up(primary, secs(30)).await.unwrap();
    }
    pool(stack).await
}

async fn at(pool: &Pool, sql: &str) -> u16 {
    let sql = format!("SELECT inet_server_port() FROM ({sql}) AS x");
    let row = pool.auto().query_one(&sql, &[]).await.unwrap();
    u16::try_from(row.get::<_, i32>(0)).unwrap()
}

#[tokio::test]
async fn reads_go_to_a_replica_and_everything_else_to_the_primary() {
    let stack = stack(1).await;
    let pool = with_functions(&stack).await;
    let (primary, replica) = (stack.primary().unwrap().port(), stack.replica(0).unwrap().port());
    for read in
        ["SELECT 1", "SELECT plain(1)", "SELECT looks(1)", "SELECT random()", "SELECT plains(1)"]
    {
        assert_eq!(at(&pool, read).await, replica, "{read}");
    }
    for write in [
        "SELECT writes('a')",
        "SELECT two(1)",
        "SELECT steps(1)",
        "SELECT normalize('a')",
        "SELECT pg_advisory_xact_lock(1)",
    ] {
        assert_eq!(at(&pool, write).await, primary, "{write}");
    }
    assert_eq!(pool.auto().execute("INSERT INTO log (text) VALUES ('b')", &[]).await.unwrap(), 1);
    pool.auto().query("SELECT * FROM log FOR UPDATE", &[]).await.unwrap();
    pool.auto()
        .query("WITH x AS (DELETE FROM log RETURNING *) SELECT * FROM x", &[])
        .await
        .unwrap();
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM log").await, 0);
    // Made after the pool looked: not known, and so a write.
    let late = "CREATE FUNCTION late() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'";
    pool.auto().execute(late, &[]).await.unwrap();
    assert_eq!(at(&pool, "SELECT late()").await, primary);
    // What may come on a connection, nobody knows.
    assert_eq!(&**pool.auto().get().await.unwrap().node(), "primary");
    assert!(pool.auto().execute("SET work_mem = '1MB'", &[]).await.is_err());
}

#[tokio::test]
async fn a_write_in_the_guise_of_a_read_is_run_once_on_the_primary_and_remembered() {
    let stack = stack(1).await;
    let pool = with_functions(&stack).await;
    let sql = "SELECT lies($1)";
    let refused = async |times: i64| {
        let rows = "SELECT count(*) FROM log";
        assert_eq!(count(stack.primary().unwrap(), rows).await, times);
        node(&pool, "replica-1").served.reads
    };
    pool.auto().query_one(sql, &[&"first"]).await.unwrap();
    let reads = refused(1).await;
    for _ in 0..3 {
        pool.auto().query_one(sql, &[&"later"]).await.unwrap();
    }
    assert_eq!(refused(4).await, reads);
    // In so many words it is a read, and then its refusal is the caller's.
    let error = pool.read().query_one(sql, &[&"said"]).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "25006");
    refused(4).await;
}

#[tokio::test]
async fn where_a_standby_cannot_run_a_read_at_all_the_primary_does() {
    let stack = stack(1).await;
    let pool = with_functions(&stack).await;
    let primary = i32::from(stack.primary().unwrap().port());
    for _ in 0..2 {
        let row = pool.auto().query_one("SELECT inet_server_port(), picky()", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), primary);
    }
}

#[tokio::test]
async fn a_supposed_read_whose_answer_the_primary_lost_is_not_run_again() {
    let stack = stack(1).await;
    let pool = with_functions(&stack).await;
    let primary = stack.primary().unwrap();
    // With no replica left, reads too go to the primary.
    pool.drain("replica-1").unwrap();
    let caller = tokio::spawn({
        let pool = pool.clone();
        async move { pool.auto().timeout(secs(60)).query_one("SELECT lies_long('x')", &[]).await }
    });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT lies_long%'";
    until("it runs", secs(30), async || count(primary, running).await == 1).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT lies_long%'";
    admin(primary, kill).await;
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::Unknown), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(count(primary, running).await, 0, "nobody sent it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_come_at_once_read_the_catalogue_once() {
    let stack = stack(1).await;
    let _ = with_functions(&stack).await;
    let pool = Pool::connect(PoolConfig { max_size: 4, ..config(&stack) }).await.unwrap();
    let replica = stack.replica(0).unwrap().port();
    let calls = (0..50).map(|n| {
        let pool = pool.clone();
        tokio::spawn(async move { at(&pool, &format!("SELECT plain({n})")).await })
    });
    for port in futures_util::future::join_all(calls).await {
        assert_eq!(port.unwrap(), replica);
    }
    assert_eq!(node(&pool, "replica-1").served.reads, 51);
    assert_eq!(port(pool.read()).await, replica);
}

#[tokio::test]
async fn a_transaction_goes_where_its_begin_says_and_stays_there() {
    let stack = stack(2).await;
    let pool = with_functions(&stack).await;
    let primary = stack.primary().unwrap().port();
    let begin = async |text: &str| {
        let options: TransactionOptions = text.parse().unwrap();
        let mut conn = pool.auto().begins(options).get().await.unwrap();
        let transaction = conn.transaction_with(options).await.unwrap();
        let mut ports = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let row = transaction.query_one("SELECT inet_server_port()", &[]).await.unwrap();
            ports.insert(u16::try_from(row.get::<_, i32>(0)).unwrap());
        }
        assert_eq!(ports.len(), 1, "{text}: {ports:?}");
        let wrote = transaction.execute("INSERT INTO log (text) VALUES ('x')", &[]).await;
        let code = wrote.err().map(|error| {
            assert_eq!(error.outcome(), Some(Outcome::NoEffect));
            error.sqlstate().unwrap().code().to_owned()
        });
        transaction.rollback().await.unwrap();
        (ports.pop_first().unwrap(), code)
    };
    let forbidden = Some("25006".to_owned());
    for text in ["BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"]
    {
        let (port, code) = begin(text).await;
        assert_ne!(port, primary, "{text}");
        assert_eq!(code, forbidden, "{text}");
    }
    for text in
        ["BEGIN READ ONLY, ISOLATION LEVEL SERIALIZABLE", "BEGIN READ ONLY, READ WRITE", "BEGIN"]
    {
        let (port, code) = begin(text).await;
        assert_eq!(port, primary, "{text}");
        assert_eq!(code.is_some(), text.contains("SERIALIZABLE"), "{text}");
    }
    // Also where the call says that it reads: a standby has no such level.
    let options: TransactionOptions = "BEGIN ISOLATION LEVEL SERIALIZABLE".parse().unwrap();
    let mut conn = pool.read().begins(options).get().await.unwrap();
    assert_eq!(&**conn.node(), "primary");
    conn.transaction_with(options).await.unwrap().query("SELECT 1", &[]).await.unwrap();
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM log").await, 0, "nowhere");
}
