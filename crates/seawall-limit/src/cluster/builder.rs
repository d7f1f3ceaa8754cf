//! Collecting policies into a cluster-wide limiter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::background::{self, Tasks};
use super::breaker::Breakers;
use super::config::ClusterConfig;
use super::core::Core;
use super::desk::Desk;
use super::error::ClusterError;
use super::law::Law;
use super::limiter::ClusterLimiter;
use super::link::Link;
use super::protocol::Spec;
use super::settle;
use super::shared::Shared;
use super::state::FailureMode;
use super::stats::Stats;
use super::table::Table;
use crate::error::Error;
use crate::limiter::Limiter;
use crate::policy::Policy;

/// Policies, and how each is kept.
#[derive(Debug, Clone)]
#[must_use = "connect() makes the limiter"]
pub struct ClusterLimiterBuilder {
    config: ClusterConfig,
    policies: Vec<Policy>,
    modes: Vec<(Box<str>, FailureMode)>,
    exact: Vec<Box<str>>,
    share_seed: u64,
    before: Option<ClusterLimiter>,
}

impl ClusterLimiterBuilder {
    pub(crate) const fn new(config: ClusterConfig) -> Self {
        Self {
            config,
            policies: Vec::new(),
            modes: Vec::new(),
            exact: Vec::new(),
            share_seed: 0,
            before: None,
        }
    }

    pub(crate) fn after(before: ClusterLimiter) -> Self {
        let config = before.parts().1.config.clone();
        Self { before: Some(before), ..Self::new(config) }
    }

    /// Picks which keys are in a [`Share`](crate::Share), as
    /// [`LimiterBuilder::share_seed`](crate::LimiterBuilder::share_seed) does: the same on all nodes.
    pub const fn share_seed(mut self, seed: u64) -> Self {
        self.share_seed = seed;
        self
    }

    /// Adds a policy. Its name is part of what Redis keeps: nodes that share a quota call it the same.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Adds policies, such as those of [`presets`](crate::presets).
    pub fn policies(mut self, policies: impl IntoIterator<Item = Policy>) -> Self {
        self.policies.extend(policies);
        self
    }

    /// What to do about one policy while Redis is out of reach. Default:
    /// [`ClusterConfig::on_failure`].
    pub fn on_failure(mut self, policy: &str, mode: FailureMode) -> Self {
        self.modes.push((policy.into(), mode));
        self
    }

    /// Takes no units of this policy ahead: sets with it ask Redis for each decision.
    pub fn exact(mut self, policy: &str) -> Self {
        self.exact.push(policy.into());
        self
    }

    /// Connects, and waits until Redis has answered: operators' orders are then known.
    ///
    /// Cancel safety: dropping the future ends the connection.
    ///
    /// # Errors
    /// If something is not valid, or Redis does not answer within
    /// [`connect_timeout`](ClusterConfig::connect_timeout).
    pub async fn connect(self) -> Result<ClusterLimiter, ClusterError> {
        let patience = self.config.connect_timeout;
        let limiter = self.connect_lazy()?;
        match timeout(patience, limiter.ready()).await {
            Ok(()) => Ok(limiter),
            Err(_) => Err(ClusterError::Timeout { after: patience }),
        }
    }

