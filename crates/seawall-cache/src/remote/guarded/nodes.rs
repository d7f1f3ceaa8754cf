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
    /// What the call that opened the breaker was about: something to ask this node for.
    text: Mutex<Option<Box<str>>>,
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
                text: Mutex::new(None),
                open: gauge!("seawall_cache_breaker_open", &labels),
            }
        })
    }

    pub(super) fn status(&self, now: Instant) -> Vec<NodeStatus> {
        self.nodes.iter().map(|node| node.status(now)).collect()
    }

    pub(super) fn is_any_open(&self) -> bool {
        self.nodes.iter().any(Node::is_open)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_open())
    }
}

impl Node {
    /// Lets a call about `text` through, or not. `opened` is called if its end opens the breaker.
    pub(super) fn admit<'a, F: Fn()>(
        &'a self,
        text: &'a str,
        opened: F,
    ) -> Result<Attempt<'a, F>, RemoteError> {
        let admission = self.breaker.lock().admit();
        self.attempt(admission, text, opened).ok_or(RemoteError::BreakerOpen)
    }

    /// What to ask the node for to try it out.
    pub(super) fn text(&self) -> Option<Box<str>> {
        self.text.lock().clone()
    }

    /// Lets a call about `text` through that tries the node out, if it is time for one.
    pub(super) fn admit_probe<'a>(&'a self, text: &'a str) -> Option<Attempt<'a, fn()>> {
        let admission = self.breaker.lock().admit_probe(Instant::now());
        self.attempt(admission, text, || {})
    }

    fn attempt<'a, F: Fn()>(
        &'a self,
        admission: Admission,
        text: &'a str,
        opened: F,
    ) -> Option<Attempt<'a, F>> {
        let allowed = admission != Admission::Refused;
        let started = Instant::now();
        allowed.then(|| Attempt { node: self, admission, started, text, opened, told: false })
    }

    fn is_open(&self) -> bool {
        self.breaker.lock().is_open()
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

    fn announce(&self, change: Option<Change>, text: &str, opened: &impl Fn()) {
        let (remote, node) = (self.remote, self.index);
        match change {
            Some(Change::Opened) => {
                self.open.set(1.0);
                tracing::warn!(remote, node, "remote store out of reach, breaker opened");
                *self.text.lock() = Some(text.into());
                opened();
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
pub(super) struct Attempt<'a, F: Fn()> {
    node: &'a Node,
    admission: Admission,
    started: Instant,
    text: &'a str,
    opened: F,
    told: bool,
}

impl<F: Fn()> Attempt<'_, F> {
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
        self.ended(outcome, now);
    }

    fn ended(&self, outcome: Outcome, now: Instant) {
        let change = self.node.breaker.lock().ended(self.admission, outcome, now);
        self.node.announce(change, self.text, &self.opened);
    }
}

impl<F: Fn()> Drop for Attempt<'_, F> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let now = Instant::now();
        let slow = self.node.breaker.lock().is_slow(now - self.started);
        if slow {
            // Whoever gave up did so because there was no answer.
            self.ended(Outcome::Failed, now);
        } else {
            self.node.breaker.lock().abandoned(self.admission);
        }
    }
}
