//! The size of the pool: how much of it is used, setting it within bounds, and having it follow the load.

mod config;
mod control;
mod meter;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use config::SizingConfig;
pub use meter::Load;

use crate::Pool;
use crate::error::Error;
use crate::node::Node;
use control::State;
use meter::{Counted, Look, Meter};

/// How much of a pool is used, made by [`Pool::usage`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// The primary, then the replicas in the order of the configuration.
    pub nodes: Vec<NodeUsage>,
}

impl PoolUsage {
    /// The share of its connections that the busiest node has in use now, 0 to 1; 1 also if callers
    /// wait for one. The signal to scale by.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.nodes.iter().map(NodeUsage::utilisation).fold(0.0, f64::max)
    }
}

/// How much of a node's connections is used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeUsage {
    /// As in [`NodeStatus::name`](crate::NodeStatus::name).
    pub name: Arc<str>,
    /// The most connections that may be open.
    pub max_size: usize,
    /// Connections in use now, those being cleaned included.
    pub in_use: usize,
    /// Callers waiting now.
    pub waiting: usize,
    /// The load of the last full [`SizingConfig::window`]. `None` before the first is over.
    pub load: Option<Load>,
}

impl NodeUsage {
    /// The share of its connections in use now, 0 to 1; 1 if callers wait for one.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        if self.waiting > 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 10 000")]
        let share = self.in_use as f64 / self.max_size.max(1) as f64;
        share.min(1.0)
    }
}

impl Pool {
    /// How much of the pool is used. Takes a short lock per node.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        PoolUsage { nodes: self.nodes().iter().map(|node| node.usage()).collect() }
    }

    /// Sets the most connections to each node to `size`, or to the nearest within
    /// [`SizingConfig::min`] and [`SizingConfig::max`], and returns what it was set to. Otherwise as
    /// [`resize`](Self::resize). For an engine that scales the pool as it scales other things; where the
    /// pool follows its load by itself ([`SizingConfig::auto`]), it goes on from there.
    #[expect(clippy::must_use_candidate, reason = "it is done whether one looks or not")]
    pub fn scale_to(&self, size: usize) -> usize {
        let size = self.bounded(size);
        self.nodes()
            .iter()
            .filter(|node| node.max_size() != size)
            .for_each(|node| node.resize(size));
        size
    }

    /// As [`scale_to`](Self::scale_to), for one node.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownNode`]; nothing is changed.
    pub fn scale_node_to(&self, name: &str, size: usize) -> Result<usize, Error> {
        let size = self.bounded(size);
        let node = self.nodes().iter().find(|node| *node.name == *name);
        let node = node.ok_or_else(|| Error::UnknownNode { name: name.into() })?;
        if node.max_size() != size {
            node.resize(size);
        }
        Ok(size)
    }

    fn bounded(&self, size: usize) -> usize {
        let SizingConfig { min, max, .. } = self.config().sizing;
        size.clamp(min, max)
    }
}

/// What a node keeps of its load.
#[derive(Default)]
pub(crate) struct Gauge {
    /// Nanoseconds that callers who were served had waited.
    waited: AtomicU64,
    latest: Mutex<Option<Load>>,
}

impl Gauge {
    /// How long the next one would stand in line behind `waiting` others, with so many connections
    /// to come free, at the latest service time. Nothing if that is not known.
    pub(crate) fn expected_wait(&self, waiting: usize, connections: usize) -> Option<Duration> {
        let service = (*self.latest.lock())?.service_time?;
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        let turns = (waiting + 1) as f64 / connections.max(1) as f64;
        Duration::try_from_secs_f64(service.as_secs_f64() * turns).ok()
    }

    /// Somebody was served after waiting.
    pub(crate) fn waited(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Measures a node, and sets its size if it is told to. Belongs to the node's upkeep.
pub(crate) struct Sizer {
    config: SizingConfig,
    interval: Duration,
    next: Instant,
    meter: Meter,
    state: State,
}

impl Sizer {
    pub(crate) fn new(config: &SizingConfig, reap: Duration, now: Instant) -> Self {
        Self {
            config: config.clone(),
            interval: config.sample_interval(reap),
            next: now,
            meter: Meter::new(config.window, now),
            state: State::default(),
        }
    }

    /// Looks at the node if it is time to; returns when the next look is due.
    pub(crate) fn tend(&mut self, node: &Arc<Node>, now: Instant) -> Instant {
        if now < self.next {
            return self.next;
        }
        self.next = now + self.interval;
        let (look, idle) = node.look();
        let Some(load) = self.meter.look(look, now) else { return self.next };
        *node.gauge.latest.lock() = Some(load);
        node.metrics.utilisation.set(load.utilisation);
        // Of a node that nobody may use nothing is learned.
        if !self.config.auto || idle || !node.is_up() {
            return self.next;
        }
        if let Some(size) = control::decide(&self.config, &mut self.state, look.size, &load, now) {
            let grown = size > look.size;
            node.metrics.scaled(grown).increment(1);
            tracing::info!(
                node = %node.name,
                from = look.size,
                to = size,
                offered = load.offered(),
                "the size follows the load"
            );
            node.resize(size);
        }
        self.next
    }
}

impl Node {
    fn max_size(&self) -> usize {
        self.books.lock().max()
    }

    fn usage(&self) -> NodeUsage {
        let (look, _) = self.look();
        NodeUsage {
            name: Arc::clone(&self.name),
            max_size: look.size,
            in_use: look.in_use,
            waiting: look.waiting,
            load: *self.gauge.latest.lock(),
        }
    }

    /// And whether work is held back.
    fn look(&self) -> (Look, bool) {
        let books = self.books.lock();
        let (counts, (asked, lent)) = (books.counts(), books.flow());
        let (size, held_back) = (books.max(), books.is_draining());
        drop(books);
        let waited = Duration::from_nanos(self.gauge.waited.load(Ordering::Relaxed));
        let in_use = counts.lent + counts.cleaning;
        let counted = Counted { asked, lent, waited };
        (Look { counted, in_use, waiting: counts.waiting, size }, held_back)
    }
}
