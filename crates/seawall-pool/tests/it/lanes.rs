//! Connections that many reads share.

use futures_util::future::join_all;
use seawall_devstack::Stack;
use seawall_pool::{Error, LaneConfig, Lsn, Outcome, Pool, PoolConfig, Route};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{OPEN, admin, config, count, is_up, millis, node, secs, stack, until};

/// Whether a statement runs on a lane.
const ON_LANE: &str = "SELECT current_setting('default_transaction_read_only') = 'on'";
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

async fn on_lane(route: Route<'_>) -> bool {
    route.query_one(ON_LANE, &[]).await.unwrap().get(0)
}

/// Lanes that no stall of a busy machine holds up.
fn calm(lanes: usize) -> LaneConfig {
    LaneConfig { lanes, max_hold: secs(30), statement_timeout: secs(60), ..LaneConfig::default() }
}

/// A pool with all its lanes to the node that reads go to.
async fn with_lanes(stack: &Stack, lanes: LaneConfig) -> Pool {
    let all = lanes.lanes;
    let config = PoolConfig { lanes, max_size: 4, ..config(stack) };
    let pool = Pool::connect(config).await.unwrap();
    lanes_open(&pool, all).await;
    pool
}

/// Waits until all lanes are open: with one alone the others may come at any moment.
async fn lanes_open(pool: &Pool, lanes: usize) {
    until("lanes are open", secs(30), async || {
        on_lane(pool.read().shared()).await
            && pool.status().nodes.iter().any(|node| node.lanes == lanes)
    })
    .await;
}

async fn items(stack: &Stack) {
    let sql = "CREATE TABLE item (id bigint PRIMARY KEY, name text); \
               INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 1000) n";
    admin(stack.primary().unwrap(), sql).await;
}

async fn item(route: Route<'_>, id: i64) -> String {
    route.query_one("SELECT name FROM item WHERE id = $1", &[&id]).await.unwrap().get(0)
}

