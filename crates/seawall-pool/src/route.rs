//! Where a statement goes, from what is known about the nodes.
//!
//! [`Router::choose`] is the whole decision. The pool calls it with views made from
//! atomics and with the time, tests and the example with views made by hand.
//!
//! | intent | first | then | last |
//! |---|---|---|---|
//! | [`Intent::Write`] | the primary, if writable | - | - |
//! | [`Intent::Read`] | a general replica that is up | an analytics replica, if no general replica is up | the primary |
//! | [`Intent::Analytics`] | an analytics replica that is up | a general replica that is up | the primary |
//!
//! Before the primary come replicas that would serve, were they not full
//! ([`Choice::is_full`]): the pool then does as [`Spill`](crate::Spill) says.
//!
//! Which of several replicas is said by a balancer, one for each intent and role, so
//! that reads of milliseconds are not compared with reports of minutes. It leaves out
//! replicas that lag, fail or are full, as [`RoutingConfig`] says. With `after`, a
//! replica counts only if it has replayed that position. The primary is the last
//! resort even while it is thought to be down: the evidence may be old, and there is
//! nothing left to lose.

use std::fmt;

/// How a call ended, as far as it says something about its node.
pub use seawall_balance::Outcome as Verdict;
use seawall_balance::{Balancer, Member, Pick, PickOptions, Standing};
use tokio::time::Instant;

use crate::error::Error;
use crate::{Lag, Lsn, Role, RoutingConfig};

mod choice;

pub use choice::Choice;
use choice::Seat;

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

/// What the choice needs to know about one node at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Whether this is the primary.
    pub primary: bool,
    /// Whether the last evidence says that the node answers.
    pub up: bool,
    /// Whether the node takes writes. Only looked at for the primary, where
    /// false means that it was found in recovery.
    pub writable: bool,
    /// A position the node is known to have replayed. Ignored for a writable
    /// primary.
    pub replayed: Lsn,
    /// The timeline on which that position lies; zero if unknown.
    pub timeline: u32,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the statement is for.
    pub intent: Intent,
    /// Serve only from a node that has this position.
    pub after: Option<Lsn>,
    /// The timeline of that position; zero if unknown.
    pub timeline: u32,
    /// For policies that go by keys: the hash of one.
    pub key: Option<u64>,
    /// Nodes that must not be chosen, such as those that already failed this call:
    /// bit `i` for node `i`.
    pub excluded: u64,
}

impl Request {
    /// A request without a position, with nothing excluded.
    #[must_use]
    pub const fn new(intent: Intent) -> Self {
        Self { intent, after: None, timeline: 0, key: None, excluded: 0 }
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
        let same = |known: u32| known == self.timeline || known == 0 || self.timeline == 0;
        (node.primary && node.writable)
            || self.after.is_none_or(|lsn| node.replayed >= lsn && same(node.timeline))
    }

    /// Whether the replica of this view may serve it.
    fn fits(&self, index: usize, node: &NodeView) -> bool {
        self.allows(index) && !node.primary && node.up && self.satisfied_by(node)
    }
}

/// The most nodes a pool can have, the primary included.
pub const MAX_NODES: usize = 64;

/// A replica, as the configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// What it is for.
    pub role: Role,
    /// Its share among the replicas of its role. Zero gets nothing.
    pub weight: u32,
}

/// Chooses nodes. Node 0 is the primary, nodes from 1 on the replicas in their order.
///
/// Everything takes the time as `now`, and nothing reads a clock.
pub struct Router {
    /// By node; a primary that is replaced becomes a general replica.
    roles: Box<[Role]>,
    /// For reads and for analytics: the replicas of each role.
    ranks: [[Option<Balancer<Seat>>; 2]; 2],
    limits: crate::LagLimits,
}

impl Router {
    /// For a primary and `replicas`, at most 63; more are never chosen.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] and [`Error::Routing`] if `config` is out of bounds.
    pub fn new(config: &RoutingConfig, replicas: &[Replica], now: Instant) -> Result<Self, Error> {
        Self::named(None, config, replicas, now)
    }

