//! Watching one node, off the request path: a connection of its own, asked at
//! an interval, at once when a caller met a failure, and never twice at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Statement};

use crate::buffer::Buffer;
use crate::dial::{Dialed, Dialer};
use crate::error::classify;
use crate::health::{Evidence, Health};
use crate::lag::LagRing;
use crate::node::Node;
use crate::{Lsn, PoolConfig, ProbeError, Token};

/// What the monitors of one pool share.
pub(crate) struct Board {
    /// A replica was sampled: readers that wait for a position look again.
    pub(crate) progress: Notify,
    primary: Mutex<LagRing>,
    /// What the primary had when last asked, and when the question was sent.
    latest: Mutex<Option<(Instant, Token)>>,
    /// The cluster, as the primary told first; zero if unknown.
    system: AtomicU64,
    /// The newest timeline that a primary was seen on; zero if unknown.
    timeline: AtomicU32,
    nodes: Vec<Arc<Node>>,
    /// Whether another node may become the primary.
    failover: bool,
    /// How long ago the primary may have been down for a promotion that nobody saw to be taken for its
    /// consequence: not less than it takes to look at all nodes.
    unseen: Duration,
    /// Whether all nodes have been looked at once.
    begun: AtomicBool,
    /// Held while one does.
    turn: Mutex<()>,
    /// Writes that wait for that.
    pub(crate) buffer: Buffer,
}

impl Board {
    pub(crate) fn new(nodes: Vec<Arc<Node>>, config: &PoolConfig) -> Self {
        let failover = config.failover;
        Self {
            buffer: Buffer::new(&config.buffer, failover && nodes.len() > 1, &config.labels()),
            progress: Notify::new(),
            primary: Mutex::default(),
            latest: Mutex::default(),
            system: AtomicU64::new(0),
            timeline: AtomicU32::new(0),
            nodes,
            failover,
            unseen: UNSEEN.max(2 * (config.health_interval + config.health_timeout)),
            begun: AtomicBool::new(false),
            turn: Mutex::default(),
        }
    }

    /// Makes `candidate`, which was found to take writes, the primary, if it is the
    /// rightful one: of the same cluster, on a timeline after all that were seen,
    /// while the one there was is gone or in recovery, or has been gone since this one was
    /// last known to follow it, and was not up any more when this one was first seen to write: then the promotion
    /// was not seen at the time. A writer on an older
    /// timeline never is, and of two that were alive all the time the newer one neither:
    /// somebody may have cut a copy loose. If there was none yet, because the configuration is older
    /// than a promotion, it is the writer of the cluster that the configured primary is a
    /// standby of; while that one is silent nobody can tell.
    fn take_over(&self, candidate: &Arc<Node>, sample: Sample) -> bool {
        let rightful = || {
            let newest = self.timeline();
            newest > 0 && sample.timeline > newest && sample.system == self.system()
        };
        let inherits = |current: &Node| {
            let of_it = sample.system != 0 && sample.system == current.system();
            let followed = current.timeline() > 0 && sample.timeline >= current.timeline();
            let begun = self.begun.load(Ordering::Acquire);
            begun && self.timeline() == 0 && current.is_up() && of_it && followed
        };
        if !self.failover || (self.timeline() > 0 && !rightful()) {
            return false;
        }
        let _turn = self.turn.lock();
        let Some(current) = self.nodes.iter().find(|node| node.is_primary()) else {
            return false;
        };
        let gone = current.is_down()
            || (current.is_up() && !current.is_writable())
            || candidate.may_stand_in_for(current, self.unseen);
        if !gone || !(rightful() || inherits(current)) {
            return false;
        }
        let (from, to) = (&current.name, &candidate.name);
        tracing::warn!(%from, %to, timeline = sample.timeline, "another node is the primary now");
        // Never two at a time: a write in between finds none, and is not sent.
        current.resign();
        self.timeline.fetch_max(sample.timeline, Ordering::AcqRel);
        self.name_system(sample.system);
        candidate.ascend();
        candidate.metrics.failovers.increment(1);
        true
    }

    /// Whether there is a primary, as far as is known.
    pub(crate) fn takes_writes(&self) -> bool {
        let takes = |node: &Node| node.is_primary() && node.is_writable() && node.is_up();
        self.nodes.iter().any(|node| takes(node))
    }

    /// Has every node looked at now.
    pub(crate) fn look(&self) {
        self.nodes.iter().for_each(|node| node.poke.notify_one());
    }

