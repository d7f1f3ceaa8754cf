//! Collecting policies into a cluster-wide limiter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::background;
use super::breaker::Breakers;
use super::config::ClusterConfig;
use super::desk::Desk;
use super::error::ClusterError;
use super::law::Law;
use super::limiter::ClusterLimiter;
use super::link::Link;
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
}

impl ClusterLimiterBuilder {
    pub(crate) const fn new(config: ClusterConfig) -> Self {
        Self { config, policies: Vec::new(), modes: Vec::new(), exact: Vec::new() }
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

    /// Starts connecting and returns at once. Until Redis answers, the failure modes decide.
    ///
    /// # Errors
    /// If a number or a name is out of bounds, a policy is repeated, is no bucket, is shadowed
    /// or enforced in part, has a candidate or a
    /// [debt](crate::Quota::with_debt), which only a limiter in the process recovers, or takes longer
    /// than 71 years to refill, a policy is named that there is not, or the URL is not valid.
    ///
    /// # Panics
    /// Never, but it must be called within a Tokio runtime.
    pub fn connect_lazy(self) -> Result<ClusterLimiter, ClusterError> {
        let Self { config, policies, modes, exact } = self;
        config.validate()?;
        if let Some(policy) = policies.iter().find(|policy| policy.is_on_trial()) {
            return Err(Error::ClusterTrial { policy: policy.name().into() }.into());
        }
        // It makes the sets and their texts; its own table is not used.
        let names = Limiter::builder().policies(policies).max_keys(1).build()?;
        let policies = names.policies();
        let laws: Box<[Law]> =
            policies.iter().map(|policy| Law::of(policy.quota())).collect::<Result<_, Error>>()?;
        let mut by_policy = vec![config.on_failure; policies.len()].into_boxed_slice();
        for (name, mode) in &modes {
            by_policy[usize::from(names.id(name)?)] = *mode;
        }
        let mut exactly = vec![false; policies.len()].into_boxed_slice();
        for name in &exact {
            exactly[usize::from(names.id(name)?)] = true;
        }
        let link = Link::start(&config)?;
        let stats = Arc::new(Stats::new());
        let breakers = Breakers::new(config.failures_to_open);
        let desk = Desk::new(Arc::new(link), breakers, Arc::clone(&stats), &config);
        let shared = Arc::new(Shared {
            id: format!("{:032x}", rand::random::<u128>()),
            terms: config.terms(),
            names: policies.iter().map(|policy| policy.name().into()).collect(),
            table: Table::new(config.max_keys, laws.len()),
            laws,
            modes: by_policy,
            exact: exactly,
            desk: Arc::new(desk),
            nodes: AtomicU32::new(config.nodes.unwrap_or(1)),
            blocks: RwLock::new(HashMap::new()),
            specs: Mutex::new(HashMap::new()),
            returns: Mutex::new(Vec::new()),
            sweeping: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            owing: AtomicU64::new(0),
            stats,
            start: Instant::now(),
            config,
        });
        let tasks = background::start(&shared);
        Ok(ClusterLimiter::new(names, shared, tasks))
    }
}
