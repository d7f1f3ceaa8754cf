//! What this node knows of how well it is told of changes elsewhere.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::clock::Tick;

/// The epoch of a cache, the links to its L2's nodes, and the bound on staleness.
///
/// The epoch moves whenever something happened that may concern many entries. An entry that was
/// validated at the present epoch needs no other look; one from before is judged anew, once. Who
/// causes a move first writes down what happened and then moves the epoch, under one lock, so that
/// who sees the epoch also sees the cause.
///
/// Epochs are odd. An entry validated at an even number `e - 1` has L2's word as of epoch `e`, but
/// its marks have not been compared since: it is judged at its next read.
#[derive(Debug)]
pub(crate) struct Coherence {
    hot: Hot,
    proved: AtomicU64,
    max_staleness: Option<Duration>,
    mode: AtomicU8,
    links: RwLock<Links>,
}

/// What every hit reads, on a cache line that is seldom written.
#[derive(Debug)]
#[repr(align(64))]
struct Hot {
    epoch: AtomicU64,
    /// Past this, hits are checked.
    trusted_until: AtomicU64,
}

#[derive(Debug, Default)]
struct Links {
    /// The epoch at which messages of any node may have been missed.
    all_lost: u64,
    nodes: Vec<Link>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    up: bool,
    lost: u64,
}

/// Who tells this node of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// There is no L2: L1 knows everything.
    Alone,
    /// Nobody: what L1 has is right for its L1 TTL.
    Timed,
    /// L2, over a link per node.
    Watched,
}

/// What is known of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeState {
    /// The link is up, or none is needed.
    pub(super) up: bool,
    /// The last epoch at which its messages may have been missed; 0: never.
    pub(super) lost: u64,
}

impl NodeState {
    /// Whether what was right at epoch `validated` may have changed untold.
    pub(super) fn missed_since(self, validated: u64) -> bool {
        (validated | 1) < self.lost
    }
}

impl Coherence {
    pub(super) fn new(mode: Mode, max_staleness: Option<Duration>) -> Self {
        let coherence = Self {
            hot: Hot { epoch: AtomicU64::new(1), trusted_until: AtomicU64::new(0) },
            proved: AtomicU64::new(0),
            max_staleness,
            mode: AtomicU8::new(mode as u8),
            links: RwLock::default(),
        };
        coherence.set_trust();
        coherence
    }

    /// The present epoch. Captured before L2 is asked, it says since when the answer may be wrong.
    pub(crate) fn epoch(&self) -> u64 {
        self.hot.epoch.load(Ordering::Acquire)
    }

    /// Moves the epoch. To be called under the lock of what caused it. Returns the new one.
    pub(super) fn advance(&self) -> u64 {
        self.hot.epoch.fetch_add(2, Ordering::AcqRel) + 2
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Relaxed) {
            mode if mode == Mode::Alone as u8 => Mode::Alone,
            mode if mode == Mode::Timed as u8 => Mode::Timed,
            _ => Mode::Watched,
        }
    }

    /// From now on L2 tells of changes. What is in L1 by now was not covered.
    pub(super) fn watched(&self) {
        let mut links = self.links.write();
        self.mode.store(Mode::Watched as u8, Ordering::Relaxed);
        self.set_trust();
        links.all_lost = self.advance();
    }

    /// From now on nobody tells. What is in L1 by now was covered by links that are gone.
    pub(super) fn unwatched(&self) {
        let mut links = self.links.write();
        self.mode.store(Mode::Timed as u8, Ordering::Relaxed);
        self.proved.store(0, Ordering::Relaxed);
        self.set_trust();
        links.all_lost = self.advance();
    }

    /// Messages of `node`, or of any, may have been missed until now.
    pub(super) fn lost(&self, node: Option<u16>) {
        let mut links = self.links.write();
        let epoch = self.advance();
        match node {
            Some(node) => links.node(node).lost = epoch,
            None => links.all_lost = epoch,
        }
    }

    /// The link to `node` is up or down. When it comes up, messages have been missed, whether or
    /// not [`lost`](Self::lost) says so as well.
    pub(super) fn link(&self, node: u16, up: bool) {
        let mut links = self.links.write();
        let link = links.node(node);
        if link.up != up {
            link.up = up;
            let epoch = self.advance();
            if up {
                link.lost = epoch;
            }
        }
    }

    pub(super) fn node(&self, node: u16) -> NodeState {
        let links = self.links.read();
        let link = links.nodes.get(usize::from(node)).copied().unwrap_or_default();
        NodeState {
            up: link.up || self.mode() != Mode::Watched,
            lost: link.lost.max(links.all_lost),
        }
    }

    /// Whether the link to some node that was heard of is down.
    pub(crate) fn is_interrupted(&self) -> bool {
        let links = self.links.read();
        self.mode() == Mode::Watched
            && (links.nodes.is_empty() || links.nodes.iter().any(|link| link.lost > 0 && !link.up))
    }

    /// Everything that L2 acknowledged before `at` has been told.
    pub(super) fn proved(&self, at: Tick) {
        self.proved.fetch_max(at.to_bits(), Ordering::Relaxed);
        if let Some(bound) = self.max_staleness {
            self.hot.trusted_until.fetch_max(at.plus(bound).to_bits(), Ordering::Relaxed);
        }
    }

    /// Every write that L2 acknowledged longer ago than this has been told. `None`: nothing has
    /// been proved, or nobody tells.
    pub(crate) fn staleness(&self, now: Tick) -> Option<Duration> {
        let proved = self.proved.load(Ordering::Relaxed);
        (proved > 0).then(|| now.since(Tick::from_bits(proved)))
    }

    /// Whether the bound on staleness holds at `now`, or none is set.
    pub(super) fn is_trusted(&self, now: Tick) -> bool {
        now.to_bits() < self.hot.trusted_until.load(Ordering::Relaxed)
    }

    /// For an entry that L2 was asked for at `at`: whether the bound holds for it at `now`, proved
    /// or not.
    pub(super) fn is_recent(&self, at: Tick, now: Tick) -> bool {
        self.max_staleness.is_none_or(|bound| now < at.plus(bound))
    }

    fn set_trust(&self) {
        let enforced = self.max_staleness.is_some() && self.mode() == Mode::Watched;
        let until = if enforced { 0 } else { Tick::NEVER.to_bits() };
        self.hot.trusted_until.store(until, Ordering::Relaxed);
    }
}

impl Links {
    fn node(&mut self, node: u16) -> &mut Link {
        let index = usize::from(node);
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, Link::default());
        }
        &mut self.nodes[index]
    }
}
