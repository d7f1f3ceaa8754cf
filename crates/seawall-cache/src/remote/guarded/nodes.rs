//! A breaker for each node.

use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::{Admission, Breaker, Change, Outcome, Rules};
use crate::remote::RemoteError;
use crate::remote::per_node::PerNode;

/// The breakers of a remote, by node.
#[derive(Debug)]
pub(super) struct Nodes {
    remote: &'static str,
    rules: Rules,
    nodes: PerNode<Node>,
}

/// What became of the last calls to a node of a remote.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The node's number: see [`Remote::node`](crate::Remote::node).
    pub node: u32,
    /// Whether its breaker is open (or half open), so that it is not asked.
    pub breaker_open: bool,
    /// Calls in the window, since the breaker closed.
    pub calls: u32,
    /// The part of them that failed, 0 to 1.
    pub error_ratio: f64,
    /// The part of them that was slow, 0 to 1.
    pub slow_ratio: f64,
}

#[derive(Debug)]
pub(super) struct Node {
    index: u32,
    remote: &'static str,
    breaker: Mutex<Breaker>,
    open: Gauge,
}

impl Nodes {
    pub(super) fn new(remote: &'static str, rules: Rules) -> Self {
        let nodes = Self { remote, rules, nodes: PerNode::new() };
        // Every remote has one: it shows before the first call.
        nodes.get(0);
        nodes
    }

    pub(super) fn get(&self, node: u32) -> &Node {
        self.nodes.get(node, |index| {
            let labels = [("remote", self.remote.to_owned()), ("node", index.to_string())];
            Node {
                index,
                remote: self.remote,
                breaker: Mutex::new(Breaker::new(self.rules, Instant::now())),
                open: gauge!("seawall_cache_breaker_open", &labels),
            }
        })
    }

    pub(super) fn status(&self, now: Instant) -> Vec<NodeStatus> {
        self.nodes.iter().map(|node| node.status(now)).collect()
    }

    pub(super) fn is_any_open(&self) -> bool {
        self.nodes.iter().any(|node| node.breaker.lock().is_open())
    }
}

impl Node {
    /// Lets a call through, or not.
    pub(super) fn admit(&self) -> Result<Attempt<'_>, RemoteError> {
        let started = Instant::now();
        let admission = self.breaker.lock().admit(started);
        if admission == Admission::Refused {
            return Err(RemoteError::BreakerOpen);
        }
        Ok(Attempt { node: self, admission, started, told: false })
    }

    fn status(&self, now: Instant) -> NodeStatus {
        let mut breaker = self.breaker.lock();
        let counts = breaker.counts(now);
        NodeStatus {
            node: self.index,
            breaker_open: breaker.is_open(),
            calls: counts.calls,
            error_ratio: counts.error_ratio(),
            slow_ratio: counts.slow_ratio(),
        }
    }

    fn announce(&self, change: Option<Change>) {
        let (remote, node) = (self.remote, self.index);
        match change {
            Some(Change::Opened) => {
                self.open.set(1.0);
                tracing::warn!(remote, node, "remote store out of reach, breaker opened");
            }
            Some(Change::Closed) => {
                self.open.set(0.0);
                tracing::info!(remote, node, "remote store in reach again, breaker closed");
            }
            None => {}
        }
    }
}

/// Tells the breaker how a call ended, also when it is dropped half-way.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    node: &'a Node,
    admission: Admission,
    started: Instant,
    told: bool,
}

impl Attempt<'_> {
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The call ended, with this error if with one.
    pub(super) fn tell(mut self, error: Option<&RemoteError>) {
        self.told = true;
        let now = Instant::now();
        let outcome = if error.is_some_and(RemoteError::is_outage) {
            Outcome::Failed
        } else {
            Outcome::Answered(now - self.started)
        };
        let change = self.node.breaker.lock().ended(self.admission, outcome, now);
        self.node.announce(change);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let now = Instant::now();
        let mut breaker = self.node.breaker.lock();
        if breaker.is_slow(now - self.started) {
            // Whoever gave up did so because there was no answer.
            let change = breaker.ended(self.admission, Outcome::Failed, now);
            drop(breaker);
            self.node.announce(change);
        } else {
            breaker.abandoned(self.admission);
        }
    }
}
