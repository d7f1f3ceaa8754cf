//! A planner's plan as a signal that `decide` reads.

use std::time::Duration;

use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use crate::capacity::Planner;
use crate::{Policy, State};

/// Publishes what a [`Planner`] wants as the signal `plan`, for
/// [`Forecast::plan`](crate::Forecast::plan): one wish among the others, in the
/// log like any signal, so that a replay needs no planner.
///
/// ```
/// use seawall_scale::capacity::{Planner, PlannerConfig, Service};
/// use seawall_scale::{Engine, Forecast, PlanFeed, Policy};
/// use seawall_signal::{Signals, Unit};
/// use tokio::time::Instant;
///
/// let service = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };
/// let planner = Planner::new(PlannerConfig::default(), service, 15.0);
/// let mut feed = PlanFeed::new(planner, "rate(requests)");
/// let policy = Policy { max: 50, forecasts: vec![Forecast::plan("plan")], ..Policy::default() };
/// let mut engine = Engine::new(policy, 4)?;
///
/// let now = Instant::now();
/// let mut signals = Signals::new();
/// signals.set("rate(requests)", 100.0, Unit::PerSecond, now);
/// feed.publish(&mut signals, engine.policy(), engine.state(), now);
/// assert!(engine.tick(&signals, now).target >= 14);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// A load that is missing or stale publishes nothing: the last plan grows old,
/// and then counts as missing, so the group does not shrink.
#[derive(Debug)]
pub struct PlanFeed {
    planner: Planner,
    load: String,
    backlog: Option<String>,
    begun: Option<Instant>,
}

impl PlanFeed {
    /// Plans by the signal `load`, in requests a second over all instances.
    #[must_use]
    pub fn new(planner: Planner, load: impl Into<String>) -> Self {
        Self { planner, load: load.into(), backlog: None, begun: None }
    }

    /// Sets the signal of the requests that wait. Default: none.
    #[must_use]
    pub fn backlog(mut self, signal: impl Into<String>) -> Self {
        self.backlog = Some(signal.into());
        self
    }

    /// Plans once and publishes. Call it before each decision: the planner
    /// looks ahead by the start delay and one interval of the policy.
    ///
    /// Cost: that of [`Planner::plan`]; some microseconds.
    pub fn publish(&mut self, signals: &mut Signals, policy: &Policy, state: &State, now: Instant) {
        let fresh = |signal: &str| {
            signals.fresh(signal, now, policy.max_signal_age).ok().map(|sample| sample.value)
        };
        let Some(load) = fresh(&self.load).filter(|load| *load >= 0.0) else { return };
        let backlog = self.backlog.as_deref().and_then(fresh).unwrap_or(0.0);
        let begun = *self.begun.get_or_insert(now);
        let second = now.saturating_duration_since(begun).as_secs_f64();
        let ahead: Duration = state.start_delay(policy).saturating_add(policy.evaluate_every);
        let plan = self.planner.plan(second, load, backlog, state.current, ahead.as_secs_f64());
        signals.set(PLAN, f64::from(plan.target), Unit::Count, now);
    }
}

const PLAN: &str = "plan";
