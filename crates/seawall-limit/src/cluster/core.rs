//! What all generations of a cluster-wide limiter share: the ways to Redis, the nodes, the orders.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use seawall_redis::within;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::ClusterConfig;
use super::desk::Desk;
use super::error::ClusterError;
use super::law::micros;
use super::shared::Shared;
use super::stats::Stats;
use super::subject::Subject;

/// See the module.
pub(crate) struct Core {
    pub(crate) config: ClusterConfig,
    /// The name that this node beats under: of a limiter, its clones and its successors.
    pub(crate) id: String,
    pub(crate) desk: Arc<Desk>,
    pub(crate) nodes: AtomicU32,
    pub(crate) blocks: RwLock<HashMap<Subject, u64>>,
    pub(crate) wake: Notify,
    pub(crate) stats: Arc<Stats>,
    pub(crate) start: Instant,
    generations: Mutex<Vec<Weak<Shared>>>,
    /// Whether nobody beats any more.
    pub(crate) ended: AtomicBool,
}

impl Core {
    pub(crate) fn new(config: ClusterConfig, desk: Desk, stats: Arc<Stats>) -> Self {
        Self {
            id: format!("{:032x}", rand::random::<u128>()),
            desk: Arc::new(desk),
            nodes: AtomicU32::new(config.nodes.unwrap_or(1)),
            blocks: RwLock::new(HashMap::new()),
            wake: Notify::new(),
            stats,
            start: Instant::now(),
            generations: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
            config,
        }
    }

    /// Those that decide, or have something to settle.
    pub(crate) fn generations(&self) -> Vec<Arc<Shared>> {
        let mut all = self.generations.lock();
        all.retain(|one| one.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn add(&self, generation: &Arc<Shared>) {
        self.generations.lock().push(Arc::downgrade(generation));
    }

    pub(crate) fn now(&self) -> u64 {
        self.micros(Instant::now())
    }

    pub(crate) fn micros(&self, now: Instant) -> u64 {
        // From 1 on: 0 is "never" in places.
        micros(now.saturating_duration_since(self.start)).saturating_add(1)
    }

    pub(crate) fn live_nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed).max(1)
    }

    pub(crate) fn blocked_until(&self, subject: Subject) -> u64 {
        self.blocks.read().get(&subject).copied().unwrap_or(0)
    }

    /// An answer of Redis outside of decisions, within the deadline.
    pub(crate) async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, fred::error::Error>>,
    ) -> Result<T, ClusterError> {
        let after = self.config.deadline;
        match within(after, answer).await {
            Some(answer) => answer.map_err(|error| ClusterError::Redis(Box::new(error))),
            None => Err(ClusterError::Timeout { after }),
        }
    }
}
