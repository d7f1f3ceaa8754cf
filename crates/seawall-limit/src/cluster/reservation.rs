//! A cluster-wide charge that is settled when it is known what it should have been.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::decision::{ClusterDecision, Source};
use super::error::ClusterError;
use super::limiter::{ClusterLimiter, ClusterSet};
use super::link::only;
use super::protocol::{Amend, AmendKind, Answer, Spec, Want};
use super::ruling;
use super::shared::{Said, Shared};
use super::state::{FailureMode, KeyState, refused_by};
use super::subject::Subject;
use super::table::Place;
use crate::decide::{Outcome, Ruling};
#[cfg(feature = "tower")]
use crate::decision::Decision;
use crate::key::Key;
use crate::set::PolicySet;

/// A request's place in quotas that all nodes share, to be [settled](Self::settle)
/// once, when its real cost is known.
///
/// Settling waits for nobody: what is to be charged or given back is sent by a
/// task. Where Redis is out of reach then, a charge is kept by this node and told
/// to Redis later, save of policies whose [`FailureMode`](crate::FailureMode) is
/// open, and what was to be given back refills. What was reserved without Redis is
/// not given back to it: this node takes back what it has not told yet.
#[must_use = "dropped at once, it is settled as `dropped_as` says"]
pub struct ClusterReservation {
    about: About,
    /// The same in the twin.
    twin: Option<About>,
    charged: u32,
    /// Who admitted it: what Redis was not charged is not given back to it.
    source: Source,
    /// When, in microseconds of this node.
    at: u64,
    dropped_as: u32,
    settled: bool,
}

/// Whose, and under which policies.
#[derive(Clone)]
struct About {
    shared: Arc<Shared>,
    policies: PolicySet,
    spec: Arc<Spec>,
    place: Place,
    subject: Subject,
}

/// A question whether one unit is left.
pub(crate) struct Admission {
    variant: usize,
    about: About,
    twin: Option<About>,
    /// What there is to say without asking: allowed, or a refusal.
    known: Option<(Option<Ruling>, Source)>,
}

impl ClusterLimiter {
    /// Charges `cost` units now, to be set right later, as [`Limiter::reserve`](crate::Limiter::reserve)
    /// does. What is more in the end is charged as far as there is anything left: there is no debt.
    ///
    /// # Errors
    /// The decision, if a policy rejects; then none was charged.
    ///
    /// Cancel safety: as [`check_n`](Self::check_n).
    pub async fn reserve<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
        cost: u32,
        now: Instant,
    ) -> Result<ClusterReservation, ClusterDecision<'s>> {
        let key = key.into();
        let (about, twin) = About::of(set, key);
        // Before it is asked: what refills from its charge on is not given back.
        let at = about.shared.now();
        let decision = self.check_n(key, set, cost, now).await;
        if !decision.is_allowed() {
            return Err(decision);
        }
        Ok(about.reserved(twin, decision.source(), at, (cost, cost)))
    }

    /// Lets a request in if one unit is left, and charges nothing until it is settled, as
    /// [`Limiter::admit`](crate::Limiter::admit) does. Redis is asked each time, unless this node
    /// remembers a rejection. Without Redis the failure modes decide.
    ///
    /// # Errors
    /// The decision, if a policy rejects.
    ///
    /// Cancel safety: nothing is charged.
    pub async fn admit<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
        now: Instant,
    ) -> Result<ClusterReservation, ClusterDecision<'s>> {
        let admission = set.admission(key.into(), now);
        let admitted = admission.run().await;
        admitted.map_err(|said| set.decision(said))
    }
}

impl ClusterSet {
    pub(crate) fn admission(&self, key: Key<'_>, now: Instant) -> Admission {
        let (about, twin) = About::of(self, key);
        let (shared, spec) = (&about.shared, &about.spec);
        let now = shared.micros(now);
        let blocked = shared.blocked_until(about.subject);
        let known = if blocked > now {
            let ruling = {
                // One that is in force, if any is.
                let named = spec.ids.first().copied();
                ruling::turned_away(0, named.unwrap_or(self.policies().first()), blocked - now)
            };
            Some((Some(ruling), Source::Blocked))
        } else if spec.ids.is_empty() {
            Some((None, Source::Unenforced))
        } else if shared.desk.is_reachable(shared.desk.link.node(about.subject)) {
            let known = shared.table.known(about.place, |state| state.remembered(spec, 1, now));
            known.flatten().map(|ruling| (Some(ruling), Source::Memory))
        } else {
            None
        };
        Admission { variant: self.pick(key), about, twin, known }
    }
}

/// A charge that may be taken back.
#[cfg(feature = "tower")]
pub(crate) struct Charged(About, Option<About>);

#[cfg(feature = "tower")]
impl ClusterSet {
    pub(crate) fn charged(&self, key: Key<'_>) -> Charged {
        let (about, twin) = About::of(self, key);
        Charged(about, twin)
    }
}

