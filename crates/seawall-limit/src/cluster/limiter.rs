//! The limiter for all nodes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use seawall_redis::within;
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
use super::settle;
use super::shared::{Begun, Question, Shared};
use super::state::KeyState;
use super::subject::Subject;
use crate::decide::Ruling;
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
}

impl ClusterLimiter {
    /// Starts a limiter.
    pub const fn builder(config: ClusterConfig) -> ClusterLimiterBuilder {
        ClusterLimiterBuilder::new(config)
    }

    pub(crate) fn new(names: Limiter, shared: Arc<Shared>, tasks: Tasks) -> Self {
        Self { names, shared, tasks: Arc::new(tasks) }
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
            Begun::Done(ruling, source) => set.decision(ruling, source),
            Begun::Ask(question) => {
                let (ruling, source) = set.finish(question).await;
                set.decision(ruling, source)
            }
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
            Begun::Done(ruling, source) => Some(set.decision(ruling, source)),
            Begun::Ask(_) => None,
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
        let subject = Subject::of(key.into());
        let ruling = set.shared.look(&set.spec, subject, 1).await.map_err(|no| set.failed(no))?;
        Ok(set.decision(ruling, Source::Redis))
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
        let (key, shared) = (key.into(), &set.shared);
        let place = shared.table.place(key);
        let now = shared.now();
        let back = |state: &mut KeyState| state.put_back(&set.spec, cost, now, shared.terms);
        if shared.table.known(place, back) == Some(true) {
            return Ok(());
        }
        let amounts = set.spec.laws.iter().map(|law| law.price(cost)).collect();
        let amend = [(Subject::of(key), Amend { kind: AmendKind::Refund, amounts })];
        let answers = async {
            let answers = shared.desk.link.amend(&set.spec, &amend).await;
            only(answers.into_iter().collect())
        };
        let answer = shared.within(answers).await?;
        let now = shared.now();
        shared.table.known(place, |state| state.learn(&set.spec, &answer, now));
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
    /// the connections for every clone. Decisions after that take their failure modes.
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
        let ids: Vec<u8> = policies.entries().iter().map(|entry| entry.id).collect();
        let spec = self.shared.spec(&ids);
        // Leases of the same policies in another order are one.
        self.shared.specs.lock().entry(spec.mask).or_insert_with(|| Arc::clone(&spec));
        ClusterSet { policies, spec, shared: Arc::clone(&self.shared) }
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

    pub(crate) fn parts(&self) -> (&Arc<Shared>, &Arc<Spec>, &PolicySet) {
        (&self.shared, &self.spec, &self.policies)
    }

    pub(crate) fn begin(&self, key: Key<'_>, cost: u32, now: Instant) -> Begun {
        self.shared.begin(&self.spec, key, cost, now)
    }

    pub(crate) fn finish(
        &self,
        question: Question,
    ) -> impl Future<Output = (Ruling, Source)> + Send + 'static {
        Arc::clone(&self.shared).finish(Arc::clone(&self.spec), question)
    }

    pub(crate) fn decision(&self, ruling: Ruling, source: Source) -> ClusterDecision<'_> {
        ClusterDecision::new(Decision::elsewhere(&self.policies, ruling), source)
    }

    fn failed(&self, no: NoAnswer) -> ClusterError {
        match no {
            NoAnswer::Late => ClusterError::Timeout { after: self.shared.config.deadline },
            other => ClusterError::Redis(format!("{other:?}").into()),
        }
    }
}

impl Shared {
    /// An answer of Redis outside of decisions, within the deadline.
    pub(crate) async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, fred::error::Error>>,
    ) -> Result<T, ClusterError> {
        let after = self.config.deadline;
        match within(after, answer).await {
            Some(answer) => answer.map_err(|error| ClusterError::Redis(Box::new(error))),
            None => Err(ClusterError::Timeout { after }),
        }
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
