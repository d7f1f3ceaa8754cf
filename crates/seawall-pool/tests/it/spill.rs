//! What becomes of reads when the connections of all replicas are used up.

use seawall_devstack::Stack;
use seawall_pool::{Conn, Error, Pool, PoolConfig, Spill, Standing};
use tokio::task::JoinHandle;

use crate::support::{config, is_up, node, port, secs, stack, until};

/// A replica of one connection, which is out, and for which one caller waits.
struct Full {
    pool: Pool,
    held: Conn,
    waiter: JoinHandle<Result<Conn, Error>>,
}

impl Full {
    async fn new(stack: &Stack, spill: Spill) -> Self {
        let mut config = PoolConfig { max_size: 2, max_waiting: 1, ..config(stack) };
        config.replicas[0].max_size = Some(1);
        config.routing.spill = spill;
        // Until the test ends.
        config.routing.saturated_for = secs(600);
        let pool = Pool::connect(config).await.unwrap();
        until("it serves", secs(20), async || is_up(&pool, "replica-1")).await;
        let held = pool.read().get().await.unwrap();
        assert_eq!(&**held.node(), "replica-1");
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.read().get().await }
        });
        until("one waits", secs(20), async || node(&pool, "replica-1").waiting == 1).await;
        Self { pool, held, waiter }
    }

    fn is_said_to_be(&self) -> bool {
        node(&self.pool, "replica-1").standing == Some(Standing::Saturated)
    }

    async fn ends(self) {
        drop(self.held);
        self.waiter.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn reads_wait_for_full_replicas_and_leave_the_primary_to_writes() {
    let stack = stack(1).await;
    let full = Full::new(&stack, Spill::default()).await;
    for _ in 0..10 {
        let error = full.pool.read().query("SELECT 1", &[]).await.unwrap_err();
        assert!(matches!(error, Error::QueueFull { .. }), "{error}");
        assert!(full.is_said_to_be(), "so the next ones know of it beforehand");
    }
    let pool = full.pool.clone();
    full.ends().await;
    // It is still said to be full, and whoever waits there is served.
    assert_eq!(node(&pool, "replica-1").standing, Some(Standing::Saturated));
    assert_eq!(port(pool.read()).await, stack.replica(0).unwrap().port());
    assert_eq!(node(&pool, "primary").served.reads, 0);
}

#[tokio::test]
async fn reads_spill_to_the_primary_only_while_it_has_little_to_do() {
    let stack = stack(1).await;
    let full = Full::new(&stack, Spill::Primary).await;
    let (pool, primary) = (full.pool.clone(), stack.primary().unwrap().port());
    // One that finds out by itself, and those who know beforehand.
    for hedged in [false, true].repeat(5) {
        assert_eq!(port(pool.read().hedged(hedged)).await, primary);
        assert!(full.is_said_to_be());
    }
    // One of two is as much as half.
    let busy = pool.write().get().await.unwrap();
    for hedged in [false, true].repeat(5) {
        let error = pool.read().hedged(hedged).query("SELECT 1", &[]).await.unwrap_err();
        assert!(matches!(error, Error::QueueFull { .. }), "{error}");
    }
    drop(busy);
    assert_eq!(port(pool.read()).await, primary);
    full.ends().await;
}

#[tokio::test]
async fn reads_are_refused_at_once_if_that_is_asked_for() {
    let stack = stack(1).await;
    let full = Full::new(&stack, Spill::Shed).await;
    full.pool.read().query("SELECT 1", &[]).await.unwrap_err();
    assert!(full.is_said_to_be());
    for hedged in [false, true] {
        let error = full.pool.read().hedged(hedged).query("SELECT 1", &[]).await.unwrap_err();
        assert!(matches!(error, Error::NoNode { .. }), "{error}");
        assert!(error.is_retryable() && error.to_string().contains("saturated"), "{error}");
    }
    assert_eq!(node(&full.pool, "primary").served.reads, 0);
    full.pool.write().execute("SELECT 1", &[]).await.unwrap();
    full.ends().await;
}

/// There is nobody to protect the primary from but a replica that is there.
#[tokio::test]
async fn replicas_that_are_dead_leave_reads_to_the_primary_whatever_is_said_of_full_ones() {
    let stack = stack(1).await;
    for spill in [Spill::Wait, Spill::Shed] {
        let mut config = config(&stack);
        config.routing.spill = spill;
        let pool = Pool::connect(config).await.unwrap();
        stack.replica(0).unwrap().kill().await.unwrap();
        assert_eq!(port(pool.read()).await, stack.primary().unwrap().port());
        stack.replica(0).unwrap().restart().await.unwrap();
    }
}
