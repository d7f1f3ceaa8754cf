//! Reads that are sent to a second replica when the first takes long.

use futures_util::future::join_all;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_devstack::{Direction, Faults, Postgres, Proxy, Stack};
use seawall_pool::{
    At, Causal, Hedge, HedgeConfig, NodeConfig, Policy, Pool, PoolConfig, Route,
    tokio_postgres::Row,
};
use tokio::time::Instant;

use crate::metrics::value;
use crate::support::{admin, config, count, millis, secs, stack, until};

/// Sleeps `$2` seconds, but only on the server of port `$1`.
pub(crate) const SLOW: &str = "SELECT pg_sleep(CASE inet_server_port() WHEN $1 THEN $2::float8 ELSE 0 END)::text, \
                    inet_server_port()";
pub(crate) const SLEEPING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

/// Every read may be sent twice, after `delay`; the replicas take turns.
pub(crate) fn hedging(stack: &Stack, delay: u64) -> PoolConfig {
    let hedge = HedgeConfig {
        enabled: true,
        budget: 1.0,
        delay: Some(millis(delay)),
        ..HedgeConfig::default()
    };
    // No probe takes a node out.
    let mut config = PoolConfig { hedge, min_idle: 2, health_timeout: secs(60), ..config(stack) };
    config.routing.policy = Policy::SmoothWeighted;
    config
}

async fn slow(route: Route<'_>, server: &Postgres, seconds: f64) -> At<Vec<Row>> {
    let port = i32::from(server.port());
    route.query_at(SLOW, &[&port, &seconds]).await.unwrap()
}

#[tokio::test]
async fn a_read_on_a_slow_replica_is_answered_by_the_other_and_cancelled_on_the_first() {
    let stack = stack(2).await;
    let pool = Pool::connect(hedging(&stack, 50)).await.unwrap();
    let lame = stack.replica(0).unwrap();
    let start = Instant::now();
    let mut won = 0;
    for _ in 0..6 {
        let at = slow(pool.read(), lame, 600.0).await;
        assert_eq!(&*at.node, "replica-2");
        won += i32::from(at.hedge == Some(Hedge::Won));
    }
    assert!(won >= 2, "{won}: they take turns");
    until("the losers are cancelled", secs(30), async || count(lame, SLEEPING).await == 0).await;
    assert!(start.elapsed() < secs(300), "long before they end by themselves");
    // What was cancelled is no failure, and its connections are lent again.
    let at = slow(pool.read().hedged(false), lame, 0.0).await;
    assert_eq!(at.hedge, None);
}

