//! Point reads that are gathered into one query.

use std::sync::Arc;

use futures_util::future::{join, join_all};
use seawall_devstack::Stack;
use seawall_pool::tokio_postgres::Row;
use seawall_pool::{Causal, Error, Loader, LoaderConfig, Outcome, Pool, Token};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{admin, count, millis, pool, secs, stack, until};

const SQL: &str = "SELECT id, name FROM item WHERE id = ANY($1)";
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

async fn items(stack: &Stack) {
    let sql = "CREATE TABLE item (id bigint, name text); CREATE INDEX ON item (id); \
               INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 1000) n; \
               INSERT INTO item VALUES (500, 'again')";
    admin(stack.primary().unwrap(), sql).await;
}

fn id(row: &Row) -> Result<i64, tokio_postgres::Error> {
    row.try_get(0)
}

fn name(row: Option<Row>) -> Option<String> {
    row.map(|row| row.get(1))
}

async fn one_primary() -> (Stack, Pool, Loader<i64>) {
    let stack = stack(0).await;
    items(&stack).await;
    let pool = pool(&stack).await;
    let loader = pool.read().loader(SQL, id);
    (stack, pool, loader)
}

#[tokio::test]
async fn concurrent_loads_run_as_few_queries_and_each_gets_its_own_row() {
    let (stack, pool, _) = one_primary().await;
    admin(stack.primary().unwrap(), "CREATE SEQUENCE queries").await;
    // Volatile, so it counts rows of the outer scan: one a query.
    let sql = "SELECT id, name FROM item, (SELECT nextval('queries')) AS q WHERE id = ANY($1)";
    let loader = pool.write().loader(sql, id);
    let loads = (1..=400).map(|key| {
        let loader = loader.clone();
        async move { (key, name(loader.load(key).await.unwrap())) }
    });
    for (key, name) in join_all(loads).await {
        assert_eq!(name, Some(format!("name {key}")));
    }
    let queries = count(stack.primary().unwrap(), "SELECT last_value FROM queries").await;
    assert!(queries <= 3, "{queries} queries for 400 keys of at most 256 a batch");
}

#[tokio::test]
async fn unknown_keys_give_nothing_and_rows_of_one_key_stay_together() {
    let (_stack, _pool, loader) = one_primary().await;
    let (none, one, several, all) =
        tokio::join!(loader.load(-1), loader.load(1), loader.load(500), loader.load_all(500));
    assert!(none.unwrap().is_none());
    assert_eq!(name(one.unwrap()).unwrap(), "name 1");
    assert!(matches!(several, Err(Error::RowCount { many: true, .. })));
    let names: Vec<String> = all.unwrap().iter().map(|row| row.get(1)).collect();
    assert_eq!(names, ["name 500", "again"]);
    assert_eq!(loader.load_all(-1).await.unwrap().len(), 0);
    let many = loader.load_many([3, -1, 2, 3]).await.unwrap();
    let names: Vec<_> = many.into_iter().map(name).collect();
    assert_eq!(names, [Some("name 3".into()), None, Some("name 2".into()), Some("name 3".into())]);
    assert!(loader.load_many([]).await.unwrap().is_empty());
}

#[tokio::test]
async fn duplicates_are_asked_once_and_dealt_to_all() {
    let (_stack, pool, _) = one_primary().await;
    let sql = "SELECT unnest, array_length($1::bigint[], 1) FROM unnest($1::bigint[])";
    let loader = pool.read().loader(sql, id);
    let loads = (0..90).map(|n| loader.load(n % 3));
    for row in join_all(loads).await {
        assert_eq!(row.unwrap().unwrap().get::<_, i32>(1), 3);
    }
}

#[tokio::test]
async fn texts_and_small_numbers_are_keys_too() {
    let (_stack, pool, _) = one_primary().await;
    let sql = "SELECT name, id FROM item WHERE name = ANY($1)";
    let by_name = pool.read().loader(sql, |row| row.try_get::<_, String>(0));
    let row = by_name.load("name 77".to_owned()).await.unwrap().unwrap();
    assert_eq!(row.get::<_, i64>(1), 77);
    let sql = "SELECT id::int4, name FROM item WHERE id = ANY($1::int4[])";
    let small = pool.read().loader(sql, |row| row.try_get::<_, i32>(0));
    assert_eq!(name(small.load(5).await.unwrap()).unwrap(), "name 5");
}

