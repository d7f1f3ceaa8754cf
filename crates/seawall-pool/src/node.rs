//! One server: its connections, and what is known about it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::config::TargetSessionAttrs;

use crate::checkout::Books;
use crate::config::NodeLimits;
use crate::dial::Dialer;
use crate::error::Error;
use crate::health::Verdict;
use crate::lanes::Lanes;
use crate::ledger::Ledger;
use crate::metrics::NodeMetrics;
use crate::route::{Intent, NodeView, Router};
use crate::sizing::Gauge;
use crate::slow::SlowLog;
use crate::status::{Borrow, NodeState, NodeStatus, ProbeError, Served};
use crate::{Lag, Lsn, NodeConfig, PoolConfig, Role, Token};

/// A server and the connections to it. Shared by the pool, the connections
/// that are out, and the tasks that look after the node.
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) tags: Box<[String]>,
    pub(crate) min_idle: usize,
    pub(crate) limits: NodeLimits,
    pub(crate) metrics: NodeMetrics,
    /// Who has which connection. Held for a few dozen nanoseconds at a time.
    pub(crate) books: Mutex<Books>,
    /// How its server is reached.
    pub(crate) dialer: Arc<Dialer>,
    /// Asks the monitor to probe now; also told by connections on which the server says that its
    /// role has changed.
    pub(crate) poke: Arc<Notify>,
    /// Asks for its name to be looked up now.
    pub(crate) doubt: Notify,
    /// Tells reads in flight that the node was declared down.
    pub(crate) went_down: Notify,
    /// Tells writes that wait for a connection that another node is the primary now.
    pub(crate) resigned: Notify,
    /// A connection came back, or was closed, while that is waited for.
    pub(crate) returned: Notify,
    /// A connection was opened.
    pub(crate) opened: Notify,
    /// Asks for the connections to be looked after now.
    pub(crate) tend: Notify,
    /// Somebody who waits for a connection has less time than others.
    pub(crate) alarm: Arc<Notify>,
    /// Connections that many reads share.
    pub(crate) lanes: Lanes,
    /// Statements that took long.
    pub(crate) slow: SlowLog,
    /// How much it is used.
    pub(crate) gauge: Gauge,
    /// Connections that are saying goodbye.
    pub(crate) closing: AtomicUsize,
    /// The pool's home; its end is the end of the tasks in it.
    runtime: Handle,
    /// Its number among the nodes.
    pub(crate) index: usize,
    weight: u32,
    /// Whether it is the one that takes writes, or did when it was last seen.
    primary: AtomicBool,
    router: Arc<Router>,
    role: Role,
    state: AtomicU8,
    writable: AtomicBool,
    /// A position the node had when last asked; zero if unknown. A hint: a
    /// node that crashed and came back may have less.
    replayed: AtomicU64,
    /// The cluster and timeline it was in when last asked; zero if unknown.
    system: AtomicU64,
    timeline: AtomicU32,
    reads: AtomicU64,
    writes: AtomicU64,
    /// Taken for every change of `state`, never to read it.
    detail: Mutex<Detail>,
}

#[derive(Default)]
struct Detail {
    failure: Option<(Instant, Arc<ProbeError>)>,
    /// Why the last connection could not be opened, until one is.
    connect_failure: Option<Arc<ProbeError>>,
    lag: Option<Lag>,
    /// When the monitor last had an answer, or none in time.
    probed: Option<Instant>,
    /// When it was last found down, and the question was sent that last found it a standby.
    down_at: Option<Instant>,
    /// When it was last found up, and was before it was last found down.
    up_at: Option<Instant>,
    up_before: Option<Instant>,
    stood_by: Option<Instant>,
    /// When it was first found to take writes since, as one that was not to.
    wrote_at: Option<Instant>,
    /// Counts failures seen by callers, so that a probe which began before one
    /// does not undo it.
    suspicions: u64,
}

