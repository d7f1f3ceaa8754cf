//! One active probe, from due to done.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::node::Node;
use crate::shared::Shared;

/// Leave to probe a node; as long as it lives the node has no other probe, not even one that is
/// removed and comes back.
///
/// Dropped without a result it says nothing about the node, whose probe is then
/// due again at once.
#[must_use = "a probe that is dropped is due again at once"]
pub struct Probe<N: fmt::Debug> {
    node: Arc<Node<N>>,
    number: u64,
    shared: Arc<Shared<N>>,
    open: bool,
}

impl<N: fmt::Debug> Probe<N> {
    pub(crate) fn new((node, number): (Arc<Node<N>>, u64), shared: Arc<Shared<N>>) -> Self {
        Self { node, number, shared, open: true }
    }

    /// Whom to probe.
    #[must_use]
    pub fn id(&self) -> &N {
        &self.node.id
    }

    /// Tells the result; it counts for nothing if the node was removed meanwhile.
    pub fn finish(mut self, good: bool, now: Instant) {
        self.open = false;
        let stats = &self.node.common.stats;
        let counter = if good { &stats.probes_good } else { &stats.probes_bad };
        counter.increment(1);
        let now = self.node.common.clock.nanos(now);
        self.end(Some(good), now);
    }

    fn end(&self, result: Option<bool>, now: u64) {
        self.shared.control.lock().probed(&self.shared, self.number, result, now);
        self.shared.changed.notify_one();
    }
}

impl<N: fmt::Debug> Drop for Probe<N> {
    fn drop(&mut self) {
        if self.open {
            self.end(None, 0);
        }
    }
}

impl<N: fmt::Debug> fmt::Debug for Probe<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("id", &self.node.id).finish_non_exhaustive()
    }
}
