//! Nodes whose name comes to stand for another server.

use std::sync::Arc;

use parking_lot::Mutex;
use seawall_pool::{NodeConfig, Pool, PoolConfig, Resolver};

use crate::support::{OPEN, config, count, millis, node, port, secs, stack, until};

#[tokio::test]
async fn connections_follow_a_name_within_its_period_and_those_in_use_end_without_error() {
    let stack = stack(2).await;
    let (one, two) = (stack.replica(0).unwrap(), stack.replica(1).unwrap());
    let zone = Arc::new(Mutex::new(vec![one.addr()]));
    let answer = Arc::clone(&zone);
    let resolver = Resolver::new(move |name, _| {
        assert_eq!(name, "replica.example");
        let found = answer.lock().clone();
        async { Ok(found) }
    });
    let config = PoolConfig {
        replicas: vec![NodeConfig::new(one.url().replace("127.0.0.1", "replica.example"))],
        resolver,
        resolve_interval: millis(200),
        ..config(&stack)
    };
    let pool = Pool::connect(config).await.unwrap();
    until("it serves", secs(20), async || port(pool.read()).await == one.port()).await;
    let held = pool.read().get().await.unwrap();
    // The first look-up has to be over, or it has nothing to compare with.
    let start = tokio::time::Instant::now();
    until("some time has passed", secs(20), async || start.elapsed() > millis(500)).await;

    *zone.lock() = vec![two.addr()];
    until("reads follow", secs(20), async || port(pool.read()).await == two.port()).await;
    let row = held.query_one("SELECT inet_server_port(), pg_sleep(0.1)", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), i32::from(one.port()), "who has one keeps it");
    drop(held);
    for _ in 0..20 {
        assert_eq!(port(pool.read()).await, two.port());
    }
    // The monitor's own too: it must not go on watching a server that nobody asks.
    until("nothing is left", secs(20), async || count(one, OPEN).await == 0).await;

    // A name that stands for nothing for a while.
    zone.lock().clear();
    let start = tokio::time::Instant::now();
    while start.elapsed() < millis(1_500) {
        assert_eq!(port(pool.read()).await, two.port(), "the old set is kept");
    }
    assert!(node(&pool, "replica-1").state.is_up());
}