impl Node {
    /// Reads the connection string; connects to nothing.
    pub(crate) fn new(
        index: usize,
        config: &NodeConfig,
        pool: &PoolConfig,
        router: &Arc<Router>,
    ) -> Result<Self, Error> {
        let primary = index == 0;
        let name: Arc<str> =
            if primary { "primary".into() } else { format!("replica-{index}").into() };
        let mut postgres: tokio_postgres::Config =
            config.url.parse().map_err(|source| Error::Url { node: name.clone(), source })?;
        let hosts = postgres.get_hosts().len().max(postgres.get_hostaddrs().len());
        if hosts != 1 {
            return Err(Error::Hosts { node: name, hosts });
        }
        if postgres.get_application_name().is_none() {
            postgres.application_name(env!("CARGO_PKG_NAME"));
        }
        notice_dead_peers(&mut postgres);
        // The monitor finds out about roles.
        postgres.target_session_attrs(TargetSessionAttrs::Any);
        let dedicated = !primary && config.role == Role::Analytics;
        let (min_idle, limits, books) = config.limits(pool, dedicated);
        Ok(Self {
            metrics: NodeMetrics::new(&pool.labels().and_node(&name)),
            lanes: Lanes::new(pool, &name),
            slow: SlowLog::new(&pool.slow_queries),
            gauge: Gauge::default(),
            name,
            tags: config.tags.clone().into(),
            min_idle,
            limits,
            books: Mutex::new(Ledger::new(books, Instant::now())),
            runtime: Handle::current(),
            dialer: Arc::new(Dialer::new(postgres, pool.resolver.clone(), pool.tls.clone())),
            poke: Arc::default(),
            doubt: Notify::new(),
            went_down: Notify::new(),
            resigned: Notify::new(),
            returned: Notify::new(),
            opened: Notify::new(),
            tend: Notify::new(),
            alarm: Arc::default(),
            closing: AtomicUsize::new(0),
            index,
            weight: config.weight,
            primary: AtomicBool::new(primary),
            router: Arc::clone(router),
            role: config.role,
            state: AtomicU8::new(SUSPECT),
            // Until a probe says otherwise.
            writable: AtomicBool::new(primary),
            replayed: AtomicU64::new(0),
            system: AtomicU64::new(0),
            timeline: AtomicU32::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            detail: Mutex::default(),
        })
    }

