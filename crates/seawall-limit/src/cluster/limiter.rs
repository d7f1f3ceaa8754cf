//! The limiter for all nodes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::background::Tasks;
use super::builder::ClusterLimiterBuilder;
use super::config::ClusterConfig;
use super::decision::{ClusterDecision, Source};
use super::desk::NoAnswer;
use super::error::ClusterError;
use super::law::{Law, micros};
use super::link::{integer, only};
use super::protocol::{Amend, AmendKind, Spec};
use super::ruling;
use super::settle;
use super::shared::{About, Begun, Question, Said, Shared};
use super::state::KeyState;
use super::subject::Subject;
use super::tried::{Second, Tried};
use crate::decision::Decision;
use crate::error::Error;
use crate::key::Key;
use crate::limiter::Limiter;
use crate::policy::Policy;
use crate::set::PolicySet;

/// Quotas that all nodes share, kept in Redis. Clones share everything.
///
/// A decision costs one round trip for all policies of a subject, or none: a busy key's units are
/// taken ahead in [leases](ClusterConfig::lease_ttl), and a rejection is remembered. No decision
/// waits longer than [`deadline`](ClusterConfig::deadline); without Redis each policy's
/// [`FailureMode`](crate::FailureMode) decides.
///
/// Its tasks end with the last clone, so keep one while sets are in use; [`shutdown`](Self::shutdown)
/// also gives back what was taken ahead.
#[derive(Clone)]
pub struct ClusterLimiter {
    names: Limiter,
    shared: Arc<Shared>,
    /// What would be, while something is on trial.
    twin: Option<Arc<Shared>>,
    tasks: Arc<Tasks>,
}

/// Policies that are charged together, most specific first, cluster-wide.
///
/// Made by [`ClusterLimiter::set`], and decides there.
#[derive(Clone)]
pub struct ClusterSet {
    policies: PolicySet,
    spec: Arc<Spec>,
    shared: Arc<Shared>,
    tried: Option<Arc<Tried>>,
}

impl ClusterLimiter {
    /// Starts a limiter.
    pub const fn builder(config: ClusterConfig) -> ClusterLimiterBuilder {
        ClusterLimiterBuilder::new(config)
    }

