//! Connections that many reads share: statements of different callers go down one
//! connection after another, without waiting for each other's answers.
//!
//! A lane is not lent. It takes statements through the extended protocol, one at a
//! time each, in sessions that are read-only; what may leave a trace in a session takes a
//! connection of its own. Answers come in the order of the statements, so a slow one
//! delays those behind it: a lane on which nothing ends for
//! [`max_hold`](LaneConfig::max_hold) is given up, and all that was on it runs on connections
//! of the pool. Nothing waits in line for a lane: without room there, a read runs as
//! any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::PoolConfig;
use crate::lease::Marks;
use crate::link::Link;
use crate::node::Node;

pub(crate) mod config;
mod keeper;
pub(crate) mod metrics;
mod seat;

use config::LaneConfig;
use metrics::LaneMetrics;
use seat::Seat;
pub(crate) use seat::{ride, run};

/// The shared connections to one node.
pub(crate) struct Lanes {
    config: LaneConfig,
    lifetime: Duration,
    idle: Duration,
    open: RwLock<Vec<Arc<Lane>>>,
    /// Lanes open, being opened or being closed.
    count: AtomicUsize,
    /// No lane is opened before, after one was given up.
    rests_until: parking_lot::Mutex<Option<Instant>>,
    /// Takes nothing until it is let go.
    held: AtomicBool,
    closed: AtomicBool,
    metrics: LaneMetrics,
}

/// One shared connection.
struct Lane {
    link: Link,
    /// Of no consequence here: a lane is not lent.
    marks: Marks,
    /// Statements under way, also those whose callers left.
    in_flight: AtomicUsize,
    state: AtomicU8,
    /// Whether its keeper waits to be woken by the next statement.
    asleep: AtomicBool,
    wake: Arc<Notify>,
    /// Taken to prepare, so that many who come with a new text prepare it once.
    preparing: Mutex<()>,
}

impl Lane {
    fn new(link: Link, wake: Arc<Notify>) -> Self {
        Self {
            link,
            marks: Marks::default(),
            in_flight: AtomicUsize::new(0),
            state: AtomicU8::new(OPEN),
            asleep: AtomicBool::new(false),
            wake,
            preparing: Mutex::new(()),
        }
    }

    /// Whether its session is as it was at its start.
    fn is_sound(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
            && self.link.wire.is_idle()
            && self.link.wire.traces().is_empty()
    }

    /// Whether it is to be closed and nobody is on it any more.
    fn is_left(&self) -> bool {
        self.state.load(Ordering::SeqCst) != OPEN && self.in_flight.load(Ordering::SeqCst) == 0
    }

    /// A statement is over.
    fn let_go(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.is_left() {
            // Its keeper need not watch to the end.
            self.wake.notify_one();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.state.load(Ordering::Acquire) == ABANDONED
    }
}

impl Lanes {
    pub(crate) fn new(pool: &PoolConfig, node: &str) -> Self {
        Self {
            config: pool.lanes.clone(),
            lifetime: pool.max_lifetime,
            idle: pool.idle_timeout,
            open: RwLock::default(),
            count: AtomicUsize::new(0),
            rests_until: parking_lot::Mutex::default(),
            held: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            metrics: LaneMetrics::new(&pool.labels().and_node(node)),
        }
    }

    /// A seat on the lane with the fewest statements under way, if one has room. Opens
    /// lanes that are missing.
    fn enter<'n>(&self, node: &'n Arc<Node>) -> Option<Seat<'n>> {
        if self.count.load(Ordering::Acquire) < self.config.lanes {
            self.open(node);
        }
        let open = self.open.read();
        if let Some(spoilt) = open.iter().find(|lane| !lane.is_sound()).map(Arc::clone) {
            drop(open);
            self.retire(&spoilt);
            return None;
        }
        let with_load = open.iter().map(|lane| (lane.in_flight.load(Ordering::Relaxed), lane));
        let (load, lane) = with_load.min_by_key(|(load, _)| *load)?;
        if load >= self.config.depth || self.held.load(Ordering::Acquire) {
            return None;
        }
        // Under the lock: a lane that was taken off the list takes no more.
        lane.in_flight.fetch_add(1, Ordering::SeqCst);
        let lane = Arc::clone(lane);
        drop(open);
        if lane.asleep.load(Ordering::SeqCst) {
            lane.wake.notify_one();
        }
        Some(Seat::new(node, lane))
    }

    fn open(&self, node: &Arc<Node>) {
        if self.rests_until.lock().is_some_and(|until| Instant::now() < until) {
            return;
        }
        let room = |count| (count < self.config.lanes).then_some(count + 1);
        while !self.is_closed()
            && !self.held.load(Ordering::Acquire)
            && self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
        {
            node.spawn_at_home(keeper::run(Counted(Arc::clone(node))));
        }
    }

    /// Puts a new lane on the list, unless there is to be none.
    fn add(&self, lane: Arc<Lane>) -> bool {
        let mut open = self.open.write();
        // Under the lock, so that one who closes finds it on the list.
        if self.is_closed() || self.held.load(Ordering::Acquire) {
            return false;
        }
        open.push(lane);
        self.count_open(&open);
        true
    }

    fn remove(&self, lane: &Lane) {
        let mut open = self.open.write();
        open.retain(|other| !std::ptr::eq(&**other, lane));
        self.count_open(&open);
    }

    /// Lets a lane go when its last statement is over.
    fn retire(&self, lane: &Lane) {
        lane.state.fetch_max(LEAVING, Ordering::SeqCst);
        lane.wake.notify_one();
        self.remove(lane);
    }

    /// Opens no lanes for a while: where many are held up, the server is slow as a whole,
    /// and is not to be asked for everything twice.
    fn rest(&self) {
        *self.rests_until.lock() = Some(Instant::now() + REST * self.config.max_hold);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
    fn count_open(&self, open: &[Arc<Lane>]) {
        self.metrics.open.set(open.len() as f64);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Replaces all lanes, gently.
    pub(crate) fn evict(&self) {
        let lanes: Vec<_> = self.open.read().clone();
        lanes.iter().for_each(|lane| self.retire(lane));
    }

    /// Takes nothing more, or goes on.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Release);
        if held {
            self.evict();
        }
    }

    /// Lets all lanes go for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.evict();
    }

    /// Lanes that take statements.
    pub(crate) fn ready(&self) -> usize {
        self.open.read().len()
    }

    /// Statements under way.
    pub(crate) fn load(&self) -> usize {
        self.open.read().iter().map(|lane| lane.in_flight.load(Ordering::Relaxed)).sum()
    }

    /// Lanes that are not closed yet, which a pause or a shutdown waits for.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

/// A lane that was counted, until it is closed or came to nothing.
struct Counted(Arc<Node>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lanes.count.fetch_sub(1, Ordering::AcqRel);
        self.0.returned.notify_waiters();
    }
}

/// How many times [`LaneConfig::max_hold`].
const REST: u32 = 10;

const OPEN: u8 = 0;
/// Takes nothing more, and ends with its last statement.
const LEAVING: u8 = 1;
/// Broken off: whoever is on it runs elsewhere.
const ABANDONED: u8 = 2;