#[cfg(feature = "tower")]
impl Charged {
    /// Gives units back that were charged a moment ago. Nobody waits for it.
    pub(crate) fn refund(self, units: u32, source: Source) {
        for about in [Some(self.0), self.1].into_iter().flatten() {
            if about.spec.ids.is_empty() {
                continue;
            }
            match source {
                // Redis was not charged.
                Source::Open | Source::Closed => continue,
                Source::Local => {
                    about.disown(units);
                    continue;
                }
                _ => {}
            }
            let runtime = about.shared.desk.runtime.clone();
            runtime.spawn(async move {
                let (shared, spec) = (&about.shared, &about.spec);
                let now = shared.now();
                let back = |state: &mut KeyState| state.put_back(spec, units, now, shared.terms);
                if shared.table.known(about.place, back) != Some(true) {
                    let amounts = spec.laws.iter().map(|law| law.price(units)).collect();
                    let _ = about.amend(AmendKind::Refund, amounts).await;
                }
            });
        }
    }
}

impl Admission {
    /// Asks. Counts the decision.
    pub(crate) async fn run(self) -> Result<ClusterReservation, Said> {
        let Self { variant, about, twin, known } = self;
        let (shared, spec) = (&about.shared, &about.spec);
        let (refused, source) = match known {
            Some(known) => known,
            None => {
                let look = Want { need: 0, want: 0 };
                let question = shared.question(spec, about.subject, look);
                match shared.desk.ask(question).await {
                    Ok(answer) => {
                        shared.stats.mended(answer.mended);
                        about.learn(&answer);
                        (refused_by(spec, 1, &answer), Source::Redis)
                    }
                    Err(_) => about.alone(),
                }
            }
        };
        let allowed = refused.is_none();
        shared.stats.decided(source, allowed);
        match refused {
            Some(ruling) => Err(Said { variant, ruling, source }),
            None => {
                let at = shared.now();
                Ok(about.reserved(twin, source, at, (0, 1)))
            }
        }
    }
}

impl ClusterReservation {
    /// Units charged so far.
    #[must_use]
    pub const fn charged(&self) -> u32 {
        self.charged
    }

    /// What it is settled at if it is dropped. The default keeps what was charged, and is one unit
    /// for one from [`admit`](ClusterLimiter::admit).
    pub const fn dropped_as(mut self, units: u32) -> Self {
        self.dropped_as = units;
        self
    }

    /// Makes the charge `actual` units in all. Returns at once: a task tells Redis.
    ///
    /// What is less is given back, except for what has refilled since. What is more is charged as
    /// far as there is anything left. If the answer to a charge is lost, it is charged again, save
    /// to policies that fail open: too much rather than too little.
    pub fn settle(mut self, actual: u32) {
        self.settle_at(actual);
    }

    pub(crate) fn settle_at(&mut self, actual: u32) {
        if std::mem::replace(&mut self.settled, true) || actual == self.charged {
            return;
        }
        for about in std::iter::once(&self.about).chain(&self.twin).cloned() {
            if about.spec.ids.is_empty() {
                continue;
            }
            let runtime = about.shared.desk.runtime.clone();
            if let Some(more) = actual.checked_sub(self.charged) {
                about.expect(more);
                runtime.spawn(async move { about.charge(more).await });
            } else {
                let (less, at) = (self.charged - actual, self.at);
                match self.source {
                    // Nobody was charged, or this node alone; the twin likewise.
                    Source::Open | Source::Closed => {}
                    Source::Local => about.disown(less),
                    _ => drop(runtime.spawn(async move { about.give_back(less, at).await })),
                }
            }
        }
    }

    /// How the quota stands, as far as this node knows.
    #[cfg(feature = "tower")]
    pub(crate) fn fields(&self, answers: crate::answer::Answers) -> Option<crate::answer::Fields> {
        let About { shared, policies, spec, place, .. } = &self.about;
        if spec.ids.is_empty() {
            return None;
        }
        let now = shared.now();
        let ruling = shared.table.known(*place, |state| state.standing(spec, now))?;
        let decision = Decision::elsewhere(policies, ruling);
        Some(crate::answer::Fields::of(&decision, answers))
    }
}

impl About {
    /// What is in force, and what would be.
    fn of(set: &ClusterSet, key: Key<'_>) -> (Self, Option<Self>) {
        let subject = Subject::of(key);
        let about = |policies: &PolicySet, spec: &Arc<Spec>, shared: &Arc<Shared>| {
            let place = shared.table.place(key);
            // So that there is a state to remember in, if there is room.
            let make = || (subject, shared.blocked_until(subject));
            let _ = shared.table.with(place, (shared.now(), shared.terms), make, |_| ());
            let (shared, spec) = (Arc::clone(shared), Arc::clone(spec));
            Self { shared, policies: policies.clone(), spec, place, subject }
        };
        let (policies, spec) = set.variant(set.pick(key));
        let twin = set.tried().map(|tried| {
            let (policies, spec, shared) = &tried.twin;
            about(policies, spec, shared)
        });
        (about(policies, spec, set.shared()), twin)
    }