    /// Starts a limiter with other policies over the same connections: for another configuration
    /// while the service runs. Nodes, orders and the share that each key has spent are the same:
    /// see `docs/cluster.md`. This one goes on as it is, and what it has taken ahead is given back
    /// when nothing uses it any more.
    ///
    /// The policies are all that it is given: [`on_failure`](ClusterLimiterBuilder::on_failure),
    /// [`exact`](ClusterLimiterBuilder::exact) and [`share_seed`](ClusterLimiterBuilder::share_seed)
    /// are not those of this one, but what is said of the successor, or the defaults.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use seawall_limit::{ClusterLimiter, LayerConfig, LimitLayer, Policy, Quota};
    /// # async fn run(running: ClusterLimiter, layer: LimitLayer, file: LayerConfig) -> Result<(), Box<dyn std::error::Error>> {
    /// let bids = Policy::new("bids", Quota::per(30, Duration::from_secs(60))?);
    /// let next = running.successor().policy(bids).connect_lazy()?;
    /// layer.reload(&file, |code| code.cluster(next))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn successor(&self) -> ClusterLimiterBuilder {
        ClusterLimiterBuilder::after(self.clone())
    }

    pub(crate) fn new(
        names: Limiter,
        shared: Arc<Shared>,
        twin: Option<Arc<Shared>>,
        tasks: Tasks,
    ) -> Self {
        Self { names, shared, twin, tasks: Arc::new(tasks) }
    }

    pub(crate) fn parts(&self) -> (&Limiter, &Arc<Shared>, Option<&Arc<Shared>>, &Tasks) {
        (&self.names, &self.shared, self.twin.as_ref(), &self.tasks)
    }

    /// What shadowed policies and candidates would have changed, by the decisions of this node;
    /// `None` if nothing is on trial.
    ///
    /// While a policy is on trial ([`Policy::enforced`], [`Policy::candidate`]), each decision has a
    /// twin, as [`Limiter::shadow`] tells, which Redis keeps beside it; it is decided after the
    /// decision, and nobody waits for it. What was decided without Redis, or by an operator's
    /// order, is not compared. What is [reserved](Self::reserve) is compared when it is reserved;
    /// what is [admitted](Self::admit) is not. Either is settled with both, whatever the twin said.
    #[must_use]
    pub fn shadow(&self) -> Option<crate::ShadowStats> {
        self.names.shadow()
    }

    /// Looks up policies by name, most specific first. A repeated name counts once.
    ///
    /// # Errors
    /// If there is no name, or a name that no policy has.
    pub fn set<N: AsRef<str>>(&self, names: &[N]) -> Result<ClusterSet, Error> {
        Ok(self.adopt(self.names.set(names)?))
    }

    /// Charges one unit to every policy of the set, or to none. See [`check_n`](Self::check_n).
    pub async fn check<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
        now: Instant,
    ) -> ClusterDecision<'s> {
        self.check_n(key, set, 1, now).await
    }

    /// Charges `cost` units to every policy of the set, or none to any. Never fails, and takes at
    /// most the deadline; where the runtime itself is busy, as long again or three of its turns.
    ///
    /// Cancel safety: a charge that is under way when the future is dropped may have been made,
    /// and stays.
    pub async fn check_n<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
        cost: u32,
        now: Instant,
    ) -> ClusterDecision<'s> {
        match set.begin(key.into(), cost, now) {
            Started::Done(said) => set.decision(said),
            Started::Ask(question) => set.decision(set.finish(question).await),
        }
    }

    /// The same if it takes no Redis: from a lease, from memory, or by an operator's order. `None`
    /// has charged nothing.
    pub fn try_check_n<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
        cost: u32,
        now: Instant,
    ) -> Option<ClusterDecision<'s>> {
        match set.begin(key.into(), cost, now) {
            Started::Done(said) => Some(set.decision(said)),
            Started::Ask(_) => None,
        }
    }

    /// Asks Redis what a check would say, without charging: `remaining` is as before the charge,
    /// without the units that nodes have taken ahead.
    ///
    /// # Errors
    /// If Redis does not answer within the deadline.
    pub async fn peek<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s ClusterSet,
    ) -> Result<ClusterDecision<'s>, ClusterError> {
        let key = key.into();
        let variant = set.pick(key);
        let (_, spec) = set.variant(variant);
        if spec.ids.is_empty() {
            let (ruling, source) = (set.unenforced(), Source::Unenforced);
            return Ok(set.decision(Said { variant, ruling, source }));
        }
        let look = set.shared.look(spec, Subject::of(key), 1);
        let ruling = look.await.map_err(|no| set.failed(no))?;
        Ok(set.decision(Said { variant, ruling, source: Source::Redis }))
    }

    /// Gives `cost` units back to every policy of the set: to a lease of this node of which as many
    /// were spent, if there is one, else to Redis. What is more than was spent is lost.
    ///
    /// Cancel safety: a refund that is under way when the future is dropped may have been made.
    ///
    /// # Errors
    /// If Redis does not answer within the deadline. Do not repeat it then: it may have been made.
    pub async fn refund<'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &ClusterSet,
        cost: u32,
    ) -> Result<(), ClusterError> {
        let key = key.into();
        let (_, spec) = set.variant(set.pick(key));
        let twin = set.tried.as_ref().map(|tried| (&tried.twin.1, &tried.twin.2));
        for (spec, shared) in [(spec, &set.shared)].into_iter().chain(twin) {
            shared.refund(spec, key, cost).await?;
        }
        Ok(())
    }

    /// Blocks a key on all nodes for so long, whatever its quotas say. Other nodes hear of it
    /// through pub/sub, or at their next heartbeat.
    ///
    /// # Errors
    /// If Redis does not answer within the deadline. Repeating it is safe.
    pub async fn block<'k>(
        &self,
        key: impl Into<Key<'k>>,
        lasts: Duration,
    ) -> Result<(), ClusterError> {
        self.order(Subject::of(key.into()), micros(lasts).clamp(1, LONGEST_BLOCK)).await
    }

    /// Lifts a block on all nodes, and forgives what the key has spent.
    ///
    /// # Errors
    /// If Redis does not answer within the deadline. Repeating it is safe.
    pub async fn unblock<'k>(&self, key: impl Into<Key<'k>>) -> Result<(), ClusterError> {
        let subject = Subject::of(key.into());
        // First, or nodes that hear of it could read the old state.
        self.shared.within(self.shared.desk.link.forget(subject)).await?;
        self.order(subject, 0).await
    }

    /// The most by which admissions in any window can exceed what the quota alone would admit
    /// there: see `docs/cluster.md` for the derivation. 0 for a policy that is
    /// [exact](ClusterLimiterBuilder::exact), or without leases: then admissions count from when
    /// Redis charged them, of which callers hear up to a [deadline](ClusterConfig::deadline) later.
    ///
    /// A unit is charged before it is spent, at most a [lease](ClusterConfig::lease_ttl) ahead, or a
    /// deadline if that is longer. So a window can hold, besides its own, what was charged up to that
    /// long before it: the units that refill in that time, `ceil(lease_ttl / interval)`, whatever the
    /// number of nodes. Nor is it more than all leases that can be out at once.
    ///
    /// It holds while Redis answers and keeps what it was told, and the nodes' clocks run; what
    /// outages, failovers and halted nodes add is in the same place.
    ///
    /// # Errors
    /// If no policy has this name.
    pub fn over_admission_bound(&self, policy: &str) -> Result<u64, Error> {
        let id = usize::from(self.names.id(policy)?);
        if self.shared.exact[id] {
            return Ok(0);
        }
        Ok(bound(self.shared.laws[id], &self.shared.config))
    }

    /// Units that this node has taken ahead and not spent. Walks the table: for a gauge.
    #[must_use]
    pub fn leased_units(&self) -> u64 {
        self.shared.held()
    }

    /// The nodes alive, as this one sees it: by their heartbeats, or as configured.
    #[must_use]
    pub fn live_nodes(&self) -> u32 {
        self.shared.live_nodes()
    }

    /// Whether Redis is asked about all keys: there is a connection to each master, and none is given up.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.shared.desk.link.is_complete() && self.shared.desk.given_up() == 0
    }

    /// The policies, in the order given.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.names.policies()
    }

    /// Gives back what was taken ahead, tells Redis what was admitted without it, leaves, and closes
    /// the connections for every clone and [successor](Self::successor): call it on the last.
    /// Decisions after that take their failure modes.
    pub async fn shutdown(&self) {
        settle::hand_over(&self.shared, &self.tasks).await;
    }

    /// Returns when Redis has answered once.
    pub(crate) async fn ready(&self) {
        let mut beats: watch::Receiver<bool> = self.tasks.beats();
        // An end of the sender is an end of the tasks.
        let _ = beats.wait_for(|answered| *answered).await;
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn names(&self) -> &Limiter {
        &self.names
    }

    /// A set of ours by its policies.
    pub(crate) fn adopt(&self, policies: PolicySet) -> ClusterSet {
        let spec = |set: &PolicySet, shared: &Shared| {
            let ids: Vec<u8> = set.entries().iter().map(|entry| entry.id).collect();
            let spec = shared.spec(&ids);
            // Leases of the same policies in another order are one.
            shared.specs.lock().entry(spec.mask).or_insert_with(|| Arc::clone(&spec));
            spec
        };
        let tried = policies.trial().zip(self.twin.as_ref()).map(|(trial, twin)| {
            let variants = trial.variants().iter();
            let would_be = trial.twin();
            Arc::new(Tried {
                variants: variants.map(|set| (set.clone(), spec(set, &self.shared))).collect(),
                twin: (would_be.clone(), spec(would_be, twin), Arc::clone(twin)),
            })
        });
        let spec = spec(&policies, &self.shared);
        ClusterSet { policies, spec, shared: Arc::clone(&self.shared), tried }
    }

    async fn order(&self, subject: Subject, lasts: u64) -> Result<(), ClusterError> {
        let shared = &self.shared;
        let channel = shared.desk.link.channel();
        let order: Vec<Value> =
            vec!["order".into(), subject.text().into(), integer(lasts), channel.into()];
        shared.within(shared.desk.link.control(order)).await?;
        shared.wake.notify_one();
        Ok(())
    }
}

