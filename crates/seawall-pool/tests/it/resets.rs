//! A link that breaks again and again.

use std::sync::Arc;

use seawall_devstack::Proxy;
use seawall_pool::{NodeConfig, Pool, PoolConfig};
use tokio::time::interval;

use crate::support::{config, millis, node, stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_connections_are_reset_all_the_time_costs_no_failed_read() {
    let stack = stack(2).await;
    let proxy = Arc::new(Proxy::start(stack.replica(0).unwrap().addr()).await.unwrap());
    let mut config = config(&stack);
    config.replicas[0] = NodeConfig::new(stack.replica(0).unwrap().url_via(proxy.addr()));
    let pool = Pool::connect(PoolConfig { ..config }).await.unwrap();
    let breaking = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move {
            let mut ticks = interval(millis(5));
            loop {
                ticks.tick().await;
                proxy.reset_all();
            }
        }
    });
    for _ in 0..1_000 {
        pool.read().query_one("SELECT 1", &[]).await.unwrap();
    }
    breaking.abort();
    let broken = node(&pool, "replica-1").served.reads;
    let sound = node(&pool, "replica-2").served.reads;
    println!("{broken} reads on the one whose link breaks, {sound} on the other");
    assert!(sound > broken, "{broken} to {sound}");
}
