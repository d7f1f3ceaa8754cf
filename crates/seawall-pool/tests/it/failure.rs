//! Nodes that die, freeze and come back.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_devstack::{Proxy, Stack};
use seawall_pool::{BufferConfig, Error, NodeConfig, Outcome, Pool, PoolConfig};
use tokio::task::JoinSet;

use crate::support::{
    admin, backend, config, count, is_up, millis, node, pool, port, secs, stack, until, wary,
};

/// Tasks that read until told to stop; the first failed read ends them all.
struct Load {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    tasks: JoinSet<Result<(), Error>>,
}

impl Load {
    fn start(pool: &Pool, tasks: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicU64::new(0));
        let mut set = JoinSet::new();
        for _ in 0..tasks {
            let (pool, stop, reads) = (pool.clone(), Arc::clone(&stop), Arc::clone(&reads));
            set.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    pool.read().query_one("SELECT 1", &[]).await?;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { stop, reads, tasks: set }
    }

    /// Waits for this many more reads.
    async fn more(&self, reads: u64) {
        let target = self.reads.load(Ordering::Relaxed) + reads;
        let done = async || self.reads.load(Ordering::Relaxed) >= target;
        until("the load goes on", secs(10), done).await;
    }

    async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_killed_under_load_costs_no_failed_read() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    let load = Load::start(&pool, 32);
    load.more(500).await;
    for _ in 0..2 {
        stack.replica(0).unwrap().kill().await.unwrap();
        load.more(500).await;
        until("replica-1 is down", secs(30), async || !is_up(&pool, "replica-1")).await;
        stack.replica(0).unwrap().restart().await.unwrap();
        until("replica-1 is back", secs(30), async || is_up(&pool, "replica-1")).await;
        let before = node(&pool, "replica-1").served.reads;
        let serves = async || node(&pool, "replica-1").served.reads > before + 50;
        until("replica-1 serves again", secs(30), serves).await;
    }
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_both_replicas_dead_reads_go_to_the_primary_until_they_return() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    let load = Load::start(&pool, 8);
    load.more(200).await;
    stack.replica(0).unwrap().kill().await.unwrap();
    stack.replica(1).unwrap().kill().await.unwrap();
    let both_out = async || !is_up(&pool, "replica-1") && !is_up(&pool, "replica-2");
    until("both are out", secs(30), both_out).await;
    assert_eq!(port(pool.read()).await, stack.primary().unwrap().port());
    load.more(200).await;

    stack.replica(0).unwrap().restart().await.unwrap();
    stack.replica(1).unwrap().restart().await.unwrap();
    let both_in = async || is_up(&pool, "replica-1") && is_up(&pool, "replica-2");
    until("both are back", secs(30), both_in).await;
    let primary = stack.primary().unwrap().port();
    for _ in 0..20 {
        assert_ne!(port(pool.read()).await, primary);
    }
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_replica_leaves_rotation_and_its_reads_run_elsewhere() {
    let stack = stack(2).await;
    let pool = Pool::connect(wary(config(&stack))).await.unwrap();
    let load = Load::start(&pool, 16);
    load.more(200).await;
    stack.replica(0).unwrap().pause().await.unwrap();
    let took = until("the frozen node is out", secs(30), async || !is_up(&pool, "replica-1")).await;
    // 250 ms to the next probe and one of 500 ms, with room for a slow machine.
    assert!(took < secs(10), "{took:?}");
    load.more(2_000).await;

    stack.replica(0).unwrap().resume().await.unwrap();
    until("the thawed node is back", secs(30), async || is_up(&pool, "replica-1")).await;
    load.more(200).await;
    load.stop().await;
}

#[tokio::test]
async fn a_primary_that_is_down_at_start_is_a_clear_error() {
    let stack = stack(0).await;
    stack.primary().unwrap().stop().await.unwrap();
    let error = Pool::connect(config(&stack)).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to primary");
    let cause = error.source().unwrap().source().unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_primary_that_freezes_at_start_is_an_error_in_time() {
    let stack = stack(0).await;
    stack.primary().unwrap().pause().await.unwrap();
    let config = PoolConfig { connect_timeout: millis(300), ..config(&stack) };
    let error = Pool::connect(config).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout { .. }), "{error}");
    assert_eq!(error.to_string(), "primary did not complete a connection within 300ms");
}

#[tokio::test]
async fn with_every_node_dead_the_error_tells_the_state_of_each() {
    let stack = stack(1).await;
    let buffer = BufferConfig { max_writes: 0, ..BufferConfig::default() };
    let pool = Pool::connect(PoolConfig { buffer, ..config(&stack) }).await.unwrap();
    stack.replica(0).unwrap().kill().await.unwrap();
    stack.primary().unwrap().kill().await.unwrap();
    let both_down = async || !is_up(&pool, "replica-1") && !is_up(&pool, "primary");
    until("both are down", secs(30), both_down).await;
    let error = pool.read().query("SELECT 1", &[]).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("no node left for read: primary "), "{text}");
    assert!(text.contains("; replica-1 ") && text.contains(", probed "), "{text}");
    assert_eq!(error.nodes().len(), 2);
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    assert!(error.is_retryable());

    let error = pool.write().execute("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");

    stack.primary().unwrap().restart().await.unwrap();
    pool.write().execute("SELECT 1", &[]).await.expect("the primary is tried, whatever is known");
}

