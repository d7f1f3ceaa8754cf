//! A primary and two replicas, with a breakable link before each and behind each replica.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_devstack::{Postgres, Proxy, Stack};
use seawall_pool::{HedgeConfig, NodeConfig, Pool, PoolConfig};
use tokio::time::{Instant, sleep};

use crate::check::NOTHING;
use crate::history::Key;
use crate::plan::Plan;

pub(crate) struct Cluster {
    stack: Stack,
    /// Between the pool and each node.
    pub(crate) doors: Vec<Proxy>,
    /// Between the primary and each replica.
    pub(crate) feeds: Vec<Proxy>,
    histories: i64,
}

/// Lists that all append to, and registers of each session.
pub(crate) const LISTS: usize = 3;
pub(crate) const REGISTERS: usize = 3;

impl Cluster {
    pub(crate) async fn start() -> Self {
        let stack = Stack::builder().replicas(2).start().await.unwrap();
        let mut cluster = Self { doors: Vec::new(), feeds: Vec::new(), histories: 0, stack };
        for index in 0..3 {
            let door = Proxy::start(cluster.node(index).addr()).await.unwrap();
            cluster.doors.push(door);
        }
        for index in 1..3 {
            let feed = Proxy::start(cluster.node(0).addr()).await.unwrap();
            cluster.node(index).follow(feed.addr()).await.unwrap();
            cluster.feeds.push(feed);
        }
        cluster
            .sql(
                0,
                "CREATE TABLE cell (history bigint, key bigint, items bigint[] NOT NULL, \
                 PRIMARY KEY (history, key)); \
                 CREATE FUNCTION late(bigint, bigint, float) RETURNS bigint[] VOLATILE \
                 LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep($3); \
                 RETURN (SELECT items FROM cell WHERE history = $1 AND key = $2); END $$",
            )
            .await;
        cluster
    }

    pub(crate) fn node(&self, index: usize) -> &Postgres {
        if index == 0 {
            self.stack.primary().unwrap()
        } else {
            self.stack.replica(index - 1).unwrap()
        }
    }

    pub(crate) async fn sql(&self, node: usize, sql: &str) {
        self.node(node).client().await.unwrap().batch_execute(sql).await.unwrap();
    }

    /// How many times longer than usual an answer takes now, up to six.
    pub(crate) async fn slowness(&self) -> f64 {
        let mut times = Vec::new();
        for node in 0..3 {
            let client = self.node(node).client().await.unwrap();
            for _ in 0..5 {
                let asked = Instant::now();
                client.simple_query("SELECT 1").await.unwrap();
                times.push(asked.elapsed());
            }
        }
        times.sort_unstable();
        (times[times.len() / 2].as_secs_f64() / USUAL.as_secs_f64()).clamp(1.0, 6.0)
    }

    /// Makes room for one more history, on all nodes, and a pool for it.
    pub(crate) async fn open(&mut self, plan: &Plan) -> (i64, Pool) {
        self.histories += 1;
        let number = self.histories;
        let keys = (0..plan.sessions).flat_map(REGISTERS_OF).map(Key::Register);
        let rows = (0..LISTS).map(Key::List).chain(keys).map(|key| {
            let items = match key {
                Key::List(_) => String::new(),
                Key::Register(_) => NOTHING.to_string(),
            };
            format!("({number}, {}, '{{{items}}}')", column(key))
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        self.sql(0, &format!("INSERT INTO cell VALUES {rows}")).await;
        for replica in 1..3 {
            self.caught_up(replica).await;
        }
        (number, self.pool(plan).await)
    }

    /// One question to a server has ten seconds, and the machine may be busy for longer.
    async fn caught_up(&self, replica: usize) {
        let deadline = Instant::now() + LONG;
        while let Err(error) = self.node(replica).wait_caught_up(self.node(0), LONG).await {
            assert!(error.is_retryable() && Instant::now() < deadline, "{error}");
        }
    }

    /// Its limits are tight, and the machine may be busy.
    async fn pool(&self, plan: &Plan) -> Pool {
        let deadline = Instant::now() + LONG;
        loop {
            match Pool::connect(self.config(plan)).await {
                Ok(pool) => return pool,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    fn config(&self, plan: &Plan) -> PoolConfig {
        let url = |node: usize| NodeConfig::new(self.node(node).url_via(self.doors[node].addr()));
        let millis = |limit| Duration::from_millis(limit).mul_f64(plan.slowness);
        PoolConfig {
            primary: url(0),
            replicas: vec![url(1), url(2)],
            // Of every other history.
            hedge: HedgeConfig {
                enabled: plan.seed.is_multiple_of(2),
                budget: 0.5,
                delay: Some(millis(5)),
                ..HedgeConfig::default()
            },
            min_idle: 1,
            max_size: 6,
            acquire_timeout: millis(1_000),
            connect_timeout: millis(300),
            create_timeout: millis(1_000),
            create_retry_interval: millis(20),
            query_timeout: millis(400),
            cancel_timeout: millis(100),
            health_interval: millis(25),
            health_timeout: millis(100),
            ..PoolConfig::default()
        }
    }

    /// Undoes all faults of a history without a promotion.
    pub(crate) async fn heal(&self) {
        for proxy in self.doors.iter().chain(&self.feeds) {
            proxy.accept().await.unwrap();
            proxy.clear();
        }
        for replica in 1..3 {
            self.node(replica).resume_replay().await.unwrap();
        }
        self.streaming(2).await;
    }

    /// Waits until so many replicas get the primary's log.
    pub(crate) async fn streaming(&self, replicas: i64) {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        self.counts(sql, replicas).await;
    }

    /// From now on commits wait for the first replica.
    pub(crate) async fn synchronise(&self) {
        self.sql(0, "ALTER SYSTEM SET synchronous_standby_names = '\"replica-1\"'").await;
        self.sql(0, "SELECT pg_reload_conf()").await;
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        self.counts(sql, 1).await;
    }

    async fn counts(&self, sql: &str, least: i64) {
        let client = self.node(0).client().await.unwrap();
        let deadline = Instant::now() + LONG;
        while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < least {
            assert!(Instant::now() < deadline, "not within {LONG:?}: {sql}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What `node` has of a history.
    pub(crate) async fn state(&self, node: usize, history: i64) -> BTreeMap<Key, Vec<i64>> {
        let client = self.node(node).client().await.unwrap();
        let sql = "SELECT key, items FROM cell WHERE history = $1";
        let rows = client.query(sql, &[&history]).await.unwrap();
        rows.iter().map(|row| (key_of(row.get(0)), row.get(1))).collect()
    }
}

/// The registers that a session writes.
pub(crate) const REGISTERS_OF: fn(usize) -> std::ops::Range<usize> =
    |session| session * REGISTERS..(session + 1) * REGISTERS;

pub(crate) fn column(key: Key) -> i64 {
    i64::try_from(match key {
        Key::List(number) => number,
        Key::Register(number) => FIRST_REGISTER + number,
    })
    .unwrap()
}

fn key_of(column: i64) -> Key {
    match usize::try_from(column).unwrap() {
        number if number < FIRST_REGISTER => Key::List(number),
        number => Key::Register(number - FIRST_REGISTER),
    }
}

const FIRST_REGISTER: usize = 100;
/// An answer to a trifle, where two histories share two quiet cores.
const USUAL: Duration = Duration::from_micros(500);
const LONG: Duration = Duration::from_secs(60);
