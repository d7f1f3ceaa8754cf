//! Watching one node, off the request path: a connection of its own, asked at
//! an interval, at once when a caller met a failure, and never twice at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, NoTls, Statement};

use crate::error::classify;
use crate::health::{Evidence, Health};
use crate::lag::LagRing;
use crate::node::Node;
use crate::{Lsn, PoolConfig, ProbeError};

/// What the monitors of one pool share.
#[derive(Default)]
pub(crate) struct Board {
    /// A replica was sampled: readers that wait for a position look again.
    pub(crate) progress: Notify,
    primary: Mutex<LagRing>,
}

/// The monitor of one node.
pub(crate) struct Monitor {
    node: Arc<Node>,
    board: Arc<Board>,
    health: Health,
    timeout: Duration,
    /// How long the primary may be unseen while lag goes on growing.
    unseen: Duration,
    link: Option<Link>,
    /// When the next probe is due.
    due: Instant,
    /// When the last probe began.
    began: Instant,
}

impl Monitor {
    pub(crate) fn new(node: Arc<Node>, board: Arc<Board>, config: &PoolConfig) -> Self {
        let now = Instant::now();
        Self {
            node,
            board,
            health: Health::new(config.health_interval),
            timeout: config.health_timeout,
            unseen: 2 * (config.health_interval + config.health_timeout),
            link: None,
            due: now,
            began: now,
        }
    }

    /// Probes for ever. Ends when its task is aborted.
    pub(crate) async fn run(mut self) {
        loop {
            self.rest().await;
            self.probe().await;
        }
    }

    /// One probe, entered into the node.
    pub(crate) async fn probe(&mut self) {
        let suspicions = self.node.suspicions();
        self.began = Instant::now();
        let linked = self.link.is_some();
        let (evidence, error) = match timeout(self.timeout, self.ask()).await {
            Ok(Ok(sample)) => self.take_in(sample),
            Ok(Err(failure)) => {
                self.link = None;
                (failure.evidence(linked), Some(failure))
            }
            Err(_) => {
                self.link = None;
                (Evidence::Silent, Some(ProbeError::Timeout(self.timeout)))
            }
        };
        let step = self.health.step(evidence);
        let accepted =
            step.verdict.is_none_or(|verdict| self.node.apply(verdict, error, suspicions));
        // An answer older than a caller's failure counts for nothing: ask again.
        let wait = if accepted { step.wait } else { Duration::ZERO };
        self.due = Instant::now() + wait;
        self.board.progress.notify_waiters();
    }

    /// Waits until the next probe is due, somebody asks for one, or the
    /// connection breaks.
    async fn rest(&mut self) {
        let lost = async {
            match &mut self.link {
                Some(link) => drop((&mut link.driver.0).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(self.due) => {}
            () = self.node.poke.notified() => sleep_until(self.began + SHORTEST_GAP).await,
            () = lost => {}
        }
    }

    async fn ask(&mut self) -> Result<Sample, ProbeError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::new(&self.node.postgres).await.map_err(ProbeError::Postgres)?,
        };
        let row = link.client.query_one(&link.statement, &[]).await;
        let row = row.map_err(ProbeError::Postgres)?;
        self.link = Some(link);
        let recovering = row.try_get(0).map_err(|_| ProbeError::Answer)?;
        let lsn: Option<PgLsn> = row.try_get(1).map_err(|_| ProbeError::Answer)?;
        Ok(Sample { recovering, lsn: Lsn(lsn.map_or(0, u64::from)) })
    }

    fn take_in(&self, sample: Sample) -> (Evidence, Option<ProbeError>) {
        let Sample { recovering, lsn } = sample;
        if self.node.primary {
            if !recovering {
                // Sampled at some time since the probe began: the earlier time
                // never makes a replica look closer than it is.
                self.board.primary.lock().primary_at(lsn, self.began);
            }
            if self.node.is_writable() == recovering {
                tracing::warn!(node = %self.node.name, writable = !recovering, "role changed");
            }
            self.node.sampled(lsn, !recovering, None, Instant::now());
            return (Evidence::Answered, None);
        }
        if !recovering {
            return (Evidence::Refused, Some(ProbeError::NotReplica));
        }
        let now = Instant::now();
        let history = self.board.primary.lock();
        // Of a primary that is gone nobody knows whether it wrote on: a replica that
        // will never have its last words must not look older and older for that.
        let known = history.seen().map_or(now, |seen| now.min(seen + self.unseen));
        let lag = history.lag(lsn, known);
        drop(history);
        self.node.sampled(lsn, false, lag, now);
        (Evidence::Answered, None)
    }
}

impl ProbeError {
    fn evidence(&self, linked: bool) -> Evidence {
        match self {
            Self::Timeout(_) => Evidence::Silent,
            Self::Postgres(error) if classify::is_full(error) => Evidence::Full,
            Self::Postgres(_) if linked => Evidence::Lost,
            Self::Postgres(_) | Self::Answer | Self::NotReplica => Evidence::Refused,
        }
    }
}

#[derive(Clone, Copy)]
struct Sample {
    recovering: bool,
    lsn: Lsn,
}

/// The monitor's own connection.
struct Link {
    client: Client,
    statement: Statement,
    driver: Driver,
}

impl Link {
    async fn new(config: &tokio_postgres::Config) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        // How the connection ended is told to whoever waits for an answer.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let statement = client.prepare(PROBE).await?;
        Ok(Self { client, statement, driver })
    }
}

/// The task that moves a connection's bytes, stopped when dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A replica's position is what it has replayed, the primary's what it has
/// written out, which is what a replica can reach.
const PROBE: &str = "SELECT recovering, \
     CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END \
     FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node";

/// The most often a node is probed, however many readers ask.
const SHORTEST_GAP: Duration = Duration::from_millis(2);