impl ClusterSet {
    /// The names, most specific first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.names()
    }

    pub(crate) const fn policies(&self) -> &PolicySet {
        &self.policies
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) const fn tried(&self) -> Option<&Arc<Tried>> {
        self.tried.as_ref()
    }

    /// What is in force for keys that drew this.
    pub(crate) fn variant(&self, variant: usize) -> (&PolicySet, &Arc<Spec>) {
        match self.tried.as_ref().and_then(|tried| tried.variants.get(variant)) {
            Some((policies, spec)) => (policies, spec),
            None => (&self.policies, &self.spec),
        }
    }

    pub(crate) fn begin(&self, key: Key<'_>, cost: u32, now: Instant) -> Started {
        let variant = self.pick(key);
        let (_, spec) = self.variant(variant);
        let place = self.shared.table.place(key);
        let begun = if spec.ids.is_empty() {
            self.nothing_in_force(variant, key)
        } else {
            let subject = || Subject::of(key);
            self.shared.begin(About { spec, variant, place, subject }, cost, now)
        };
        let second = self.tried.as_ref().map(|tried| (tried, tried.second(key, cost)));
        match begun {
            Begun::Done(said) => {
                if let Some((tried, second)) = second {
                    tried.try_as_well(second, said);
                }
                Started::Done(said)
            }
            Begun::Ask(question) => {
                Started::Ask(Asking { question, second: second.map(|it| it.1) })
            }
        }
    }

    pub(crate) fn finish(&self, asking: Asking) -> impl Future<Output = Said> + Send + 'static {
        let Asking { question, second } = asking;
        let (_, spec) = self.variant(question.variant);
        let finish = Arc::clone(&self.shared).finish(Arc::clone(spec), question);
        let tried = self.tried.clone();
        async move {
            let said = finish.await;
            if let (Some(tried), Some(second)) = (tried, second) {
                tried.try_as_well(second, said);
            }
            said
        }
    }

    pub(crate) fn decision(&self, said: Said) -> ClusterDecision<'_> {
        let (policies, _) = self.variant(said.variant);
        ClusterDecision::new(Decision::elsewhere(policies, said.ruling), said.source)
    }

    /// Operators are obeyed all the same.
    fn nothing_in_force(&self, variant: usize, key: Key<'_>) -> Begun {
        let shared = &self.shared;
        let (now, until) = (shared.now(), shared.blocked_until(Subject::of(key)));
        if until > now {
            let ruling = ruling::turned_away(0, self.policies.first(), until - now);
            return shared.done(variant, ruling, Source::Blocked);
        }
        shared.done(variant, self.unenforced(), Source::Unenforced)
    }

    fn failed(&self, no: NoAnswer) -> ClusterError {
        match no {
            NoAnswer::Late => ClusterError::Timeout { after: self.shared.config.deadline },
            other => ClusterError::Redis(format!("{other:?}").into()),
        }
    }
}