    /// Runs `task` where the pool is at home.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(node) = self.nodes.first() {
            node.spawn_at_home(task);
        }
    }

    /// Every node was looked at once: from now on a writer may take the place of a primary that was
    /// never seen to take writes.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// The first that is heard of the cluster.
    fn name_system(&self, system: u64) {
        let _ = self.system.compare_exchange(0, system, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn system(&self) -> u64 {
        self.system.load(Ordering::Acquire)
    }

    pub(crate) fn timeline(&self) -> u32 {
        self.timeline.load(Ordering::Acquire)
    }

    /// What the primary had when asked at `since` or later.
    pub(crate) fn primary_since(&self, since: Instant) -> Option<Token> {
        let latest = *self.latest.lock();
        latest.filter(|(asked, _)| *asked >= since).map(|(_, token)| token)
    }

    fn primary_seen(&self, asked: Instant, token: Token) {
        // Sampled at some time since it was asked: the earlier time never makes
        // a replica look closer than it is.
        self.primary.lock().primary_at(token.lsn, asked);
        self.name_system(token.system);
        self.timeline.fetch_max(token.timeline, Ordering::AcqRel);
        *self.latest.lock() = Some((asked, token));
    }
}

/// The monitor of one node.
pub(crate) struct Monitor {
    node: Arc<Node>,
    board: Arc<Board>,
    health: Health,
    timeout: Duration,
    /// How long the primary may be unseen while lag goes on growing.
    unseen: Duration,
    /// How long a connection is kept: the name of the node may stand for another server by then.
    lifetime: Duration,
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
            lifetime: config.max_lifetime,
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

    /// The timeline that its node was last seen on.
    pub(crate) fn timeline(&self) -> u32 {
        self.node.timeline()
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
        let now = Instant::now();
        self.node.probed(now);
        self.due = now + wait;
        if self.node.is_primary() && self.node.is_up() {
            self.board.let_go();
        }
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
        let epoch = self.node.books.lock().epoch();
        // After an eviction the node may be elsewhere.
        let fit = |link: &Link| link.epoch == epoch && link.opened.elapsed() < self.lifetime;
        let link = match self.link.take().filter(fit) {
            Some(link) => link,
            None => Link::new(&self.node.dialer, epoch).await.map_err(ProbeError::Postgres)?,
        };
        let row = link.client.query_one(&link.statement, &[]).await;
        let row = row.map_err(ProbeError::Postgres)?;
        self.link = Some(link);
        let recovering = row.try_get(0).map_err(|_| ProbeError::Answer)?;
        let lsn: Option<PgLsn> = row.try_get(1).map_err(|_| ProbeError::Answer)?;
        let number = |column| row.try_get::<_, i64>(column).map_err(|_| ProbeError::Answer);
        Ok(Sample {
            recovering,
            lsn: Lsn(lsn.map_or(0, u64::from)),
            timeline: u32::try_from(number(2)?).unwrap_or(0),
            system: number(3)?.cast_unsigned(),
        })
    }

    fn take_in(&self, sample: Sample) -> (Evidence, Option<ProbeError>) {
        let Sample { recovering, lsn, system, timeline } = sample;
        let known = self.board.system();
        if known != 0 && system != 0 && system != known {
            return (Evidence::Refused, Some(ProbeError::Foreign { system, known }));
        }
        self.node.identified(system, timeline);
        if !recovering && !self.node.is_primary() {
            self.node.wrote(Instant::now());
        }
        if self.node.is_primary() || (!recovering && self.board.take_over(&self.node, sample)) {
            self.node.metrics.fenced.set(0.0);
            if recovering {
                self.node.doubt.notify_one();
            } else {
                self.board.primary_seen(self.began, Token { system, timeline, lsn });
            }
            if self.node.is_writable() == recovering {
                tracing::warn!(node = %self.node.name, writable = !recovering, "role changed");
            }
            self.node.sampled(lsn, !recovering, None, Instant::now());
            return (Evidence::Answered, None);
        }
        self.node.metrics.fenced.set(f64::from(u8::from(!recovering)));
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
        self.node.stood_by(self.began);
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
            Self::Postgres(_) | Self::Answer | Self::NotReplica | Self::Foreign { .. } => {
                Evidence::Refused
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Sample {
    recovering: bool,
    lsn: Lsn,
    system: u64,
    timeline: u32,
}

/// The monitor's own connection.
struct Link {
    client: Client,
    statement: Statement,
    driver: Driver,
    opened: Instant,
    epoch: u32,
}

impl Link {
    async fn new(dialer: &Dialer, epoch: u32) -> Result<Self, tokio_postgres::Error> {
        let Dialed { client, connection, .. } = dialer.open(Arc::default()).await?;
        // How the connection ended is told to whoever waits for an answer.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let statement = match client.prepare(PROBE).await {
            Ok(statement) => {
                // Rights are looked at when it runs.
                match client.query_one(&statement, &[]).await {
                    Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                        client.prepare(PLAIN_PROBE).await?
                    }
                    Err(error) => return Err(error),
                    Ok(_) => statement,
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Self { client, statement, driver, opened: Instant::now(), epoch })
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
/// written out, which is what a replica can reach. The timeline of a replica is that of
/// the log it receives, where that may be seen, or else of its last restart
/// point, which may be an older one and never a newer.
const PROBE: &str = "SELECT recovering, \
     CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END, \
     CASE WHEN recovering THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), \
         (SELECT received_tli FROM pg_stat_wal_receiver))::int8 \
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int8 END, \
     (SELECT system_identifier FROM pg_control_system()) \
     FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node";

/// For roles that may not read the control file, which all may by default.
const PLAIN_PROBE: &str = "SELECT recovering, \
     CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END, \
     0::int8, 0::int8 \
     FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node";

/// As long at the least.
const UNSEEN: Duration = Duration::from_secs(60);

/// The most often a node is probed, however many readers ask.
const SHORTEST_GAP: Duration = Duration::from_millis(2);
