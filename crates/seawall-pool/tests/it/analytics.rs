//! Heavy reads beside those that users wait for.

use std::time::Duration;

use seawall_pool::{Pool, PoolConfig};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{config, count, millis, secs, stack, until};

/// How long reads that users wait for take, the slowest of a hundred left out.
async fn p99(pool: &Pool) -> Duration {
    let mut took = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        pool.read().query_one("SELECT 1", &[]).await.unwrap();
        took.push(start.elapsed());
    }
    took.sort();
    took[197]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reports_on_two_connections_do_not_make_users_wait() {
    let stack = stack(0).await;
    let config = PoolConfig { max_size: 4, min_idle: 4, analytics_share: 0.5, ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    pool.warm_up().await.unwrap();
    let before = p99(&pool).await;
    let mut reports = JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        reports.spawn(async move {
            let report = pool.analytics().timeout(secs(60));
            report.query("SELECT pg_sleep(5), 'a report'", &[]).await
        });
    }
    let primary = stack.primary().unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%a report%' \
         AND pid <> pg_backend_pid()";
    until("two run", secs(20), async || count(primary, running).await == 2).await;
    let during = p99(&pool).await;
    println!("p99 {before:?} alone, {during:?} beside reports");
    assert_eq!(count(primary, running).await, 2, "no more than two, and they go on");
    // A user behind a report would wait for seconds; a busy machine takes its time too.
    assert!(during < 10 * before.max(millis(50)), "{before:?} alone, {during:?} beside reports");
}
