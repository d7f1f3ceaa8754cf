//! Hedged reads that meet replicas whose connections are used up.

use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use seawall_devstack::{Postgres, Stack};
use seawall_pool::{At, Conn, Error, Pool, PoolConfig, Spill, Standing, tokio_postgres::Row};
use tokio::task::JoinHandle;

use crate::hedge::{SLEEPING, SLOW, hedging};
use crate::metrics::value;
use crate::support::{admin, count, node, secs, stack, until};

/// Two replicas. The first gets the read, which takes long there; the only connection of the second is
/// out, and as many wait for it as may.
struct Scene<'s> {
    pool: Pool,
    first: &'s Postgres,
    held: Conn,
    waits: JoinHandle<Result<Row, Error>>,
}

impl<'s> Scene<'s> {
    async fn new(stack: &'s Stack, spill: Spill) -> Self {
        let mut config =
            PoolConfig { max_size: 1, min_idle: 0, max_waiting: 1, ..hedging(stack, 50) };
        config.replicas[0].weight = 1_000;
        config.replicas[1].tags = vec!["two".to_owned()];
        config.routing.spill = spill;
        // Until the test ends.
        config.routing.saturated_for = secs(600);
        let pool = Pool::connect(config).await.unwrap();
        // Saved up for the second attempt.
        pool.read().query_one("SELECT 1", &[]).await.unwrap();
        let held = pool.read().tag("two").get().await.unwrap();
        let waits = tokio::spawn({
            let pool = pool.clone();
            async move { pool.read().tag("two").hedged(false).query_one("SELECT 1", &[]).await }
        });
        until("one waits", secs(20), async || node(&pool, "replica-2").waiting == 1).await;
        Self { pool, first: stack.replica(0).unwrap(), held, waits }
    }

    fn second_is_full(&self) -> bool {
        node(&self.pool, "replica-2").standing == Some(Standing::Saturated)
    }

    /// Begins the read, and loses the first attempt when `ready`.
    async fn lose(&self, ready: impl AsyncFn() -> bool) -> Result<At<Vec<Row>>, Error> {
        let read = tokio::spawn({
            let (pool, port) = (self.pool.clone(), i32::from(self.first.port()));
            async move { pool.read().query_at(SLOW, &[&port, &600.0]).await }
        });
        let first = self.first;
        until("it is on the first", secs(20), async || count(first, SLEEPING).await == 1).await;
        until("there is no second attempt", secs(20), ready).await;
        assert!(!read.is_finished(), "the first attempt goes on");
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE wait_event = 'PgSleep'";
        admin(first, sql).await;
        read.await.unwrap()
    }

    /// How many reads the primary had.
    async fn ends(self) -> u64 {
        let reads = node(&self.pool, "primary").served.reads;
        drop(self.held);
        self.waits.await.unwrap().unwrap();
        reads
    }
}

#[tokio::test]
async fn a_read_whose_second_attempt_finds_the_line_full_does_not_pass_to_the_primary() {
    let stack = stack(2).await;
    for spill in [Spill::Wait, Spill::Shed] {
        let scene = Scene::new(&stack, spill).await;
        let error = scene.lose(async || scene.second_is_full()).await.unwrap_err();
        assert!(matches!(error, Error::QueueFull { .. }), "{spill:?}: {error}");
        assert_eq!(scene.ends().await, 0, "{spill:?}");
    }
}

#[tokio::test]
async fn a_read_whose_second_attempt_finds_the_line_full_spills_if_that_is_asked_for() {
    let stack = stack(2).await;
    let scene = Scene::new(&stack, Spill::Primary).await;
    let at = scene.lose(async || scene.second_is_full()).await.unwrap();
    assert_eq!((&*at.node, at.hedge), ("primary", None));
    assert_eq!(scene.ends().await, 1);
}

#[tokio::test]
async fn no_second_attempt_is_made_at_a_full_replica_and_none_at_the_primary() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stack = stack(2).await;
    for spill in [Spill::Wait, Spill::Shed, Spill::Primary] {
        let scene = Scene::new(&stack, spill).await;
        let read = scene.pool.read().tag("two").hedged(false).query_one("SELECT 1", &[]).await;
        // On the way it may have been served by the primary, if it is allowed to.
        assert_eq!(read.is_ok(), spill == Spill::Primary, "{spill:?}");
        assert!(scene.second_is_full());
        let before = node(&scene.pool, "primary").served.reads;
        withheld(&snapshotter);
        let ran = scene.lose(async || withheld(&snapshotter) > 0.0).await;
        let reads = scene.ends().await - before;
        match (spill, ran) {
            (Spill::Wait, Err(Error::QueueFull { .. }))
            | (Spill::Shed, Err(Error::NoNode { .. })) => assert_eq!(reads, 0, "{spill:?}"),
            (Spill::Primary, Ok(at)) => {
                assert_eq!((&*at.node, at.hedge, reads), ("primary", None, 1));
            }
            (_, ran) => panic!("{spill:?}: {:?}", ran.map(|at| at.node)),
        }
    }
}

/// Second attempts for which there was no replica, since it was last asked.
fn withheld(snapshotter: &Snapshotter) -> f64 {
    value(snapshotter, "seawall_pool_hedges_withheld_total", "no_replica")
}