    /// Runs `task` in the background: on the caller's runtime, or on the pool's
    /// if there is none.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => drop(self.runtime.spawn(task)),
        }
    }

    /// Runs `task` on the pool's runtime: it serves callers of any.
    pub(crate) fn spawn_at_home(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    /// How many of `max_size` connections may serve analytics at a time.
    pub(crate) fn analytics_of(&self, max_size: usize) -> usize {
        self.limits.analytics_of(max_size)
    }

    /// Notes why a connection cannot be opened, or that one was.
    pub(crate) fn connect_failed(&self, failure: Option<Arc<ProbeError>>) {
        self.detail.lock().connect_failure = failure;
    }

    pub(crate) fn connect_failure(&self) -> Option<Arc<ProbeError>> {
        self.detail.lock().connect_failure.clone()
    }

    pub(crate) fn view(&self) -> NodeView {
        NodeView {
            primary: self.is_primary(),
            up: self.is_up(),
            writable: self.is_writable(),
            replayed: Lsn(self.replayed.load(Ordering::Acquire)),
            timeline: self.timeline(),
        }
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    /// The cluster it belongs to; zero if unknown.
    pub(crate) fn system(&self) -> u64 {
        self.system.load(Ordering::Acquire)
    }

    /// The timeline it follows; zero if unknown.
    pub(crate) fn timeline(&self) -> u32 {
        self.timeline.load(Ordering::Acquire)
    }

    /// What a probe found about the history that it is part of.
    pub(crate) fn identified(&self, system: u64, timeline: u32) {
        self.system.store(system, Ordering::Release);
        self.timeline.store(timeline, Ordering::Release);
    }

    /// A position of this node's history, as a token. `timeline` as read with the
    /// position, zero if it was not.
    pub(crate) fn token(&self, lsn: Lsn, timeline: u32) -> Token {
        let timeline = if timeline == 0 { self.timeline() } else { timeline };
        Token { system: self.system(), timeline, lsn }
    }

    /// Whether what it serves may be older than a commit that has returned.
    pub(crate) fn may_be_behind(&self) -> bool {
        !(self.is_primary() && self.is_writable())
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.primary.load(Ordering::Acquire)
    }

    /// Takes over as the primary.
    pub(crate) fn ascend(&self) {
        self.detail.lock().wrote_at = None;
        self.writable.store(true, Ordering::Release);
        self.primary.store(true, Ordering::Release);
        self.router.leaves(self.index, Instant::now());
    }

    /// Another node is the primary now. Connections that are out are closed when they
    /// come back.
    pub(crate) fn resign(self: &Arc<Self>) {
        self.primary.store(false, Ordering::Release);
        self.writable.store(false, Ordering::Release);
        self.resigned.notify_waiters();
        // Should it come back as a standby, it may serve reads.
        self.router.set_weight(self.index, self.weight, Instant::now());
        self.evict();
    }

    /// A statement or a login found it in recovery.
    pub(crate) fn found_recovering(&self) {
        self.writable.store(false, Ordering::Release);
        self.poke.notify_one();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state.load(Ordering::Acquire) == UP
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state.load(Ordering::Acquire) == DOWN
    }

    /// Whether nobody waits for a connection and less than this share of them is in use.
    pub(crate) fn is_idle(&self, share: f64) -> bool {
        let books = self.books.lock();
        let (counts, max) = (books.counts(), books.max());
        drop(books);
        let used = counts.lent + counts.cleaning + self.lanes.load();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let is_below = (used as f64) < max as f64 * share;
        is_below && counts.waiting == 0
    }

    pub(crate) fn lag(&self) -> Option<Lag> {
        self.detail.lock().lag
    }

    /// A caller met a broken connection: out of rotation until a probe that
    /// starts after this is answered.
    pub(crate) fn suspect(&self) {
        let mut detail = self.detail.lock();
        detail.suspicions += 1;
        if self.state.load(Ordering::Acquire) == UP {
            self.state.store(SUSPECT, Ordering::Release);
            self.metrics.up.set(0.0);
            drop(detail);
            self.poke.notify_one();
        }
    }

    /// To be handed to [`apply`](Self::apply) with the result of a probe that
    /// starts now.
    pub(crate) fn suspicions(&self) -> u64 {
        self.detail.lock().suspicions
    }

    /// A question that was sent then found it in recovery.
    pub(crate) fn stood_by(&self, asked: Instant) {
        let mut detail = self.detail.lock();
        detail.stood_by = Some(asked);
        detail.wrote_at = None;
    }

    /// It was found to take writes, and is not the primary.
    pub(crate) fn wrote(&self, now: Instant) {
        self.detail.lock().wrote_at.get_or_insert(now);
    }

    /// Whether `primary` was down, not longer than `within` ago, after this one was last known to be a
    /// standby, and was last up before this one was first seen to take writes, which can be sooner than an
    /// outage is certain: it may have been promoted for that.
    pub(crate) fn may_stand_in_for(&self, primary: &Self, within: Duration) -> bool {
        let Detail { stood_by: Some(stood_by), wrote_at, .. } = *self.detail.lock() else {
            return false;
        };
        let Detail { down_at: Some(down_at), up_before, .. } = *primary.detail.lock() else {
            return false;
        };
        // Never seen to write, or the other never up, counts for it.
        let wrote_before = wrote_at.is_some_and(|wrote| up_before.is_some_and(|up| up >= wrote));
        down_at > stood_by && !wrote_before && down_at.elapsed() <= within
    }

    /// A probe is over.
    pub(crate) fn probed(&self, now: Instant) {
        self.detail.lock().probed = Some(now);
    }

    /// Enters the verdict of a probe that began at `suspicions`. False if a
    /// caller met a failure since then, which outranks an older answer.
    pub(crate) fn apply(
        self: &Arc<Self>,
        verdict: Verdict,
        error: Option<ProbeError>,
        suspicions: u64,
    ) -> bool {
        let mut detail = self.detail.lock();
        let before = self.state.load(Ordering::Acquire);
        match verdict {
            Verdict::Up if detail.suspicions != suspicions => return false,
            Verdict::Up => {
                detail.failure = None;
                detail.up_at = Some(Instant::now());
                self.state.store(UP, Ordering::Release);
                if before != UP {
                    self.router.found(self.index, true, Instant::now());
                    self.metrics.up.set(1.0);
                    tracing::info!(node = %self.name, "node is up");
                }
            }
            Verdict::Suspect => self.leave(&mut detail, SUSPECT),
            Verdict::Down => {
                self.leave(&mut detail, DOWN);
                detail.down_at = Some(Instant::now());
                detail.up_before = detail.up_at;
                self.doubt.notify_one();
                let error = Arc::new(error.unwrap_or(ProbeError::Answer));
                let since = match &detail.failure {
                    Some((since, _)) => *since,
                    None => Instant::now(),
                };
                if before != DOWN {
                    self.router.found(self.index, false, Instant::now());
                    tracing::warn!(node = %self.name, %error, "node is down");
                }
                detail.failure = Some((since, error));
            }
        }
        drop(detail);
        if verdict == Verdict::Down && before != DOWN {
            self.went_down.notify_waiters();
            if !self.is_primary() {
                // Links that lived through a partition look sound and are not.
                // The primary keeps its own: it has no stand-in, and a stall
                // must not end in a storm of logins.
                self.evict();
            }
        }
        true
    }

    fn leave(&self, detail: &mut Detail, state: u8) {
        detail.lag = None;
        self.replayed.store(0, Ordering::Release);
        self.state.store(state, Ordering::Release);
        self.metrics.up.set(0.0);
    }

    /// What a probe found.
    pub(crate) fn sampled(&self, lsn: Lsn, writable: bool, lag: Option<Lag>, now: Instant) {
        self.writable.store(writable, Ordering::Release);
        self.replayed.store(lsn.0, Ordering::Release);
        self.detail.lock().lag = lag;
        self.router.tick(now);
        if let Some(lag) = lag {
            self.router.lags(self.index, lag, now);
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
            self.metrics.lag_bytes.set(lag.bytes as f64);
            self.metrics.lag_seconds.set(lag.time.as_secs_f64());
        }
    }

    /// A query found that the node has `lsn`, on `timeline` (zero: not told).
    pub(crate) fn seen_at(&self, lsn: Lsn, timeline: u32) {
        // It may have been promoted since the monitor asked.
        self.timeline.fetch_max(timeline, Ordering::AcqRel);
        self.replayed.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// A query found that the node has less than the hint said.
    pub(crate) fn only_at(&self, lsn: Lsn) {
        self.replayed.store(lsn.0, Ordering::Release);
    }

    pub(crate) fn served(&self, intent: Intent) {
        let count = if intent == Intent::Write { &self.writes } else { &self.reads };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let books = self.books.lock();
        let (counts, max_size, paused) = (books.counts(), books.max(), books.is_paused());
        let oldest = books.oldest_borrow();
        drop(books);
        let detail = self.detail.lock();
        let state = match (self.state.load(Ordering::Acquire), &detail.failure) {
            (UP, _) => NodeState::Up,
            (DOWN, Some((since, error))) => {
                NodeState::Down { since: *since, error: Arc::clone(error) }
            }
            _ => NodeState::Suspect,
        };
        let replayed = self.replayed.load(Ordering::Acquire);
        NodeStatus {
            name: Arc::clone(&self.name),
            primary: self.is_primary(),
            role: self.role,
            state,
            probed: detail.probed.map(|probed| probed.elapsed()),
            writable: self.is_writable(),
            standing: self.router.standing(self.index, Instant::now()),
            lag: detail.lag,
            replay_lsn: (replayed > 0).then_some(Lsn(replayed)),
            max_size,
            size: counts.open(),
            available: counts.idle,
            cleaning: counts.cleaning,
            connecting: counts.connecting,
            lanes: self.lanes.ready(),
            waiting: counts.waiting,
            paused,
            oldest_borrow: oldest.map(|borrow| Borrow { site: borrow.site, held: borrow.held }),
            served: Served {
                reads: self.reads.load(Ordering::Relaxed),
                writes: self.writes.load(Ordering::Relaxed),
            },
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Lets the kernel notice a peer that is gone, unless the connection string
/// says how.
fn notice_dead_peers(postgres: &mut tokio_postgres::Config) {
    if postgres.get_keepalives_interval().is_none() && postgres.get_keepalives_retries().is_none() {
        postgres
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
    }
    if postgres.get_tcp_user_timeout().is_none() {
        postgres.tcp_user_timeout(Duration::from_secs(15));
    }
}

const UP: u8 = 0;
const SUSPECT: u8 = 1;
const DOWN: u8 = 2;

#[cfg(test)]
mod tests;
