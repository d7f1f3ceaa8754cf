//! Where a statement goes: a pure function of what is known about the nodes.
//!
//! [`choose`] is the whole decision. The pool calls it with views made from
//! atomics, tests and the example call it with views made by hand.
//!
//! | intent | first | then | last |
//! |---|---|---|---|
//! | [`Intent::Write`] | the primary, if writable | - | - |
//! | [`Intent::Read`] | a general replica that is up | an analytics replica, if no general replica is up | the primary |
//! | [`Intent::Analytics`] | an analytics replica that is up | a general replica that is up | the primary |
//!
//! With `after`, a replica counts only if it has replayed that position. The
//! primary is the last resort even while it is thought to be down: the
//! evidence may be old, and there is nothing left to lose.

use crate::{Lsn, Role};

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intent {
    /// A read that users wait for.
    Read,
    /// Anything that changes data.
    Write,
    /// A heavy read, kept away from the replicas that serve users.
    Analytics,
}

impl Intent {
    /// The lower-case name, as metrics and errors use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Analytics => "analytics",
        }
    }
}

/// What the choice needs to know about one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Whether this is the primary of the configuration.
    pub primary: bool,
    /// What a replica is for. Ignored for the primary.
    pub role: Role,
    /// Share among the replicas of one tier. Zero gets nothing.
    pub weight: u32,
    /// Whether the last evidence says that the node answers.
    pub up: bool,
    /// Whether the node takes writes. Only looked at for the primary, where
    /// false means that it was found in recovery.
    pub writable: bool,
    /// A position the node is known to have replayed. Ignored for a writable
    /// primary.
    pub replayed: Lsn,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the statement is for.
    pub intent: Intent,
    /// Serve only from a node that has this position.
    pub after: Option<Lsn>,
    /// Nodes that already failed this call: bit `i` for node `i`.
    pub excluded: u64,
}

impl Request {
    /// A request without a position, with nothing excluded.
    #[must_use]
    pub const fn new(intent: Intent) -> Self {
        Self { intent, after: None, excluded: 0 }
    }

    /// The same request, for nodes that have `lsn` only.
    #[must_use]
    pub const fn after(mut self, lsn: Lsn) -> Self {
        self.after = Some(lsn);
        self
    }

    fn allows(&self, node: usize) -> bool {
        node < MAX_NODES && self.excluded & (1 << node) == 0
    }

    fn satisfied_by(&self, node: &NodeView) -> bool {
        (node.primary && node.writable) || self.after.is_none_or(|lsn| node.replayed >= lsn)
    }
}

/// The most nodes a pool can have, the primary included.
pub const MAX_NODES: usize = 64;

/// Chooses the node for `request`, or `None` if no node may serve it.
///
/// `ticket` numbers the calls: consecutive tickets spread over the nodes of the
/// winning tier in the ratio of their weights. Nodes past [`MAX_NODES`] are not
/// looked at. Cost: one pass, no allocation, no lock.
///
/// The spread is a Weyl sequence with the golden ratio as its step: stateless,
/// evenly interleaved, and still even when nodes come and go between two calls.
#[must_use]
pub fn choose(nodes: &[NodeView], request: Request, ticket: u64) -> Option<usize> {
    choose_among(nodes.len(), |node| nodes[node], request, ticket)
}

/// [`choose`] over views that are made when asked for.
pub(crate) fn choose_among(
    count: usize,
    view: impl Fn(usize) -> NodeView,
    request: Request,
    ticket: u64,
) -> Option<usize> {
    let mut general = Tier::default();
    let mut analytics = Tier::default();
    let mut general_up = false;
    let mut primary = None;
    for index in 0..count.min(MAX_NODES) {
        let node = view(index);
        if node.primary {
            let fit = match request.intent {
                Intent::Write => node.writable,
                Intent::Read | Intent::Analytics => request.satisfied_by(&node),
            };
            if fit && request.allows(index) {
                primary = Some(index);
            }
            continue;
        }
        general_up |= node.up && node.role == Role::General;
        if node.up && request.allows(index) && request.satisfied_by(&node) {
            match node.role {
                Role::General => general.add(index, node.weight),
                Role::Analytics => analytics.add(index, node.weight),
            }
        }
    }
    let weight = |index: usize| view(index).weight;
    let replica = match request.intent {
        Intent::Write => None,
        Intent::Read if general_up => general.pick(ticket, weight),
        Intent::Read => analytics.pick(ticket, weight),
        Intent::Analytics => {
            analytics.pick(ticket, weight).or_else(|| general.pick(ticket, weight))
        }
    };
    replica.or(primary)
}

/// Nodes of equal rank: bit `i` for node `i`, and their weights together.
#[derive(Default)]
struct Tier {
    members: u64,
    total: u64,
}

impl Tier {
    fn add(&mut self, index: usize, weight: u32) {
        if weight > 0 {
            self.members |= 1 << index;
            self.total += u64::from(weight);
        }
    }

    /// `weight` is to say what it said before.
    fn pick(&self, ticket: u64, weight: impl Fn(usize) -> u32) -> Option<usize> {
        let mut slot = spread(ticket, self.total);
        let mut members = self.members;
        while members != 0 {
            let index = members.trailing_zeros() as usize;
            let weight = u64::from(weight(index));
            if slot < weight {
                return Some(index);
            }
            slot -= weight;
            members &= members - 1;
        }
        None
    }
}

/// Maps a ticket to `0..total`, evenly over any run of tickets.
fn spread(ticket: u64, total: u64) -> u64 {
    let turn = u128::from(ticket.wrapping_mul(GOLDEN_RATIO));
    u64::try_from((turn * u128::from(total)) >> 64).unwrap_or(0)
}

/// 2^64 divided by the golden ratio, rounded to odd.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests;
