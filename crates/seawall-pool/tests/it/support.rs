//! What the tests share.

use std::fmt::{Debug, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_devstack::{Postgres, Stack};
use seawall_pool::{NodeConfig, NodeStatus, Pool, PoolConfig, Route};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Connections of a pool on one server, its monitor's included.
pub(crate) const OPEN: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall-pool'";

pub(crate) async fn stack(replicas: usize) -> Stack {
    Stack::builder().replicas(replicas).start().await.unwrap()
}

/// A configuration for all nodes of `stack`, with frequent health checks, and with
/// limits that no stall of a busy machine reaches: a test that is about a limit sets it.
pub(crate) fn config(stack: &Stack) -> PoolConfig {
    PoolConfig {
        primary: NodeConfig::new(stack.primary().unwrap().url()),
        replicas: stack.replicas().iter().map(|replica| NodeConfig::new(replica.url())).collect(),
        min_idle: 1,
        max_size: 8,
        acquire_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        query_timeout: 2 * PATIENCE,
        cancel_timeout: PATIENCE,
        validate_after: 2 * PATIENCE,
        health_timeout: Duration::from_secs(4),
        ..PoolConfig::default()
    }
}

/// Limits of health checks that notice a frozen server soon.
pub(crate) fn wary(config: PoolConfig) -> PoolConfig {
    PoolConfig { health_timeout: Duration::from_millis(500), ..config }
}

/// A pool over all nodes of `stack`.
pub(crate) async fn pool(stack: &Stack) -> Pool {
    Pool::connect(config(stack)).await.unwrap()
}

/// A pool of one connection to the primary alone.
pub(crate) async fn pool_of_one(stack: &Stack) -> Pool {
    let config = PoolConfig { replicas: Vec::new(), max_size: 1, min_idle: 1, ..config(stack) };
    Pool::connect(config).await.unwrap()
}

pub(crate) fn node(pool: &Pool, name: &str) -> NodeStatus {
    let nodes = pool.status().nodes;
    nodes.into_iter().find(|node| &*node.name == name).unwrap()
}

pub(crate) fn is_up(pool: &Pool, name: &str) -> bool {
    node(pool, name).state.is_up()
}

/// The port of the server that answers.
pub(crate) async fn port(route: Route<'_>) -> u16 {
    let row = route.query_one("SELECT inet_server_port()", &[]).await.unwrap();
    u16::try_from(row.get::<_, i32>(0)).unwrap()
}

/// The process that serves.
pub(crate) async fn backend(route: Route<'_>) -> i32 {
    route.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// Waits until `condition` holds and says how long that took. Fails after `within`, or
/// [`PATIENCE`] if that is longer: the machine of the tests may stall. What has to be
/// fast is compared with what this returns.
pub(crate) async fn until(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Duration {
    let within = within.max(PATIENCE);
    let start = Instant::now();
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !condition().await {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        ticks.tick().await;
    }
    start.elapsed()
}

/// How long something may take that is only waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `sql` on `server` outside of any pool.
pub(crate) async fn admin(server: &Postgres, sql: &str) {
    server.client().await.unwrap().batch_execute(sql).await.unwrap();
}

/// Runs `sql` on `server` outside of any pool, for one number.
pub(crate) async fn count(server: &Postgres, sql: &str) -> i64 {
    server.client().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

/// Commits that wait for a synchronous standby.
pub(crate) const COMMIT_WAITS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// Waits until commits wait for a standby that does not answer: sessions show the setting
/// before the checkpointer has told all others of it. There has to be a table `counter`.
pub(crate) async fn commits_wait(server: &Postgres) {
    let sql = "SET synchronous_commit = remote_apply; UPDATE counter SET value = value";
    until("commits wait for the standby", PATIENCE, async || {
        let client = server.client().await.unwrap();
        let probe = tokio::spawn(async move { client.batch_execute(sql).await });
        until("one waits or is done", PATIENCE, async || {
            probe.is_finished() || count(server, COMMIT_WAITS).await > 0
        })
        .await;
        !probe.is_finished()
    })
    .await;
    let enough = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    admin(server, enough).await;
    until("it no longer waits", PATIENCE, async || count(server, COMMIT_WAITS).await == 0).await;
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A way to `server` that takes its time to let each connection in.
pub(crate) async fn slow_door(server: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                sleep(delay).await;
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    door
}

/// Keeps the warnings of its thread as text.
pub(crate) struct Warnings(Arc<Mutex<String>>);

impl Warnings {
    pub(crate) fn install() -> (DefaultGuard, Arc<Mutex<String>>) {
        // With one dispatcher alive, a callsite that is met first on another thread is asked about
        // at that thread's, which is none, and stays off for all: so there are two.
        static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| Dispatch::new(Self(Arc::default())));
        let warnings = Arc::<Mutex<String>>::default();
        (tracing::subscriber::set_default(Self(Arc::clone(&warnings))), warnings)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("seawall_pool")
    }

    fn event(&self, event: &Event<'_>) {
        struct Text<'a>(&'a mut String);
        impl Visit for Text<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        event.record(&mut Text(&mut self.0.lock()));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
