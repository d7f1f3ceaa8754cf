//! The pool: its nodes, and the tasks that look after them.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::checkout::{Ask, Patience};
use crate::dispatch::fallback::Fallback;
use crate::error::Error;
use crate::handle::Route;
use crate::hedge::Hedger;
use crate::ledger::Class;
use crate::monitor::{Board, Monitor};
use crate::node::Node;
use crate::route::{Choice, Intent, Replica, Request, Router};
use crate::status::{NodeList, PoolStatus};
use crate::{NodeConfig, PoolConfig, Token, names, upkeep};

/// A pool of connections to one primary and its replicas.
///
/// Cheap to clone; all clones are the same pool. When the last one is dropped
/// its tasks stop and idle connections close; [`shutdown`](Self::shutdown) also
/// waits for those in use.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

impl Pool {
    /// Connects to the primary, has a first look at every replica, and starts
    /// the tasks that watch the nodes and keep spare connections.
    ///
    /// Needs a tokio runtime with time and IO enabled; the tasks end with that
    /// runtime. A replica that does not answer is marked down and does not hold
    /// up the start for longer than [`PoolConfig::health_timeout`]. Should the configuration be older
    /// than a promotion, and its primary a standby by now, the replica that takes writes is the
    /// primary ([`PoolConfig::failover`]). Install the
    /// metrics recorder before: handles are registered here, once.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], [`Error::Url`], [`Error::Hosts`] for a bad
    /// configuration; [`Error::Connect`], [`Error::ConnectTimeout`] if the primary
    /// cannot be reached within [`PoolConfig::connect_timeout`].
    ///
    /// Cancel safety: dropped, it leaves nothing behind.
    pub async fn connect(config: PoolConfig) -> Result<Self, Error> {
        config.validate()?;
        let replica = |node: &NodeConfig| Replica { role: node.role, weight: node.weight };
        let replicas: Vec<_> = config.replicas.iter().map(replica).collect();
        let router = Arc::new(Router::named(
            config.name.as_deref(),
            &config.routing,
            &replicas,
            Instant::now(),
        )?);
        let configs = std::iter::once(&config.primary).chain(&config.replicas);
        let nodes: Vec<_> = configs
            .enumerate()
            .map(|(index, node)| Node::new(index, node, &config, &router).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let board = Arc::new(Board::new(nodes.clone(), &config));
        let monitor =
            |node: &Arc<Node>| Monitor::new(Arc::clone(node), Arc::clone(&board), &config);
        let mut monitors: Vec<_> = nodes.iter().map(monitor).collect();
        let limit = config.connect_timeout;
        let ask = Ask { class: Class::Interactive, site: None };
        let mut patience = Patience::new(limit);
        let first = nodes[0].acquire(ask, &mut patience);
        let looks = async {
            // The primary first: it says which cluster the replicas must be of.
            let mut monitors = monitors.iter_mut();
            if let Some(primary) = monitors.next() {
                primary.probe().await;
            }
            join_all(monitors.map(Monitor::probe)).await;
        };
        let (first, ()) = join(first, looks).await;
        drop(first?);
        board.begin();
        if config.failover && nodes[0].is_up() && !nodes[0].is_writable() {
            // The configuration may be older than a promotion. The newest first, should several
            // take writes; those that said nothing are not asked again.
            monitors.sort_by_key(|monitor| Reverse(monitor.timeline()));
            for monitor in monitors.iter_mut().filter(|monitor| monitor.timeline() > 0) {
                if !board.takes_writes() {
                    monitor.probe().await;
                }
            }
        }

        let hedger = Hedger::new(&config.hedge, &config.labels());
        let fallback = Fallback::new(config.routing.fallback_share, config.max_waiting);
        let config = Arc::new(config);
        let mut tasks = Vec::with_capacity(2 * nodes.len());
        for monitor in monitors {
            tasks.push(tokio::spawn(monitor.run()));
        }
        for node in &nodes {
            let interval = config.resolve_interval;
            if node.dialer.has_name() && !interval.is_zero() {
                let names = names::run(Arc::clone(node), interval, config.connect_timeout);
                tasks.push(tokio::spawn(names));
            }
            tasks.push(tokio::spawn(upkeep::run(Arc::clone(node), Arc::clone(&config))));
        }
        let inner = Inner {
            nodes: nodes.into(),
            config,
            board,
            router,
            hedger,
            fallback,
            #[cfg(feature = "classify")]
            auto: crate::classify::Auto::default(),
            tasks: Mutex::new(tasks),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// For reads that users wait for: a replica that is up and does not lag, as
    /// [`RoutingConfig`](crate::RoutingConfig) says; an analytics replica only if no other is up; else the primary.
    ///
    /// The statement must change nothing: it may be run again on another node.
    pub fn read(&self) -> Route<'_> {
        Route::new(&self.inner, Intent::Read)
    }

    /// For everything that changes data: the primary. Never run twice.
    pub fn write(&self) -> Route<'_> {
        Route::new(&self.inner, Intent::Write)
    }

    /// For heavy reads: a replica with [`Role::Analytics`](crate::Role::Analytics);
    /// else another replica; else the primary.
    ///
    /// The statement must change nothing: it may be run again on another node.
    pub fn analytics(&self) -> Route<'_> {
        Route::new(&self.inner, Intent::Analytics)
    }