    /// As [`new`](Self::new), of the pool of that name: the label `balancer` of its metrics begins
    /// with it and a slash.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn named(
        pool: Option<&str>,
        config: &RoutingConfig,
        replicas: &[Replica],
        now: Instant,
    ) -> Result<Self, Error> {
        config.validate()?;
        let replicas = &replicas[..replicas.len().min(MAX_NODES - 1)];
        let rank = |name: &str, role| -> Result<_, Error> {
            let members = (1..=u8::MAX).zip(replicas).filter(|(_, replica)| replica.role == role);
            let members: Vec<_> = members
                .map(|(seat, replica)| Member::new(Seat(seat)).weight(replica.weight))
                .collect();
            if members.is_empty() {
                return Ok(None);
            }
            let routing = |source| Error::Routing { source };
            let name = pool.map_or_else(|| name.to_owned(), |pool| format!("{pool}/{name}"));
            let balancer = Balancer::new(config.balance(&name), now).map_err(routing)?;
            balancer.update(members, now).map_err(routing)?;
            Ok(Some(balancer))
        };
        Ok(Self {
            roles: std::iter::once(Role::General)
                .chain(replicas.iter().map(|replica| replica.role))
                .collect(),
            ranks: [
                [rank("read", Role::General)?, rank("read_fallback", Role::Analytics)?],
                [rank("analytics_fallback", Role::General)?, rank("analytics", Role::Analytics)?],
            ],
            limits: config.lag.clone(),
        })
    }

    /// Whether there is no replica, and nothing to choose.
    #[must_use]
    pub fn is_trivial(&self) -> bool {
        self.roles.len() == 1
    }

    /// Chooses the node for `request`, or `None` if no node may serve it.
    ///
    /// `view` is asked for each node that is considered. Cost: some 100 ns, without
    /// allocation or lock (but for the short one of
    /// [`Policy::SmoothWeighted`](crate::Policy::SmoothWeighted)).
    #[inline]
    pub fn choose(
        &self,
        view: impl Fn(usize) -> NodeView,
        request: &Request,
        now: Instant,
    ) -> Option<Choice> {
        let fits = |seat: &Seat| request.fits(seat.node(), &view(seat.node()));
        let options = PickOptions::new().filter(&fits);
        let options = match request.key {
            Some(key) => options.key_hash(key),
            None => options,
        };
        let pick = |rank: &Option<Balancer<Seat>>| rank.as_ref()?.try_pick(&options, now);
        let replica = match request.intent {
            Intent::Write => None,
            Intent::Read => {
                let [general, analytics] = &self.ranks[READ];
                pick(general)
                    .or_else(|| if self.general_up(&view) { None } else { pick(analytics) })
            }
            Intent::Analytics => {
                let [general, analytics] = &self.ranks[ANALYTICS];
                pick(analytics).or_else(|| pick(general))
            }
        };
        if let Some(pick) = replica {
            return Some(Choice::of(pick, now, false));
        }
        match self.full(&view, &options, request.intent, now) {
            Some(pick) => Some(Choice::of(pick, now, true)),
            None => self.primary(view, request),
        }
    }

    /// A replica that fits and is full, when none is that is not.
    #[cold]
    fn full(
        &self,
        view: impl Fn(usize) -> NodeView,
        options: &PickOptions<'_, Seat>,
        intent: Intent,
        now: Instant,
    ) -> Option<Pick<Seat>> {
        let pick = |rank: &Option<Balancer<Seat>>| rank.as_ref()?.try_pick_saturated(options, now);
        match intent {
            Intent::Write => None,
            Intent::Read => {
                let [general, analytics] = &self.ranks[READ];
                pick(general).or_else(|| if self.general_up(view) { None } else { pick(analytics) })
            }
            Intent::Analytics => {
                let [general, analytics] = &self.ranks[ANALYTICS];
                pick(analytics).or_else(|| pick(general))
            }
        }
    }

    /// The choice when no replica comes into question.
    pub(crate) fn primary(
        &self,
        view: impl Fn(usize) -> NodeView,
        request: &Request,
    ) -> Option<Choice> {
        for node in 0..self.roles.len() {
            let seen = view(node);
            if !seen.primary {
                continue;
            }
            let fit = match request.intent {
                Intent::Write => seen.writable,
                Intent::Read | Intent::Analytics => request.satisfied_by(&seen),
            };
            return (fit && request.allows(node)).then(|| Choice::primary(node));
        }
        None
    }

    /// Whether a replica would serve `request`.
    pub(crate) fn has_replica(
        &self,
        view: impl Fn(usize) -> NodeView,
        request: &Request,
        now: Instant,
    ) -> bool {
        self.choose(view, request, now).is_some_and(|choice| {
            let is_replica = choice.is_replica();
            choice.release();
            is_replica
        })
    }

    /// Enters how far a replica is behind.
    pub fn lags(&self, node: usize, lag: Lag, now: Instant) {
        let measure = self.limits.measure(lag);
        self.each(node, |balancer, seat| drop(balancer.set_lag(&seat, measure, now)));
    }

    /// Enters that a replica was found dead, or well.
    pub fn found(&self, node: usize, healthy: bool, now: Instant) {
        self.each(node, |balancer, seat| drop(balancer.set_healthy(&seat, healthy, now)));
    }

    /// Gives a replica no new work, or work again, slowly at first.
    pub fn drain(&self, node: usize, drain: bool, now: Instant) {
        self.each(node, |balancer, seat| {
            drop(if drain { balancer.drain(&seat, now) } else { balancer.restore(&seat, now) });
        });
    }

    /// A node became the primary: no longer one of the replicas.
    pub fn leaves(&self, node: usize, now: Instant) {
        self.each(node, |balancer, seat| balancer.remove(&seat, now));
    }

    /// Changes the share of a replica; zero gets nothing. One that is none yet, a
    /// former primary, becomes one, and starts slowly.
    pub fn set_weight(&self, node: usize, weight: u32, now: Instant) {
        let member = |seat| Member::new(seat).weight(weight);
        self.each(node, |balancer, seat| drop(balancer.insert(member(seat), now)));
    }

    /// How the balancer of reads sees a replica; nothing for the primary. Linear,
    /// with a short lock.
    #[must_use]
    pub fn standing(&self, node: usize, now: Instant) -> Option<Standing> {
        let role = self.roles.get(node)?;
        let status = self.ranks[READ][rank_of(*role)].as_ref()?.status(now);
        status.nodes.iter().find(|seen| seen.id.node() == node).map(|seen| seen.standing)
    }

    /// Ends what has its time, where nothing is chosen that would do it.
    pub(crate) fn tick(&self, now: Instant) {
        self.ranks.iter().flatten().flatten().for_each(|balancer| balancer.tick(now));
    }

    fn each(&self, node: usize, act: impl Fn(&Balancer<Seat>, Seat)) {
        if let (Some(role), Ok(seat)) = (self.roles.get(node), u8::try_from(node)) {
            for ranks in &self.ranks {
                if let Some(balancer) = &ranks[rank_of(*role)] {
                    act(balancer, Seat(seat));
                }
            }
        }
    }

    fn general_up(&self, view: impl Fn(usize) -> NodeView) -> bool {
        let up = |node: usize| {
            let seen = view(node);
            seen.up && !seen.primary
        };
        (0..).zip(&self.roles).any(|(node, role)| rank_of(*role) == GENERAL && up(node))
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("roles", &self.roles).finish_non_exhaustive()
    }
}

const fn rank_of(role: Role) -> usize {
    match role {
        Role::General => GENERAL,
        Role::Analytics => 1,
    }
}

const READ: usize = 0;
const ANALYTICS: usize = 1;
const GENERAL: usize = 0;

#[cfg(test)]
mod tests;