async fn with_table(stack: &Stack) -> Pool {
    let pool = pool(stack).await;
    let sql = "CREATE TABLE mark (id bigint PRIMARY KEY)";
    pool.write().execute(sql, &[]).await.unwrap();
    pool
}

#[tokio::test]
async fn a_write_cut_off_on_its_way_is_not_repeated_and_its_outcome_unknown() {
    let stack = stack(0).await;
    let pool = with_table(&stack).await;
    let primary = stack.primary().unwrap();
    let insert = "INSERT INTO mark SELECT 1 FROM pg_sleep(50)";
    let writer = tokio::spawn({
        let pool = pool.clone();
        async move { pool.write().timeout(secs(60)).execute(insert, &[]).await }
    });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT INTO mark%'";
    until("the write runs", secs(30), async || count(primary, running).await == 1).await;
    admin(
        primary,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO mark%'",
    )
    .await;
    let error = writer.await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::Unknown), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(count(primary, running).await, 0, "nobody sent it again");
    assert_eq!(count(primary, "SELECT count(*) FROM mark").await, 0);
}

#[tokio::test]
async fn a_write_that_the_server_refuses_had_no_effect() {
    let stack = stack(0).await;
    let pool = with_table(&stack).await;
    pool.write().execute("INSERT INTO mark VALUES (1)", &[]).await.unwrap();
    let error = pool.write().execute("INSERT INTO mark VALUES (1)", &[]).await.unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    assert_eq!(error.sqlstate().unwrap().code(), "23505");
    assert!(!error.is_retryable());
    let one = backend(pool.write()).await;
    let _ = pool.write().execute("INSERT INTO mark VALUES (1)", &[]).await.unwrap_err();
    assert_eq!(backend(pool.write()).await, one, "a refusal does not cost the connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_killed_while_idle_cost_no_failed_read_even_without_replicas() {
    let stack = stack(0).await;
    let pool = pool(&stack).await;
    for _ in 0..5 {
        let warm: Vec<_> =
            (0..8).map(|_| pool.read().query_one("SELECT pg_sleep(0.02)", &[])).collect();
        for row in futures_util::future::join_all(warm).await {
            row.unwrap();
        }
        admin(
            stack.primary().unwrap(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await;
        let reads: Vec<_> = (0..20).map(|_| pool.read().query_one("SELECT 1", &[])).collect();
        for row in futures_util::future::join_all(reads).await {
            row.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_killed_while_idle_cost_at_most_one_new_one_for_each_caller() {
    let stack = stack(0).await;
    let primary = stack.primary().unwrap();
    let proxy = Proxy::start(primary.addr()).await.unwrap();
    let primary_config = NodeConfig::new(primary.url_via(proxy.addr()));
    let config = PoolConfig { primary: primary_config, min_idle: 8, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    pool.warm_up().await.unwrap();
    // The monitor's own is left to it: it would come back beside theirs.
    admin(
        primary,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
         AND backend_type = 'client backend' AND query NOT LIKE '%pg_is_in_recovery%'",
    )
    .await;
    let before = proxy.accepted();
    let reads: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.read().query_one("SELECT 1", &[]).await })
        })
        .collect();
    for read in reads {
        read.await.unwrap().unwrap();
    }
    let opened = proxy.accepted() - before;
    assert!((1..=20).contains(&opened), "{opened} for 20 callers");
}

#[tokio::test]
async fn a_read_given_up_for_replay_runs_elsewhere() {
    let stack = Stack::builder()
        .replicas(1)
        .setting("max_standby_streaming_delay", "0")
        .setting("hot_standby_feedback", "off")
        .start()
        .await
        .unwrap();
    let pool = with_table(&stack).await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    admin(primary, "INSERT INTO mark SELECT generate_series(1, 1000)").await;
    replica.wait_caught_up(primary, secs(30)).await.unwrap();
    let sql = "SELECT count(*), inet_server_port() FROM (SELECT id, pg_sleep(CASE WHEN \
         pg_is_in_recovery() THEN 0.05 ELSE 0 END) FROM mark) AS slow";
    let reader = tokio::spawn({
        let pool = pool.clone();
        async move { pool.read().query_one(sql, &[]).await }
    });
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%AS slow'";
    until("the read runs on the replica", secs(30), async || count(replica, running).await == 1)
        .await;
    // Removes rows that the read still needs.
    let primary_client = primary.client().await.unwrap();
    primary_client.batch_execute("DELETE FROM mark WHERE id > 500").await.unwrap();
    primary_client.batch_execute("VACUUM mark").await.unwrap();
    let row = reader.await.unwrap().unwrap();
    assert_eq!(row.get::<_, i32>(1), i32::from(primary.port()), "it was run again on the primary");
    assert!(is_up(&pool, "replica-1"), "a conflict is no sign of a sick node");
}

#[tokio::test]
async fn a_statement_that_cannot_be_encoded_is_no_sign_of_a_sick_node() {
    let stack = stack(1).await;
    let config = PoolConfig { health_interval: secs(60), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    until("the replica is up", secs(30), async || is_up(&pool, "replica-1")).await;
    let error = pool.read().query("SELECT '\0'", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Query { outcome: Outcome::NotSent, .. }), "{error}");
    assert!(!error.is_retryable());
}