/// A decision that has been begun.
pub(crate) enum Started {
    Done(Said),
    Ask(Asking),
}

/// One that takes Redis.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    question: Question,
    /// The same for the twin, afterwards.
    second: Option<Second>,
}

impl Shared {
    /// See [`ClusterLimiter::refund`].
    async fn refund(&self, spec: &Arc<Spec>, key: Key<'_>, cost: u32) -> Result<(), ClusterError> {
        if spec.ids.is_empty() {
            return Ok(());
        }
        let place = self.table.place(key);
        let now = self.now();
        let back = |state: &mut KeyState| state.put_back(spec, cost, now, self.terms);
        if self.table.known(place, back) == Some(true) {
            return Ok(());
        }
        let amounts = spec.laws.iter().map(|law| law.price(cost)).collect();
        let amend = [(Subject::of(key), Amend { kind: AmendKind::Refund, amounts })];
        let answers = async {
            let answers = self.desk.link.amend(spec, &amend).await;
            only(answers.into_iter().collect())
        };
        let answer = self.within(answers).await?;
        let now = self.now();
        self.table.known(place, |state| state.learn(spec, &answer, now));
        Ok(())
    }
}

/// See [`ClusterLimiter::over_admission_bound`].
pub(crate) fn bound(law: Law, config: &ClusterConfig) -> u64 {
    let terms = config.terms();
    if terms.most == 0 {
        return 0;
    }
    // An answer may be on its way for longer than a lease lasts.
    let ahead = terms.ttl.max(micros(config.deadline));
    ahead.div_ceil(law.emission).min(law.burst().saturating_add(ahead / law.emission))
}

impl fmt::Debug for ClusterLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLimiter")
            .field("policies", &self.names.policies())
            .field("nodes", &self.live_nodes())
            .field("reachable", &self.is_reachable())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClusterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policies.fmt(f)
    }
}

/// A year.
const LONGEST_BLOCK: u64 = 31_536_000_000_000;