    /// For code that does not say whether it reads or writes: the text of each statement
    /// says it. What is recognised as a read goes as with [`read`](Self::read), all else as with
    /// [`write`](Self::write); see [`classify`](crate::classify) for what is recognised.
    ///
    /// A statement that looks like a read and is refused by a standby as a write is
    /// run once on the primary, and from then on at once. One that runs on the primary
    /// is held for a write whatever it looks like: it is not repeated if its answer is
    /// lost. The first call asks the catalogue which functions are volatile.
    #[cfg(feature = "classify")]
    pub fn auto(&self) -> Route<'_> {
        Route::auto(&self.inner)
    }

    /// A token of everything that had been committed when this was called, for
    /// [`Route::after`]: what the primary's monitor finds next. Takes no
    /// connection, and callers at the same time share one probe, so it costs the
    /// server next to nothing; it takes one round trip and up to 2 ms.
    ///
    /// A transaction that was committed with `synchronous_commit = off` may not be
    /// covered; for it use [`Conn::token`](crate::Conn::token).
    ///
    /// # Errors
    ///
    /// [`Error::NotWritable`] if the primary is in recovery or gives no answer within
    /// two probes.
    pub async fn token(&self) -> Result<Token, Error> {
        let since = Instant::now();
        let inner = &*self.inner;
        let deadline = since + 2 * (inner.config.health_timeout + inner.config.health_interval);
        let primary = inner.primary();
        primary.poke.notify_one();
        loop {
            let progress = inner.board.progress.notified();
            if let Some(token) = inner.board.primary_since(since) {
                return Ok(token);
            }
            if timeout_at(deadline, progress).await.is_err() {
                return Err(Error::NotWritable { node: Arc::clone(&primary.name) });
            }
        }
    }

    /// What is known about the nodes now. Takes a short lock per node.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let buffered_writes = self.inner.board.buffer.waiting();
        PoolStatus { nodes: self.inner.statuses().0, buffered_writes }
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.inner.nodes
    }

    pub(crate) fn router(&self) -> &Router {
        &self.inner.router
    }

    pub(crate) fn config(&self) -> &PoolConfig {
        &self.inner.config
    }

    pub(crate) fn fallback(&self) -> &Fallback {
        &self.inner.fallback
    }

    pub(crate) fn board(&self) -> &Board {
        &self.inner.board
    }

    pub(crate) fn take_tasks(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.inner.tasks.lock())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("nodes", &self.inner.nodes).finish_non_exhaustive()
    }
}