#[tokio::test]
async fn many_reads_share_few_connections_and_each_gets_its_own_rows() {
    let stack = stack(0).await;
    items(&stack).await;
    let pool = with_lanes(&stack, calm(2)).await;
    let mut tasks = JoinSet::new();
    for task in 0..50 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for turn in 0..20 {
                let id = 1 + (task * 20 + turn) * 7 % 1000;
                assert_eq!(item(pool.read().shared(), id).await, format!("name {id}"));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let lanes = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall-pool' \
                 AND query LIKE 'SELECT name FROM item%'";
    assert_eq!(count(stack.primary().unwrap(), lanes).await, 2);
    assert!(!on_lane(pool.read()).await, "others have connections of their own");
    assert!(!on_lane(pool.write().shared()).await, "writes above all");
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nobody_along_and_leaves_no_rows_behind() {
    let stack = stack(0).await;
    items(&stack).await;
    let pool = with_lanes(&stack, calm(1)).await;
    for round in 0..50 {
        let calls = (1..=20).map(|id| {
            let pool = &pool;
            async move {
                // Rows without end for those who will not stay.
                let many = "SELECT id, name FROM item, generate_series(1, 20)";
                if id % 2 == 0 {
                    let read = pool.read().shared();
                    let _ = timeout(millis(round % 5), read.query(many, &[])).await;
                } else {
                    assert_eq!(item(pool.read().shared(), id).await, format!("name {id}"));
                }
            }
        });
        join_all(calls).await;
    }
    assert!(on_lane(pool.read().shared()).await, "there is room again");
}

#[tokio::test]
async fn a_slow_query_holds_others_up_for_the_bound_and_gets_its_answer_too() {
    let stack = stack(0).await;
    items(&stack).await;
    let lanes = LaneConfig { max_hold: millis(250), statement_timeout: secs(200), ..calm(1) };
    let pool = with_lanes(&stack, lanes).await;
    // Two minutes on a lane, no time where it runs the second time.
    let sql = "SELECT 1, pg_sleep(CASE current_setting('default_transaction_read_only') \
               WHEN 'on' THEN 120 ELSE 0 END)::text";
    let slow = tokio::spawn({
        let pool = pool.clone();
        async move { pool.read().shared().query_one(sql, &[]).await }
    });
    let primary = stack.primary().unwrap();
    // Should it be over by now, there is nothing left to hold anybody up.
    until("it sleeps", secs(30), async || {
        count(primary, SLEEPING).await == 1 || slow.is_finished()
    })
    .await;
    let started = Instant::now();
    assert_eq!(item(pool.read().shared(), 1).await, "name 1");
    assert!(started.elapsed() < secs(30), "{:?}", started.elapsed());
    assert_eq!(slow.await.unwrap().unwrap().get::<_, i32>(0), 1);
    until("what held the lane up is stopped", secs(30), async || {
        count(primary, SLEEPING).await == 0
    })
    .await;
    assert!(is_up(&pool, "primary"), "it is not the fault of the node");
    lanes_open(&pool, 1).await;
}

#[tokio::test]
async fn a_server_that_is_slow_as_a_whole_is_asked_twice_once_only() {
    let stack = stack(0).await;
    items(&stack).await;
    let lanes = LaneConfig { max_hold: millis(250), ..calm(2) };
    let pool = with_lanes(&stack, lanes).await;
    let primary = stack.primary().unwrap();
    let lock = primary.client().await.unwrap();
    lock.batch_execute("BEGIN; LOCK item").await.unwrap();
    let mut reads = JoinSet::new();
    for id in 1..=30 {
        let pool = pool.clone();
        reads.spawn(async move { item(pool.read().shared(), id).await == format!("name {id}") });
    }
    // Those that wait for the lock, and the server's side of all connections.
    let sql = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) \
               FROM pg_stat_activity WHERE application_name = 'seawall-pool'";
    let watch = primary.client().await.unwrap();
    until("all wait on connections of the pool", secs(30), async || {
        let row = watch.query_one(sql, &[]).await.unwrap();
        let node = node(&pool, "primary");
        // Four of the pool, one of its monitor, and none that was a lane.
        (row.get(0), row.get(1), node.size, node.lanes) == (4i64, 5i64, 4, 0)
    })
    .await;
    lock.batch_execute("ROLLBACK").await.unwrap();
    assert!(reads.join_all().await.into_iter().all(|right| right));
}

#[tokio::test]
async fn the_depth_is_a_bound_and_the_rest_have_connections_of_their_own() {
    let stack = stack(0).await;
    let lanes = LaneConfig { depth: 2, ..calm(1) };
    let pool = with_lanes(&stack, lanes).await;
    let sql = "SELECT current_setting('default_transaction_read_only') = 'on', \
               pg_sleep(0.2)::text";
    let shared = (0..5).map(|_| pool.read().shared().query_one(sql, &[]));
    let on_lane = join_all(shared).await.into_iter().filter(|row| row.as_ref().unwrap().get(0));
    assert_eq!(on_lane.count(), 2);
    // Two that are dropped still fill it, until the server is done with them.
    let sql = "SELECT pg_sleep(2)";
    let (a, b) = (pool.read().shared(), pool.read().shared());
    let left = join_all([a, b].map(|read| timeout(millis(20), read.query_one(sql, &[]))));
    assert!(left.await.iter().all(Result::is_err));
    assert!(!self::on_lane(pool.read().shared()).await);
    lanes_open(&pool, 1).await;
}

#[tokio::test]
async fn what_belongs_on_a_connection_of_its_own_is_kept_off_or_refused() {
    let stack = stack(0).await;
    items(&stack).await;
    let primary = stack.primary().unwrap();
    let sql = "CREATE FUNCTION sly() RETURNS text LANGUAGE sql AS \
               $$ SELECT set_config('default_transaction_read_only', 'off', false) $$";
    admin(primary, sql).await;
    let pool = with_lanes(&stack, calm(1)).await;
    for sql in ["SET work_mem = '1MB'", "BEGIN", "LISTEN a", "CREATE TEMP TABLE t (a int)"] {
        let error = pool.read().shared().execute(sql, &[]).await.unwrap_err();
        assert!(matches!(error, Error::SessionStatement { .. }), "{sql}: {error}");
    }
    let two = pool.read().shared().execute("SELECT 1; SET work_mem = '1MB'", &[]).await;
    assert_eq!(two.unwrap_err().sqlstate().unwrap().code(), "42601");
    let lock = "SELECT pg_advisory_lock(7), current_setting('default_transaction_read_only')";
    let row = pool.read().shared().query_one(lock, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(1), "off", "not on a lane");

    for write in ["INSERT INTO item VALUES (0, 'x')", "SELECT * FROM item FOR UPDATE"] {
        until("a lane takes it", secs(30), async || on_lane(pool.read().shared()).await).await;
        let error = pool.read().shared().execute(write, &[]).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().code(), "25006", "{write}");
        assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    }
    // Hidden in a function: the server tells of the change, and the lane is replaced.
    assert!(on_lane(pool.read().shared()).await);
    pool.read().shared().execute("SELECT sly()", &[]).await.unwrap();
    assert!(!on_lane(pool.read().shared()).await, "not on that lane any more");
    lanes_open(&pool, 1).await;
    assert_eq!(count(primary, "SELECT count(*) FROM item").await, 1000);
}

