//! Many rows in few statements.

use std::ops::ControlFlow;

use seawall_devstack::Stack;
use seawall_pool::{Error, Outcome, Pool, Progress};
use tokio::time::{Instant, timeout};
use tokio_postgres::types::{ToSql, Type};

use crate::support::{admin, count, millis, pool, pool_of_one, secs, stack, until};

const UNNEST: &str = "INSERT INTO item SELECT * FROM unnest($1::int8[], $2::text[])";
const COPY: &str = "COPY item (id, name) FROM STDIN (FORMAT binary)";
const TYPES: [Type; 2] = [Type::INT8, Type::TEXT];
const ROWS: &str = "SELECT count(*) FROM item";

async fn table() -> (Stack, Pool) {
    let stack = stack(0).await;
    let sql = "CREATE TABLE item (id bigint PRIMARY KEY, name text CHECK (name <> 'bad'))";
    admin(stack.primary().unwrap(), sql).await;
    let pool = pool_of_one(&stack).await;
    (stack, pool)
}

fn rows(ids: std::ops::Range<i64>) -> impl Iterator<Item = (i64, Option<String>)> + Send {
    ids.map(|id| (id, (id % 10 != 0).then(|| format!("name {id}"))))
}

fn chunk(error: Error) -> (Progress, Error) {
    match error {
        Error::Chunk { done, source } => (done, *source),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn all_rows_arrive_in_chunks_with_their_nulls_and_progress_is_told() {
    let (stack, pool) = table().await;
    let primary = stack.primary().unwrap();
    let mut seen = Vec::new();
    let done = pool
        .write()
        .in_chunks(400)
        .on_progress(|progress| {
            seen.push((progress.chunks, progress.rows));
            ControlFlow::Continue(())
        })
        .insert_many(UNNEST, rows(0..1000))
        .await
        .unwrap();
    assert_eq!((done.chunks, done.rows, done.written), (3, 1000, 1000));
    assert_eq!(seen, [(1, 400), (2, 800), (3, 1000)]);
    let done = pool.write().in_chunks(999).copy_many(COPY, &TYPES, rows(1000..3000)).await;
    let done = done.unwrap();
    assert_eq!((done.chunks, done.rows, done.written), (3, 2000, 2000));
    assert_eq!(count(primary, ROWS).await, 3000);
    let nulls = "SELECT count(*) FROM item WHERE name IS NULL AND id % 10 = 0";
    assert_eq!(count(primary, nulls).await, 300);

    let none = pool.write().in_chunks(5).copy_many(COPY, &TYPES, rows(0..0)).await.unwrap();
    assert_eq!(none, pool.write().in_chunks(5).insert_many(UNNEST, rows(0..0)).await.unwrap());
    let ignoring = format!("{UNNEST} ON CONFLICT DO NOTHING");
    let done = pool.write().in_chunks(7).insert_many(&ignoring, rows(2990..3010)).await.unwrap();
    assert_eq!((done.rows, done.written), (20, 10));
}

#[tokio::test]
async fn a_chunk_that_fails_is_named_and_those_before_it_stay() {
    let (stack, pool) = table().await;
    let primary = stack.primary().unwrap();
    let bad = |at: i64| {
        rows(0..1000).map(move |(id, name)| (id, if id == at { Some("bad".into()) } else { name }))
    };
    let failed = pool.write().in_chunks(100).insert_many(UNNEST, bad(250)).await.unwrap_err();
    assert_eq!(failed.outcome(), Some(Outcome::NoEffect));
    assert_eq!(failed.sqlstate().unwrap().code(), "23514");
    let (done, _) = chunk(failed);
    assert_eq!((done.chunks, done.rows), (2, 200));
    assert_eq!(count(primary, ROWS).await, 200);

    admin(primary, "TRUNCATE item").await;
    let copy = pool.write().in_chunks(300).copy_many(COPY, &TYPES, bad(950)).await.unwrap_err();
    assert_eq!(copy.outcome(), Some(Outcome::NoEffect));
    let (done, source) = chunk(copy);
    assert_eq!((done.chunks, done.rows), (3, 900), "{source}");
    assert_eq!(count(primary, ROWS).await, 900);
    // The connection is as good as new.
    assert_eq!(pool.write().execute(ROWS, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_fails_its_chunk_alone() {
    let (stack, pool) = table().await;
    let wrong = [Type::INT8, Type::INT4];
    let error = pool.write().in_chunks(10).copy_many(COPY, &wrong, rows(1..9)).await.unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    let few = [Type::INT8];
    let error = pool.write().in_chunks(10).copy_many(COPY, &few, rows(1..9)).await.unwrap_err();
    assert!(matches!(error, Error::ParameterCount { expected: 1, given: 2 }), "{error}");
    let done = pool.write().in_chunks(10).copy_many(COPY, &TYPES, rows(1..9)).await.unwrap();
    assert_eq!(done.written, 8);
    assert_eq!(count(stack.primary().unwrap(), ROWS).await, 8);
}

#[tokio::test]
async fn a_report_that_breaks_ends_it_after_a_whole_chunk() {
    let (stack, pool) = table().await;
    let stop = |progress: Progress| {
        if progress.chunks == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let chunks = pool.write().in_chunks(10).on_progress(stop);
    let done = chunks.copy_many(COPY, &TYPES, rows(0..1000)).await.unwrap();
    assert_eq!(done.rows, 20);
    assert_eq!(count(stack.primary().unwrap(), ROWS).await, 20);
}

#[tokio::test]
async fn a_copy_that_is_refused_at_once_leaves_no_answer_for_the_next_statement() {
    let (_stack, pool) = table().await;
    for round in 0..30 {
        let sql = "COPY item (nobody) FROM STDIN (FORMAT binary)";
        let refused = pool.write().in_chunks(10).copy_many(sql, &TYPES, rows(0..5)).await;
        assert_eq!(refused.unwrap_err().outcome(), Some(Outcome::NoEffect));
        let row = pool.write().query_one("SELECT $1::int", &[&round]).await;
        assert_eq!(row.unwrap().get::<_, i32>(0), round);
    }
}

#[tokio::test]
async fn a_copy_that_is_dropped_or_late_leaves_whole_chunks_only() {
    let (stack, pool) = table().await;
    let primary = stack.primary().unwrap();
    let lock = primary.client().await.unwrap();
    lock.batch_execute("BEGIN; LOCK item").await.unwrap();
    let late = pool.write().timeout(millis(100)).in_chunks(10);
    let (done, source) = chunk(late.copy_many(COPY, &TYPES, rows(0..50)).await.unwrap_err());
    assert_eq!(done, Progress::default());
    assert!(matches!(source, Error::QueryTimeout { .. }), "{source}");
    let left = pool.write().in_chunks(10).copy_many(COPY, &TYPES, rows(0..50));
    let left = timeout(millis(50), left).await;
    assert!(left.is_err(), "{left:?}");
    lock.batch_execute("ROLLBACK").await.unwrap();
    until("the connection is lent again", secs(30), async || {
        pool.write().execute("SELECT 1", &[]).await.is_ok()
    })
    .await;
    assert_eq!(count(primary, ROWS).await % 10, 0);
}

#[tokio::test]
async fn a_server_that_ends_the_session_in_the_middle_is_reported_with_what_stays() {
    let (stack, pool) = table().await;
    let primary = stack.primary().unwrap();
    let sql = "CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF NEW.id = 25 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; \
               RETURN NEW; END $$; \
               CREATE TRIGGER ends BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION ends()";
    admin(primary, sql).await;
    let error = pool.write().in_chunks(10).insert_many(UNNEST, rows(0..100)).await.unwrap_err();
    assert!(!error.is_retryable(), "the first chunks would be applied twice");
    let (done, source) = chunk(error);
    assert_eq!((done.chunks, done.rows), (2, 20));
    assert_eq!(source.outcome(), Some(Outcome::Unknown), "{source}");
    assert_eq!(count(primary, ROWS).await, 20);
}

#[tokio::test]
async fn many_sets_of_parameters_go_in_one_flight_and_come_back_in_order() {
    let (_stack, pool) = table().await;
    pool.write().in_chunks(500).insert_many(UNNEST, rows(0..500)).await.unwrap();
    let ids: Vec<i64> = (0..500).collect();
    let sets: Vec<[&(dyn ToSql + Sync); 1]> = ids.iter().map(|id| [id as _]).collect();
    let sets: Vec<&[&(dyn ToSql + Sync)]> = sets.iter().map(|set| &set[..]).collect();
    let sql = "SELECT id FROM item WHERE id >= $1 ORDER BY id LIMIT 2";
    let rows = pool.read().query_each(sql, &sets).await.unwrap();
    assert_eq!(rows.len(), 500);
    for (id, rows) in (0..).zip(&rows) {
        assert_eq!(rows[0].get::<_, i64>(0), id);
        assert_eq!(rows.len(), if id == 499 { 1 } else { 2 });
    }
    assert!(pool.read().query_each(sql, &[]).await.unwrap().is_empty());
    // Slept one after the other, but asked for once.
    let naps: [&[&(dyn ToSql + Sync)]; 3] = [&[&0.05_f64], &[&0.05_f64], &[&0.05_f64]];
    let started = Instant::now();
    pool.read().query_each("SELECT pg_sleep($1)", &naps).await.unwrap();
    assert!(started.elapsed() >= millis(150));
}

#[tokio::test]
async fn the_first_error_of_a_flight_is_returned_and_the_connection_stays() {
    let (stack, pool) = table().await;
    let pid = "SELECT pg_backend_pid()";
    let before: i32 = pool.read().query_one(pid, &[]).await.unwrap().get(0);
    let sets: [&[&(dyn ToSql + Sync)]; 3] = [&[&1_i32], &[&0_i32], &[&2_i32]];
    let error = pool.read().query_each("SELECT 10 / $1::int4", &sets).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "22012");
    let after: i32 = pool.read().query_one(pid, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    let begin = pool.read().query_each("BEGIN", &sets).await.unwrap_err();
    assert!(matches!(begin, Error::SessionStatement { .. }));
    // Stale, and healed for all of them.
    pool.read().query_each("SELECT * FROM item WHERE id > $1", &[&[&1_i64]]).await.unwrap();
    admin(stack.primary().unwrap(), "ALTER TABLE item ADD extra int").await;
    pool.read()
        .query_each("SELECT * FROM item WHERE id > $1", &[&[&1_i64], &[&2_i64]])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_flight_that_meets_a_dead_replica_runs_elsewhere() {
    let stack = stack(1).await;
    let pool = pool(&stack).await;
    pool.read().execute("SELECT 1", &[]).await.unwrap();
    let sets: [&[&(dyn ToSql + Sync)]; 2] = [&[&60.0_f64], &[&60.0_f64]];
    let sql = "SELECT pg_sleep(CASE WHEN pg_is_in_recovery() THEN $1 ELSE 0.0::float8 END), \
               inet_server_port()";
    let flight = pool.read().query_each(sql, &sets);
    let (rows, killed) = tokio::join!(flight, async {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        until("it runs on the replica", secs(30), async || {
            count(stack.replica(0).unwrap(), sleeping).await == 1
        })
        .await;
        stack.replica(0).unwrap().kill().await
    });
    killed.unwrap();
    let port: i32 = rows.unwrap()[1][0].get(1);
    assert_eq!(port, i32::from(stack.primary().unwrap().port()));
}

/// Others of the flight have committed: the same call again would do them twice.
#[tokio::test]
async fn a_flight_of_writes_that_failed_in_part_is_not_to_be_sent_again() {
    let (stack, pool) = table().await;
    let primary = stack.primary().unwrap();
    let sql = "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.id = 2 THEN RAISE EXCEPTION 'clash' USING ERRCODE = '40001'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER clash BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION clash()";
    admin(primary, sql).await;
    let insert = "INSERT INTO item (id) VALUES ($1)";
    let error =
        pool.write().query_each(insert, &[&[&1_i64], &[&2_i64], &[&3_i64]]).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "40001");
    assert_eq!(count(primary, ROWS).await, 2);
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(error.outcome(), Some(Outcome::Unknown));
    // Alone, it is known to have done nothing.
    let error = pool.write().query_each(insert, &[&[&2_i64]]).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}