/// What all clones of a pool share.
pub(crate) struct Inner {
    /// The primary first.
    pub(crate) nodes: Box<[Arc<Node>]>,
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) board: Arc<Board>,
    pub(crate) router: Arc<Router>,
    pub(crate) hedger: Hedger,
    pub(crate) fallback: Fallback,
    #[cfg(feature = "classify")]
    pub(crate) auto: crate::classify::Auto,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    pub(crate) fn choose(&self, request: &Request) -> Option<Choice> {
        let view = |node: usize| self.nodes[node].view();
        if request.intent == Intent::Write || self.router.is_trivial() {
            return self.router.primary(view, request);
        }
        self.router.choose(view, request, Instant::now())
    }

    /// The primary, if it may serve `request`.
    pub(crate) fn on_primary(&self, request: &Request) -> Option<Choice> {
        self.router.primary(|node| self.nodes[node].view(), request)
    }

    /// Whether a replica would serve `request`.
    pub(crate) fn has_replica(&self, request: &Request) -> bool {
        let view = |node: usize| self.nodes[node].view();
        !self.router.is_trivial() && self.router.has_replica(view, request, Instant::now())
    }

    /// The node that takes writes, or took them last.
    pub(crate) fn primary(&self) -> &Arc<Node> {
        self.nodes.iter().find(|node| node.is_primary()).unwrap_or(&self.nodes[0])
    }

    /// Has every node looked at now.
    pub(crate) fn look(&self) {
        self.board.look();
    }

    /// All replicas: bit `i` for node `i`.
    pub(crate) fn replicas(&self) -> u64 {
        let replicas = self.nodes.iter().enumerate().filter(|(_, node)| !node.is_primary());
        replicas.fold(0, |all, (index, _)| all | 1 << index)
    }

    /// All nodes but the replicas of the same role: bit `i` for node `i`.
    pub(crate) fn unlike(&self, replica: &Node) -> u64 {
        let like = |node: &Node| !node.is_primary() && node.role() == replica.role();
        let others = self.nodes.iter().enumerate().filter(|(_, node)| !like(node));
        others.fold(0, |all, (index, _)| all | 1 << index)
    }

    /// Fails if `token` is of another cluster. The cluster of the pool; zero if unknown.
    pub(crate) fn check_cluster(&self, token: Token) -> Result<u64, Error> {
        let system = self.board.system();
        if token.system != 0 && system != 0 && token.system != system {
            return Err(Error::ForeignToken { token, system });
        }
        Ok(system)
    }

    /// The nodes that may not serve a read after `token`, whatever their position: bit `i` for
    /// node `i`.
    pub(crate) fn ruled_out_by(&self, token: Token) -> Result<u64, Error> {
        let (system, timeline) = (self.check_cluster(token)?, self.board.timeline());
        if token.timeline == 0 || timeline == 0 || token.timeline == timeline {
            return Ok(0);
        }
        if token.timeline < timeline {
            // It survived or not, which no position tells: only the primary is sure to have it.
            return Ok(self.replicas());
        }
        // A statement met a promotion before the monitors did: only nodes that are known to have
        // followed it, and not the primary there was.
        self.look();
        let followed = |node: &Node| node.timeline() == token.timeline && node.system() == system;
        let nodes = self.nodes.iter().enumerate();
        let ruled_out = nodes.filter(|(_, node)| !followed(node));
        let (mut mask, mut count) = (0, 0);
        for (index, _) in ruled_out {
            (mask, count) = (mask | 1 << index, count + 1);
        }
        if count == self.nodes.len() {
            return Err(Error::UnknownTimeline { token, timeline });
        }
        Ok(mask)
    }

    /// The replicas that do not have `tag`: bit `i` for node `i`.
    pub(crate) fn without_tag(&self, tag: &str) -> Result<u64, Error> {
        let has = |node: &Node| node.tags.iter().any(|other| other == tag);
        let replicas = self.nodes.iter().enumerate().filter(|(_, node)| !node.is_primary());
        let (mut without, mut found) = (0, false);
        for (index, node) in replicas {
            if has(node) {
                found = true;
            } else {
                without |= 1 << index;
            }
        }
        if found { Ok(without) } else { Err(Error::UnknownTag { tag: tag.into() }) }
    }

    pub(crate) fn statuses(&self) -> NodeList {
        NodeList(self.nodes.iter().map(|node| node.status()).collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.get_mut().iter().for_each(JoinHandle::abort);
        self.nodes.iter().for_each(Node::close);
    }
}