#[tokio::test]
async fn a_server_killed_in_the_middle_costs_no_shared_read() {
    let stack = stack(1).await;
    items(&stack).await;
    let replica = stack.replica(0).unwrap();
    until("the rows are there", secs(30), async || {
        let client = replica.client().await.unwrap();
        let rows = client.query_one("SELECT count(*) FROM item", &[]).await;
        rows.is_ok_and(|row| row.get::<_, i64>(0) == 1000)
    })
    .await;
    let pool = with_lanes(&stack, calm(4)).await;
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for turn in 0..100 {
                let id = 1 + (task * 100 + turn) % 1000;
                assert_eq!(item(pool.read().shared(), id).await, format!("name {id}"));
            }
        });
    }
    assert_eq!(item(pool.read().shared(), 1).await, "name 1");
    replica.kill().await.unwrap();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_lane_shut_down_by_an_administrator_costs_no_shared_read() {
    let stack = stack(0).await;
    items(&stack).await;
    let pool = with_lanes(&stack, calm(4)).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'seawall-pool' AND query LIKE 'SELECT name FROM item%'";
    for _ in 0..10 {
        let reads = join_all((1..50).map(|id| item(pool.read().shared(), id)));
        let (_, names) = tokio::join!(admin(stack.primary().unwrap(), end), reads);
        assert_eq!(names.len(), 49);
        lanes_open(&pool, 4).await;
    }
}

#[tokio::test]
async fn a_stale_statement_is_healed_for_all_who_share_it() {
    let stack = stack(0).await;
    items(&stack).await;
    let pool = with_lanes(&stack, calm(1)).await;
    let sql = "SELECT * FROM item WHERE id = $1";
    let read = |id: i64| {
        let read = pool.read().shared();
        async move { read.query_one(sql, &[&id]).await.unwrap().len() }
    };
    for columns in 2..6 {
        assert!(join_all((1..30).map(read)).await.into_iter().all(|len| len == columns));
        let alter = format!("ALTER TABLE item ADD c{columns} int");
        admin(stack.primary().unwrap(), &alter).await;
    }
    assert!(on_lane(pool.read().shared()).await, "the lane lives on");
}