    fn reserved(
        self,
        twin: Option<Self>,
        source: Source,
        at: u64,
        (charged, dropped_as): (u32, u32),
    ) -> ClusterReservation {
        ClusterReservation { about: self, twin, charged, source, at, dropped_as, settled: false }
    }

    fn learn(&self, answer: &Answer) {
        let now = self.shared.now();
        self.shared.table.known(self.place, |state| state.learn(&self.spec, answer, now));
    }

    /// This node counts on it already, whenever Redis hears of it.
    fn expect(&self, more: u32) {
        let now = self.shared.now();
        self.shared.table.known(self.place, |state| state.expect(&self.spec, more, now));
    }

    /// Without Redis: whether one unit is left, and who says so.
    fn alone(&self) -> (Option<Ruling>, Source) {
        let (now, nodes) = (self.shared.now(), self.shared.live_nodes());
        let table = &self.shared.table;
        let look = |state: &mut KeyState| {
            state.alone(&self.spec, &self.shared.modes, nodes, 1, now, false)
        };
        let alone = table.known(self.place, look).unwrap_or_else(|| table.shared(self.place, look));
        let refused = (alone.ruling.outcome != Outcome::Allowed).then_some(alone.ruling);
        let source = match alone.by {
            FailureMode::Open => Source::Open,
            FailureMode::Closed => Source::Closed,
            FailureMode::Local => Source::Local,
        };
        (refused, source)
    }

    async fn charge(self, more: u32) {
        let amounts = self.spec.laws.iter().map(|law| law.price(more)).collect();
        if self.amend(AmendKind::Charge, amounts).await {
            return;
        }
        let Self { shared, spec, place, subject, .. } = &self;
        let (now, nodes) = (shared.now(), shared.live_nodes());
        let owe = |state: &mut KeyState| {
            state.owe(spec, &shared.modes, nodes, more, now);
        };
        // A key that was forgotten meanwhile, or for which there was no place, counts as well.
        let make = || (*subject, shared.blocked_until(*subject));
        if shared.table.with(*place, (now, shared.terms), make, owe).is_none() {
            shared.table.shared(*place, owe);
        }
        shared.owing.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back units that this node admitted by itself. Those that Redis was told of meanwhile
    /// refill: it may have been charged less for them, for what had drained.
    fn disown(&self, less: u32) {
        let Self { shared, spec, place, .. } = self;
        let (now, nodes) = (shared.now(), shared.live_nodes());
        let disown = |state: &mut KeyState| state.disown(spec, &shared.modes, nodes, less, now);
        if shared.table.known(*place, disown).is_none() {
            shared.table.shared(*place, disown);
        }
    }

    async fn give_back(self, less: u32, at: u64) {
        let shared = &self.shared;
        // What has refilled since was there for others already. A unit out of a lease was charged
        // before it was spent.
        let ahead = if self.spec.exact { 0 } else { shared.terms.ttl };
        let since = shared.now().saturating_sub(at).saturating_add(ahead);
        let prices = self.spec.laws.iter().map(|law| law.price(less));
        let refilled = shared.refilled(&self.spec.ids, since);
        let amounts: Vec<u64> =
            prices.zip(refilled).map(|(price, refilled)| price.saturating_sub(refilled)).collect();
        if amounts.iter().any(|amount| *amount > 0) {
            let _ = self.amend(AmendKind::Refund, amounts).await;
        }
    }

    /// Whether Redis has answered.
    async fn amend(&self, kind: AmendKind, amounts: Vec<u64>) -> bool {
        let (shared, spec) = (&self.shared, &self.spec);
        let node = shared.desk.link.node(self.subject);
        if !shared.desk.is_reachable(node) {
            return false;
        }
        let amends = [(self.subject, Amend { kind, amounts })];
        let asked = Instant::now();
        let answers = async {
            let answers = shared.desk.link.amend(spec, &amends).await;
            only(answers.into_iter().collect())
        };
        match shared.within(answers).await {
            Ok(answer) => {
                shared.desk.answered(node);
                self.learn(&answer);
                true
            }
            Err(error) => {
                if matches!(error, ClusterError::Timeout { .. }) {
                    shared.stats.late();
                    shared.desk.failed(node, asked);
                }
                tracing::debug!(%error, "Redis did not take what a reservation came to");
                false
            }
        }
    }
}

impl Drop for ClusterReservation {
    fn drop(&mut self) {
        if !self.settled {
            self.settle_at(self.dropped_as);
        }
    }
}

impl fmt::Debug for ClusterReservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterReservation")
            .field("set", &self.about.policies)
            .field("charged", &self.charged)
            .field("dropped_as", &self.dropped_as)
            .finish_non_exhaustive()
    }
}