#[tokio::test]
async fn one_bad_key_fails_alone() {
    let (_stack, pool, _) = one_primary().await;
    let sql = "SELECT id, (1 / (id - 13))::text FROM item WHERE id = ANY($1)";
    let loader = pool.read().loader(sql, id);
    let loads = (1..=100).map(|key| loader.load(key));
    for (key, row) in (1..).zip(join_all(loads).await) {
        match row {
            Err(error) => {
                assert_eq!((key, error.sqlstate().unwrap().code()), (13, "22012"), "{error}");
                assert!(matches!(error, Error::Query { .. }), "alone: {error}");
            }
            Ok(row) => assert_eq!(row.unwrap().get::<_, i64>(0), key),
        }
    }
    // A text that no server takes, before it is looked at.
    let sql = "SELECT name FROM item WHERE name = ANY($1)";
    let by_name = pool.read().loader(sql, |row| row.try_get::<_, String>(0));
    let (bad, good) =
        tokio::join!(by_name.load("nul \0".to_owned()), by_name.load("name 1".to_owned()));
    assert_eq!(bad.unwrap_err().sqlstate().unwrap().code(), "22021");
    assert!(good.unwrap().is_some());
}

#[tokio::test]
async fn an_error_of_the_whole_batch_is_shared_and_typed() {
    let (_stack, pool, _) = one_primary().await;
    let loader = pool.read().loader("SELECT id FROM nowhere WHERE id = ANY($1)", id);
    let loads = (0..10).map(|key| loader.load(key));
    for row in join_all(loads).await {
        let error = row.unwrap_err();
        assert!(matches!(error, Error::Batch { keys: 10, .. }), "{error}");
        assert_eq!(error.sqlstate().unwrap().code(), "42P01");
        assert_eq!(error.outcome(), Some(Outcome::NoEffect));
        assert!(!error.is_retryable());
    }
    let alone = loader.load(1).await.unwrap_err();
    assert!(matches!(alone, Error::Query { .. }), "{alone}");
    let begin = pool.read().loader("BEGIN", id);
    assert!(matches!(begin.load(1).await, Err(Error::SessionStatement { .. })));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nobody_along() {
    let (_stack, pool, _) = one_primary().await;
    let sql = "SELECT id, pg_sleep(0.1)::text FROM \
               (SELECT unnest($1::bigint[]) AS id) AS k WHERE id > 0";
    let loader = pool.read().loader(sql, id);
    let stays = loader.load(1);
    let leaves = timeout(millis(30), loader.load(2));
    let (stays, left) = tokio::join!(stays, leaves);
    assert!(left.is_err());
    assert!(stays.unwrap().is_some());
    assert!(loader.load(3).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_that_nobody_waits_for_is_not_asked_for() {
    let (stack, pool, _) = one_primary().await;
    admin(stack.primary().unwrap(), "CREATE SEQUENCE keys").await;
    let sql = "SELECT id, nextval('keys'), pg_sleep(CASE id WHEN 1 THEN 3 ELSE 0 END)::text \
               FROM (SELECT unnest($1::bigint[]) AS id) AS k";
    let config = LoaderConfig { queries: 1, max_wait: secs(5), ..LoaderConfig::default() };
    let loader = pool.write().loader_with(sql, id, config).unwrap();
    let other = async {
        // The first is sent on its own before the other comes.
        until("the first runs", secs(30), async || {
            count(stack.primary().unwrap(), SLEEPING).await == 1
        })
        .await;
        // Waits behind the first, and leaves before it is its turn.
        timeout(millis(10), loader.load(2)).await.unwrap_err();
    };
    assert!(tokio::join!(loader.load(1), other).0.unwrap().is_some());
    assert!(loader.load(3).await.unwrap().is_some());
    assert_eq!(count(stack.primary().unwrap(), "SELECT last_value FROM keys").await, 2);
}

#[tokio::test]
async fn more_callers_than_may_wait_are_refused_and_those_who_left_do_not_count() {
    let (stack, pool, _) = one_primary().await;
    let lock = stack.primary().unwrap().client().await.unwrap();
    lock.batch_execute("BEGIN; LOCK item").await.unwrap();
    let bounds = LoaderConfig {
        queries: 1,
        max_waiting: 10,
        max_batch: 4,
        max_queries: 1,
        ..LoaderConfig::default()
    };
    let loader = pool.read().timeout(secs(60)).loader_with(SQL, id, bounds).unwrap();
    let mut sent = JoinSet::new();
    let ask = |key| {
        let loader = loader.clone();
        async move { loader.load(key).await }
    };
    sent.spawn(ask(1));
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    until("the first is on its way", secs(30), async || {
        count(stack.primary().unwrap(), waits).await == 1
    })
    .await;
    for key in 2..12 {
        let left = timeout(millis(1), loader.load(key)).await;
        assert!(left.is_err(), "one of ten that wait, then leave");
    }
    (2..14).for_each(|key| drop(sent.spawn(ask(key))));
    // They all ask now; two of twelve find no room.
    tokio::task::yield_now().await;
    let full = loader.load(99).await.unwrap_err();
    assert!(matches!(full, Error::LoaderFull { waiting: 10 }), "{full}");
    assert!(full.is_retryable());
    assert_eq!(full.outcome(), Some(Outcome::NotSent));
    let many = loader.load_many(0..11).await;
    assert!(matches!(many, Err(Error::LoaderFull { .. })));
    lock.batch_execute("ROLLBACK").await.unwrap();
    let mut refused = 0;
    while let Some(row) = sent.join_next().await {
        match row.unwrap() {
            Ok(row) => assert!(row.is_some()),
            Err(Error::LoaderFull { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_slow_query_holds_the_next_back_for_the_bound_only() {
    let (stack, pool, _) = one_primary().await;
    let sql = "SELECT id, CASE WHEN id = 13 THEN pg_sleep(6) END::text \
               FROM item WHERE id = ANY($1)";
    let loader = pool.read().loader(sql, id);
    let slow = tokio::spawn({
        let loader = loader.clone();
        async move { loader.load(13).await }
    });
    until("the slow one runs by itself", secs(30), async || {
        count(stack.primary().unwrap(), SLEEPING).await == 1
    })
    .await;
    let started = Instant::now();
    assert!(loader.load(1).await.unwrap().is_some());
    assert!(loader.load(2).await.unwrap().is_some());
    assert!(!slow.is_finished(), "{:?}", started.elapsed());
    assert!(slow.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_load_that_begins_after_a_commit_sees_it() {
    let (_stack, pool, loader) = one_primary().await;
    let noise = tokio::spawn({
        let loader = loader.clone();
        async move {
            loop {
                join_all((1..20).map(|key| loader.load(key))).await;
            }
        }
    });
    for round in 0..100 {
        let value = format!("round {round}");
        pool.write().execute("UPDATE item SET name = $1 WHERE id = 5", &[&value]).await.unwrap();
        assert_eq!(name(loader.load(5).await.unwrap()), Some(value));
    }
    noise.abort();
}

#[tokio::test]
async fn a_token_is_honoured_while_others_read_the_replica_behind() {
    let stack = stack(1).await;
    items(&stack).await;
    let pool = Arc::new(pool(&stack).await);
    let replica = stack.replica(0).unwrap();
    let loader = pool.read().loader(SQL, id);
    let seen = "SELECT count(*) FROM pg_class WHERE relname = 'item'";
    until("the table is there", secs(30), async || count(replica, seen).await == 1).await;
    until("its rows are there", secs(30), async || {
        count(replica, "SELECT count(*) FROM item").await == 1001
    })
    .await;
    replica.pause_replay().await.unwrap();
    let conn = pool.write().get().await.unwrap();
    for round in 0..20 {
        let value = format!("round {round}");
        conn.execute("UPDATE item SET name = $1 WHERE id = 5", &[&value]).await.unwrap();
        let token = conn.commit_lsn().await.unwrap();
        let placed = loader.after(token);
        let (own, other) = tokio::join!(placed.load(5), loader.load(5));
        assert_eq!(name(own.unwrap()), Some(value));
        assert_eq!(name(other.unwrap()).unwrap(), "name 5", "from the replica");
    }
}

#[tokio::test]
async fn a_node_that_dies_under_a_batch_costs_no_load() {
    let stack = stack(1).await;
    items(&stack).await;
    let pool = pool(&stack).await;
    let replica = stack.replica(0).unwrap();
    until("its rows are there", secs(30), async || {
        let client = replica.client().await.unwrap();
        let rows = client.query_one("SELECT count(*) FROM item", &[]).await;
        rows.is_ok_and(|row| row.get::<_, i64>(0) == 1001)
    })
    .await;
    let loader = pool.read().loader(SQL, id);
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let loader = loader.clone();
        tasks.spawn(async move {
            for turn in 0..200 {
                let key = 1 + (task * 200 + turn) % 400;
                let row = loader.load(key).await.unwrap();
                assert_eq!(name(row), Some(format!("name {key}")));
                tokio::task::yield_now().await;
            }
        });
    }
    assert!(loader.load(1).await.unwrap().is_some());
    replica.kill().await.unwrap();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_backend_shut_down_by_an_administrator_costs_no_load() {
    let (stack, _pool, loader) = one_primary().await;
    for _ in 0..20 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'seawall-pool' AND pid <> pg_backend_pid()";
        let (_, rows) = tokio::join!(
            admin(stack.primary().unwrap(), end),
            join_all((1..50).map(|key| loader.load(key)))
        );
        for row in rows {
            // Both of the two tries may have been ended: then the error says so.
            if let Err(error) = row {
                assert!(error.is_retryable(), "{error}");
            }
        }
    }
    assert!(loader.load(1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stale_statement_is_healed_for_the_whole_batch() {
    let (stack, _pool, loader) = one_primary().await;
    assert_eq!(loader.load(1).await.unwrap().unwrap().len(), 2);
    admin(stack.primary().unwrap(), "ALTER TABLE item ALTER name TYPE varchar(50)").await;
    for row in join_all((1..50).map(|key| loader.load(key))).await {
        assert!(row.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_function_for_keys_that_panics_fails_its_batch_and_the_loader_goes_on() {
    let (_stack, pool, _) = one_primary().await;
    let loader = pool.read().loader(SQL, |row| {
        let id: i64 = row.try_get(0)?;
        assert_ne!(id, 13, "a bug of the caller");
        Ok(id)
    });
    let (bad, along) = tokio::join!(loader.load(13), loader.load(1));
    assert!(matches!(bad, Err(Error::BatchLost)));
    assert!(matches!(along, Err(Error::BatchLost)));
    assert!(loader.load(1).await.unwrap().is_some());
}

#[tokio::test]
async fn loads_of_a_pool_that_is_shut_down_fail_at_once() {
    let (_stack, pool, loader) = one_primary().await;
    pool.shutdown().await;
    let error = loader.load(1).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
}

#[tokio::test]
async fn bounds_out_of_range_are_named() {
    let (_stack, pool, _) = one_primary().await;
    let fine = LoaderConfig::default;
    let cases = [
        ("max_batch", LoaderConfig { max_batch: 0, ..fine() }),
        ("max_waiting", LoaderConfig { max_waiting: 0, ..fine() }),
        ("queries", LoaderConfig { queries: 0, ..fine() }),
        ("max_wait", LoaderConfig { max_wait: secs(61), ..fine() }),
        ("max_queries", LoaderConfig { queries: 9, ..fine() }),
    ];
    for (name, config) in cases {
        match pool.read().loader_with(SQL, id, config) {
            Err(Error::Config { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_of_another_cluster_is_refused_to_its_bearer_alone() {
    let stack = stack(1).await;
    admin(stack.primary().unwrap(), "CREATE TABLE one (id bigint); INSERT INTO one VALUES (1)")
        .await;
    let pool = pool(&stack).await;
    let own = pool.token().await.unwrap();
    let foreign = Token { system: own.system ^ 1, ..own };
    let sql = "SELECT id FROM one WHERE id = ANY($1)";
    let key = |row: &Row| row.try_get::<_, i64>(0);
    let items = pool.read().after(own).loader(sql, key);
    let strange = items.after(foreign);
    let (good, bad) = join(items.load(1), strange.load(1)).await;
    assert_eq!(good.unwrap().unwrap().get::<_, i64>(0), 1);
    assert!(matches!(bad, Err(Error::ForeignToken { .. })), "{bad:?}");
    // One of each, from whichever side.
    let causal = Causal::starting_at(Some(foreign));
    let mixed = pool.read().after(own).causal(&causal).loader(sql, key);
    assert!(matches!(mixed.load(1).await, Err(Error::ForeignToken { .. })));
    let causal = Causal::starting_at(Some(own));
    let mixed = pool.read().after(foreign).causal(&causal).loader(sql, key);
    assert!(matches!(mixed.load(1).await, Err(Error::ForeignToken { .. })));
}