#[tokio::test]
async fn a_statement_has_the_time_of_the_lane_and_the_caller_his_own() {
    let stack = stack(0).await;
    let lanes = LaneConfig { statement_timeout: secs(2), ..calm(1) };
    let pool = with_lanes(&stack, lanes).await;
    let error = pool.read().shared().execute("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().code(), "57014", "{error}");
    let read = pool.read().shared().timeout(millis(50));
    let error = read.execute("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    assert!(matches!(error, Error::QueryTimeout { .. }), "{error}");
    assert!(on_lane(pool.read().shared()).await);
}

#[tokio::test]
async fn tokens_and_counts_of_parameters_and_rows_hold_on_lanes() {
    let stack = stack(1).await;
    items(&stack).await;
    let replica = stack.replica(0).unwrap();
    let pool = with_lanes(&stack, calm(4)).await;
    let conn = pool.write().get().await.unwrap();
    let token = conn.commit_lsn().await.unwrap();
    let old = pool.read().after(token).shared().query_at("SELECT 1", &[]).await.unwrap();
    assert!(old.lsn >= token, "{} {token}", old.lsn);
    replica.pause_replay().await.unwrap();
    for round in 0..20 {
        let name = format!("round {round}");
        conn.execute("UPDATE item SET name = $1 WHERE id = 5", &[&name]).await.unwrap();
        let token: Lsn = conn.commit_lsn().await.unwrap();
        assert_eq!(item(pool.read().after(token).shared(), 5).await, name);
        assert_eq!(item(pool.read().shared(), 5).await, "name 5");
    }
    let error = pool.read().shared().query("SELECT $1::int", &[]).await.unwrap_err();
    assert!(matches!(error, Error::ParameterCount { expected: 1, given: 0 }), "{error}");
    let error = pool.read().shared().query_opt("SELECT * FROM item", &[]).await.unwrap_err();
    assert!(matches!(error, Error::RowCount { many: true, .. }), "{error}");
}

#[tokio::test]
async fn pause_and_shutdown_know_of_the_lanes() {
    let stack = stack(0).await;
    let pool = with_lanes(&stack, calm(3)).await;
    let busy = tokio::spawn({
        let pool = pool.clone();
        async move { pool.read().shared().query("SELECT pg_sleep(3)", &[]).await }
    });
    let primary = stack.primary().unwrap();
    until("it sleeps", secs(30), async || count(primary, SLEEPING).await == 1).await;
    assert!(pool.pause().await);
    assert_eq!(count(primary, SLEEPING).await, 0, "quiet");
    busy.await.unwrap().unwrap();
    let waits = pool.read().shared();
    assert!(timeout(millis(50), waits.query("SELECT 1", &[])).await.is_err());
    pool.resume();
    lanes_open(&pool, 3).await;
    pool.evict();
    lanes_open(&pool, 3).await;
    pool.shutdown().await;
    let error = pool.read().shared().query("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    until("all are closed", secs(30), async || count(primary, OPEN).await == 0).await;
}

#[tokio::test]
async fn without_lanes_shared_reads_run_like_others_and_loaders_may_use_them() {
    let stack = stack(0).await;
    items(&stack).await;
    let none = LaneConfig { lanes: 0, ..LaneConfig::default() };
    let pool = Pool::connect(PoolConfig { lanes: none, ..config(&stack) }).await.unwrap();
    assert!(!on_lane(pool.read().shared()).await);
    assert_eq!(item(pool.read().shared(), 9).await, "name 9");
    let pool = with_lanes(&stack, calm(4)).await;
    let sql = "SELECT id, current_setting('default_transaction_read_only') FROM item \
               WHERE id = ANY($1)";
    let loader = pool.read().shared().loader(sql, |row| row.try_get::<_, i64>(0));
    assert_eq!(loader.load(9).await.unwrap().unwrap().get::<_, String>(1), "on");
}

#[tokio::test]
async fn bounds_of_lanes_are_checked() {
    let fine = LaneConfig::default;
    let cases = [
        ("lanes.lanes", LaneConfig { lanes: 65, ..fine() }),
        ("lanes.depth", LaneConfig { depth: 0, ..fine() }),
        ("lanes.max_hold", LaneConfig { max_hold: millis(0), ..fine() }),
        ("lanes.statement_timeout", LaneConfig { statement_timeout: millis(0), ..fine() }),
    ];
    for (name, lanes) in cases {
        match (PoolConfig { lanes, ..PoolConfig::default() }).validate() {
            Err(Error::Config { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_lane_told_to_leave_is_closed_when_it_is_empty_and_not_at_the_end_of_a_watch() {
    let stack = stack(0).await;
    let lanes = LaneConfig { max_hold: secs(60), ..calm(1) };
    let pool = with_lanes(&stack, lanes).await;
    // Its keeper has begun to watch when this has come back.
    pool.read().shared().query("SELECT pg_sleep(0.1)", &[]).await.unwrap();
    let started = Instant::now();
    pool.evict();
    lanes_open(&pool, 1).await;
    assert!(pool.pause().await);
    assert!(started.elapsed() < secs(30), "{:?}", started.elapsed());
}
