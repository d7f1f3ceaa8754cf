//! Scaling decisions that set the size of a real pool.
#![allow(clippy::unwrap_used, reason = "tests")]

use seawall::PoolSize;
use seawall::pool::{NodeConfig, Pool, PoolConfig, SizingConfig};
use seawall::scale::actuate::{Outcome, Reconciler, ReconcilerConfig, Standing};
use seawall::scale::{Engine, Policy, Target};
use seawall::signal::{Signals, Unit};
use seawall_devstack::Stack;
use tokio::time::Instant;

async fn pool(stack: &Stack) -> Pool {
    let node = |url| NodeConfig { max_size: Some(4), ..NodeConfig::new(url) };
    Pool::connect(PoolConfig {
        primary: node(stack.primary().unwrap().url()),
        replicas: vec![node(stack.replica(0).unwrap().url())],
        sizing: SizingConfig { min: 2, max: 6, ..SizingConfig::default() },
        ..PoolConfig::default()
    })
    .await
    .unwrap()
}

fn sizes(pool: &Pool) -> Vec<usize> {
    pool.usage().nodes.iter().map(|node| node.max_size).collect()
}

#[tokio::test]
async fn decisions_size_a_pool_within_its_bounds_and_a_node_that_strays_is_set_again() {
    let stack = Stack::builder().replicas(1).start().await.unwrap();
    let pool = pool(&stack).await;
    let policy = Policy {
        group: "pool".into(),
        min: 1,
        max: 20,
        targets: vec![Target::utilisation("pool_use", 0.5)],
        ..Policy::default()
    };
    let mut engine = Engine::new(policy, 4).unwrap();
    let config = ReconcilerConfig::default();
    let mut reconciler = Reconciler::new("pool", PoolSize::new(pool.clone()), config).unwrap();

    let (mut signals, now) = (Signals::new(), Instant::now());
    signals.set("pool_use", 0.75, Unit::Ratio, now);
    reconciler.decided(&engine.tick(&signals, now));
    let status = reconciler.step().await.clone();
    assert_eq!(status.outcome, Some(Outcome::Accepted { from: 4 }), "{status:?}");
    assert!(status.reason.contains("pool_use"), "{}", status.reason);
    assert_eq!(sizes(&pool), [6, 6]);
    assert_eq!(reconciler.step().await.standing, Standing::Settled);

    // One node, the first or the last, set by hand: seen, counted, set again.
    for (foreign, node) in (1..).zip(["primary", "replica-1"]) {
        pool.scale_node_to(node, 3).unwrap();
        assert_eq!(reconciler.step().await.external_writes, foreign, "{node}");
        assert_eq!(sizes(&pool), [6, 6], "{node}");
    }

    // More than the pool may have: what it takes is no foreign change.
    reconciler.want(50, "a mistake");
    for _ in 0..2 {
        let status = reconciler.step().await;
        assert_eq!((status.standing, status.external_writes), (Standing::Short, 2));
    }
    assert_eq!(sizes(&pool), [6, 6]);
    reconciler.want(1, "calm");
    assert_eq!(reconciler.step().await.outcome, Some(Outcome::Partial { granted: 2 }));
    assert_eq!(sizes(&pool), [2, 2]);
}
