//! A node that was picked, until its request has ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::hash::hash_key;
use crate::node::Node;

/// What the caller knows of the request. The default knows nothing.
pub struct PickOptions<'a, N> {
    pub(crate) key: Option<u64>,
    pub(crate) filter: Option<&'a dyn Fn(&N) -> bool>,
}

impl<'a, N> PickOptions<'a, N> {
    /// Any node.
    #[must_use]
    pub const fn new() -> Self {
        Self { key: None, filter: None }
    }

    /// For policies that send equal keys to equal nodes; others do not look at
    /// it. Without a key such policies pick by chance.
    #[must_use]
    pub fn key<K: std::hash::Hash + ?Sized>(self, key: &K) -> Self {
        self.key_hash(hash_key(key))
    }

    /// The same for a key that was hashed before. Any 64 bits will do; they need
    /// not be well mixed.
    #[must_use]
    pub const fn key_hash(mut self, hash: u64) -> Self {
        self.key = Some(hash);
        self
    }

    /// Only nodes for which `filter` holds, such as those not tried yet. It is
    /// asked for each node that is considered, at most some times over, perhaps
    /// under a lock of the policy: it must not pick.
    #[must_use]
    pub const fn filter(mut self, filter: &'a dyn Fn(&N) -> bool) -> Self {
        self.filter = Some(filter);
        self
    }
}

impl<N> Default for PickOptions<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N> fmt::Debug for PickOptions<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PickOptions")
            .field("key", &self.key)
            .field("filter", &self.filter.is_some())
            .finish()
    }
}

/// How a request ended, as far as it says something about the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The node answered; also if it said that the request was wrong.
    Success,
    /// The node failed: a refused or broken connection, a timeout, a 5xx.
    Failure,
    /// The node is well and full. It rests for this time, or by default for
    /// [`saturated_for`](crate::BalanceConfig::saturated_for); nothing counts as failed.
    Saturated(Option<Duration>),
}

/// A node picked for one request; tell how it ended with [`finish`](Self::finish).
///
/// Until then the request counts as outstanding. Dropped, it was cancelled: that
/// is no failure and no success of the node. A pick may outlive its balancer.
#[must_use = "a pick that is dropped counts as cancelled at once"]
pub struct Pick<N> {
    node: Arc<Node<N>>,
    began: u64,
    open: bool,
}

impl<N> Pick<N> {
    #[inline]
    pub(crate) fn begin(node: &Arc<Node<N>>, now: u64) -> Self {
        node.begin(now);
        Self { node: Arc::clone(node), began: now, open: true }
    }

    /// The node.
    #[must_use]
    pub fn id(&self) -> &N {
        &self.node.id
    }

    /// The request ended. Takes no lock, except the balancer's for a saturated one
    /// and for the last of every so many failures in a row.
    pub fn finish(mut self, outcome: Outcome, now: Instant)
    where
        N: fmt::Debug,
    {
        let (now, seconds) = self.end(now);
        let common = &self.node.common;
        match outcome {
            Outcome::Success => {
                common.stats.successes.increment(1);
                self.node.meter.success(seconds, now, common.settings.per_decay);
            }
            Outcome::Failure => {
                common.stats.failures.increment(1);
                let row = self.node.meter.failure(seconds, now, common.settings.per_decay);
                let limit = common.consecutive_failures;
                if limit > 0
                    && row.is_multiple_of(limit)
                    && let Some(shared) = self.node.shared.upgrade()
                {
                    shared.struck(&self.node, now);
                }
            }
            Outcome::Saturated(pause) => {
                common.stats.saturations.increment(1);
                if let Some(shared) = self.node.shared.upgrade() {
                    shared.saturated(&self.node, pause, now);
                }
            }
        }
    }

    /// The caller stopped waiting. As a drop, and if the wait was longer than the
    /// node's latency, the node is taken to be as slow as that.
    pub fn cancel(mut self, now: Instant) {
        let (now, seconds) = self.end(now);
        self.node.common.stats.cancellations.increment(1);
        self.node.meter.waited(seconds, now, self.node.common.settings.per_decay);
    }

    /// The request ended in a way that says nothing about the node. As a drop, and
    /// not counted as cancelled.
    pub fn release(mut self) {
        self.open = false;
        self.node.end(self.began);
    }

    #[inline]
    fn end(&mut self, now: Instant) -> (u64, f32) {
        self.open = false;
        self.node.end(self.began);
        let now = self.node.common.clock.nanos(now);
        (now, now.saturating_sub(self.began) as f32 * 1e-9)
    }
}

impl<N> Drop for Pick<N> {
    fn drop(&mut self) {
        if self.open {
            self.node.end(self.began);
            self.node.common.stats.cancellations.increment(1);
        }
    }
}

impl<N: fmt::Debug> fmt::Debug for Pick<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick").field("id", &self.node.id).finish_non_exhaustive()
    }
}
