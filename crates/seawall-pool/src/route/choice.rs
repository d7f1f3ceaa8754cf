//! What was chosen, and how the call then turned out.

use std::fmt;
use std::time::Duration;

use seawall_balance::Pick;
use tokio::time::Instant;

use super::Verdict;

/// A node that was chosen.
#[derive(Debug)]
#[must_use = "a choice that is dropped counts as a cancelled call"]
pub struct Choice {
    /// Its number.
    pub node: usize,
    /// Of a replica: how it will turn out is of interest.
    picked: Option<Picked>,
    full: bool,
}

/// A replica that was picked, until the call has ended.
#[derive(Debug)]
struct Picked {
    pick: Pick<Seat>,
    since: Instant,
}

impl Choice {
    /// The primary, which is not one of several.
    pub(super) fn primary(node: usize) -> Self {
        Self { node, picked: None, full: false }
    }

    pub(super) fn of(pick: Pick<Seat>, since: Instant, full: bool) -> Self {
        Self { node: pick.id().node(), picked: Some(Picked { pick, since }), full }
    }

    /// Whether it is one of the replicas.
    pub(super) fn is_replica(&self) -> bool {
        self.picked.is_some()
    }

    /// Whether it is a replica that rests because its connections were used up a moment ago,
    /// and every other that would serve does too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// When it was chosen; nothing for the primary.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.picked.as_ref().map(|picked| picked.since)
    }

    /// The call ended so, after the node had worked on it for `took`.
    pub fn finish(self, verdict: Verdict, took: Duration) {
        if let Some(Picked { pick, since }) = self.picked {
            pick.finish(verdict, since + took);
        }
    }

    /// The caller gave the node up after `took`.
    pub fn cancel(self, took: Duration) {
        if let Some(Picked { pick, since }) = self.picked {
            pick.cancel(since + took);
        }
    }

    /// The call ended in a way that says nothing about the node.
    pub fn release(self) {
        if let Some(Picked { pick, .. }) = self.picked {
            pick.release();
        }
    }
}

/// A node, as balancers know it; they show it as the pool names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seat(pub(super) u8);

impl Seat {
    pub(super) fn node(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("primary"),
            replica => write!(f, "replica-{replica}"),
        }
    }
}