#[tokio::test]
async fn a_replica_that_answers_nobody_costs_a_shared_read_no_more_than_the_delay() {
    let stack = stack(2).await;
    let proxy = Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap();
    let mut config = hedging(&stack, 50);
    config.query_timeout = secs(600);
    config.replicas[0] = NodeConfig::new(stack.replica(0).unwrap().url_via(proxy.addr()));
    let pool = Pool::connect(config).await.unwrap();
    for _ in 0..4 {
        pool.read().shared().query_one("SELECT 1", &[]).await.unwrap();
    }
    proxy.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    let start = Instant::now();
    for shared in [false, true].repeat(8) {
        let route = if shared { pool.read().shared() } else { pool.read() };
        assert_eq!(&*route.query_at("SELECT 1", &[]).await.unwrap().node, "replica-2");
    }
    assert!(start.elapsed() < secs(60), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_read_that_fails_on_both_replicas_goes_on_to_the_primary() {
    let stack = stack(2).await;
    let pool = Pool::connect(hedging(&stack, 50)).await.unwrap();
    let port = i32::from(stack.primary().unwrap().port());
    // On both replicas, and not on the primary.
    let sql = "SELECT pg_sleep(CASE inet_server_port() WHEN $1 THEN 0 ELSE 600 END)::text";
    let read = tokio::spawn({
        let pool = pool.clone();
        async move { pool.read().query_at(sql, &[&port]).await }
    });
    for replica in stack.replicas() {
        until("it runs there", secs(30), async || count(replica, SLEEPING).await == 1).await;
    }
    for replica in stack.replicas() {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE wait_event = 'PgSleep'";
        admin(replica, sql).await;
    }
    let at = read.await.unwrap().unwrap();
    assert_eq!((&*at.node, at.hedge), ("primary", None));
}

#[tokio::test]
async fn an_error_of_the_statement_is_the_answer_whoever_gives_it() {
    let stack = stack(2).await;
    let pool = Pool::connect(hedging(&stack, 50)).await.unwrap();
    let port = i32::from(stack.replica(0).unwrap().port());
    let sql = "SELECT CASE inet_server_port() WHEN $1 THEN pg_sleep(600)::text \
               ELSE (1 / (inet_server_port() - inet_server_port()))::text END";
    for _ in 0..4 {
        let error = pool.read().query_one(sql, &[&port]).await.unwrap_err();
        assert!(error.to_string().contains("replica-2"), "{error}");
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_leaves_slow_reads_where_they_are() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(2).await;
    let mut config = hedging(&stack, 10);
    config.hedge.budget = 0.25;
    let pool = Pool::connect(config).await.unwrap();
    let mut twice = 0;
    for _ in 0..16 {
        // Slow on either.
        let row = pool.read().query_at("SELECT pg_sleep(0.2)::text", &[]).await.unwrap();
        twice += i32::from(row.hedge.is_some());
    }
    assert_eq!(twice, 4, "one in four, whatever they would gain");
    let withheld = value(&snapshotter, "seawall_pool_hedges_withheld_total", "budget");
    assert!((withheld - 12.0).abs() < 0.5, "{withheld}");
}

#[tokio::test]
async fn nothing_but_a_read_by_itself_is_ever_sent_twice() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(2).await;
    admin(stack.primary().unwrap(), "CREATE TABLE hit (id int)").await;
    let pool = Pool::connect(hedging(&stack, 1)).await.unwrap();
    // Saved up, so that the budget is not what keeps them from it.
    for _ in 0..20 {
        pool.read().query_one("SELECT 1", &[]).await.unwrap();
    }
    // Since it was last asked.
    let sent = || {
        let metrics = snapshotter.snapshot().into_vec().into_iter();
        let sent =
            metrics.filter(|(key, ..)| key.key().name() == "seawall_pool_hedged_reads_total");
        sent.map(|(.., value)| value).collect::<Vec<_>>()
    };
    sent();
    let write = "INSERT INTO hit SELECT 1 FROM pg_sleep(0.1)";
    pool.write().hedged(true).execute(write, &[]).await.unwrap();
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM hit").await, 1);
    let nap = "SELECT pg_sleep(0.1)::text";
    pool.analytics().hedged(true).query_one(nap, &[]).await.unwrap();
    pool.read().hedged(true).query_each(nap, &[&[], &[]]).await.unwrap();
    let conn = pool.read().hedged(true).get().await.unwrap();
    conn.query_one(nap, &[]).await.unwrap();
    let lock = "SELECT pg_sleep(0.1)::text, pg_try_advisory_lock(1)";
    // Refused by a standby or not: it is not asked of two.
    drop(pool.read().query_one(lock, &[]).await);
    pool.read().hedged(false).query_one(nap, &[]).await.unwrap();
    assert_eq!(sent(), [DebugValue::Counter(0)]);
    pool.read().query_one(nap, &[]).await.unwrap();
    assert_eq!(sent(), [DebugValue::Counter(1)]);
}

#[tokio::test]
async fn a_second_attempt_never_goes_to_a_replica_that_lacks_what_was_written() {
    let stack = stack(2).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE TABLE note (id int)").await;
    let mut config = hedging(&stack, 20);
    config.catch_up_wait = secs(10);
    let pool = Pool::connect(config).await.unwrap();
    stack.replica(1).unwrap().pause_replay().await.unwrap();
    let causal = Causal::new();
    let port = i32::from(stack.replica(0).unwrap().port());
    let sql = "SELECT count(*), pg_sleep(CASE inet_server_port() WHEN $1 THEN 0.2 ELSE 0 END)::text \
               FROM note";
    for written in 1..=5i64 {
        pool.write().causal(&causal).execute("INSERT INTO note VALUES (1)", &[]).await.unwrap();
        let at = pool.read().causal(&causal).query_at(sql, &[&port]).await.unwrap();
        assert_eq!(at.value[0].get::<_, i64>(0), written);
        assert_ne!(&*at.node, "replica-2");
    }
    stack.replica(1).unwrap().resume_replay().await.unwrap();
}

/// Of the reads 1 in 100 stalls, on one of two replicas: case 39.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_of_stalls_is_cut_at_the_cost_of_two_reads_in_a_hundred() {
    let stack = stack(2).await;
    let lame = stack.replica(0).unwrap();
    let mut config = hedging(&stack, 250);
    config.hedge.budget = 0.02;
    let pool = Pool::connect(config).await.unwrap();
    let mut stalls = [0, 0];
    let mut longest = [secs(0); 2];
    for hedged in [false, true] {
        let tasks = (0..8).map(|task| {
            let pool = &pool;
            async move {
                let mut seen = (0, 0, secs(0));
                for turn in 0..200 {
                    // After a while, so that there is a budget.
                    let stall = if turn >= 100 && (turn + task) % 50 == 0 { 3.0 } else { 0.0 };
                    let start = Instant::now();
                    let at = slow(pool.read().hedged(hedged), lame, stall).await;
                    let took = start.elapsed();
                    // Whatever is as slow is slow because of the stall.
                    seen.0 += i32::from(took >= secs(3) && stall > 0.0);
                    seen.1 += i32::from(at.hedge.is_some());
                    seen.2 = seen.2.max(took);
                }
                seen
            }
        });
        let seen = join_all(tasks).await;
        let twice: i32 = seen.iter().map(|seen| seen.1).sum();
        assert!(twice <= 8 * 200 * 2 / 100, "{twice} of {} reads were sent twice", 8 * 200);
        stalls[usize::from(hedged)] = seen.iter().map(|seen| seen.0).sum();
        longest[usize::from(hedged)] = seen.iter().map(|seen| seen.2).max().unwrap();
    }
    let [without, with] = stalls;
    println!("{without} reads stalled without, {with} with; longest {longest:?}");
    assert!(without >= 3, "{without}");
    assert!(with * 3 <= without, "{with} of {without}");
}