    /// Starts connecting and returns at once. Until Redis answers, the failure modes decide. A
    /// [successor](ClusterLimiter::successor) has the connections already, and copies what the node
    /// knows of keys before this returns.
    ///
    /// # Errors
    /// If a number or a name is out of bounds, a policy is repeated, is no bucket, has a
    /// [debt](crate::Quota::with_debt), which only a limiter in the process recovers, or takes longer
    /// than 71 years to refill, a policy is named that there is not, or the URL is not valid. Then
    /// nothing has changed.
    ///
    /// # Panics
    /// Never, but it must be called within a Tokio runtime.
    pub fn connect_lazy(self) -> Result<ClusterLimiter, ClusterError> {
        self.config.validate()?;
        // It makes the sets and their texts; its own table is not used.
        let names = Limiter::builder().policies(self.policies.iter().cloned());
        let names = names.share_seed(self.share_seed).max_keys(1).build()?;
        let generation = Generation::of(&self, &names, "")?;
        let twin = names.shared().twin.as_ref();
        // Beside what is in force, under names that no policy has.
        let twin = twin.map(|twin| Generation::of(&self, twin.limiter(), "~")).transpose()?;
        let Self { config, before, .. } = self;
        let core = match &before {
            Some(before) => Arc::clone(before.parts().3.core()),
            None => {
                let (link, stats) = (Link::start(&config)?, Arc::new(Stats::new()));
                let breakers = Breakers::new(config.failures_to_open);
                let desk = Desk::new(Arc::new(link), breakers, Arc::clone(&stats), &config);
                let probe = generation.spec_of_first();
                Arc::new(background::start(Arc::new(Core::new(config, desk, stats)), &probe))
            }
        };
        let old = before.as_ref().map(ClusterLimiter::parts);
        let old_twin = old.and_then(|(_, live, twin, _)| twin.or(Some(live)));
        let shared = generation.start(core.core(), old.map(|(_, live, ..)| live));
        let twin = twin.map(|twin| twin.start(core.core(), old_twin));
        for earlier in core.core().generations() {
            [&shared].into_iter().chain(&twin).for_each(|next| earlier.followed_by(next));
        }
        let tasks = Tasks::start(core, [&shared].into_iter().chain(&twin));
        if let Some((_, live, twin, _)) = old {
            for shared in [live].into_iter().chain(twin) {
                // Once: it ends when nobody else has the generation, and two would wait for each other.
                if !shared.retiring.swap(true, Ordering::Relaxed) {
                    shared.desk.runtime.spawn(settle::retire(Arc::clone(shared)));
                }
            }
        }
        Ok(ClusterLimiter::new(names, shared, twin, tasks))
    }
}

/// Policies as a generation keeps them.
struct Generation {
    is_twin: bool,
    named: usize,
    laws: Box<[Law]>,
    names: Box<[Box<str>]>,
    modes: Box<[FailureMode]>,
    exact: Box<[bool]>,
}

impl Generation {
    fn of(builder: &ClusterLimiterBuilder, names: &Limiter, suffix: &str) -> Result<Self, Error> {
        let (all, usual) = (names.shared().all(), |id: usize| names.shared().usual(id as u8));
        let mut modes = vec![builder.config.on_failure; names.policies().len()];
        for (name, mode) in &builder.modes {
            modes[usize::from(names.id(name)?)] = *mode;
        }
        let mut exact = vec![false; names.policies().len()];
        for name in &builder.exact {
            exact[usize::from(names.id(name)?)] = true;
        }
        let of_usual = 0..all.len();
        Ok(Self {
            is_twin: !suffix.is_empty(),
            named: names.policies().len(),
            laws: all.iter().map(|it| Law::of(it.quota())).collect::<Result<_, _>>()?,
            names: all.iter().map(|it| [it.name(), suffix].concat().into()).collect(),
            modes: of_usual.clone().map(|id| modes[usize::from(usual(id))]).collect(),
            exact: of_usual.map(|id| exact[usize::from(usual(id))]).collect(),
        })
    }

    fn spec_of_first(&self) -> Arc<Spec> {
        Arc::new(Spec {
            ids: [0].into(),
            laws: self.laws[..1].into(),
            names: self.names[..1].into(),
            mask: 1,
            exact: true,
        })
    }

    fn start(self, core: &Arc<Core>, before: Option<&Arc<Shared>>) -> Arc<Shared> {
        let Self { is_twin, named, laws, names, modes, exact } = self;
        let table = match before {
            None => Table::new(core.config.max_keys, laws.len()),
            Some(before) => {
                let now = core.now();
                let was = |(name, law): (&str, &Law)| -> Vec<(usize, Law, Law)> {
                    let all = before.names.iter().zip(&before.laws).enumerate();
                    let same = all.filter(|(_, (was, _))| plain(was) == plain(name));
                    same.map(|(place, (_, from))| (place, *from, *law)).collect()
                };
                let pairs: Vec<_> = names.iter().map(|name| &**name).zip(&laws).map(was).collect();
                before.table.after(laws.len(), |state| state.after(&pairs, now))
            }
        };
        Arc::new(Shared {
            core: Arc::clone(core),
            terms: core.config.terms(),
            is_twin,
            named,
            shortest: laws.iter().map(|law| law.capacity.into()).collect(),
            laws,
            names,
            modes,
            exact,
            table,
            specs: Mutex::new(HashMap::new()),
            returns: Mutex::new(Vec::new()),
            sweeping: tokio::sync::Mutex::default(),
            owing: AtomicU64::new(0),
            held_last: AtomicU64::new(0),
            retiring: AtomicBool::new(false),
        })
    }
}

/// The name of a policy, of whichever side of a trial.
fn plain(name: &str) -> &str {
    name.trim_end_matches('~')
}

#[cfg(test)]
mod tests;
