//! A planner's plan as a signal that `decide` reads.

use std::time::Duration;

use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use crate::capacity::{Planner, SATURATED, Service, ServiceModel};
use crate::{Policy, State};

/// Publishes what a [`Planner`] wants as the signal `plan`, for
/// [`Forecast::plan`](crate::Forecast::plan): one wish among the others, in the
/// log like any signal, so that a replay needs no planner. What the reason of the decision is to say
/// of it comes beside it, as [`Outlook::of`](crate::Outlook::of) names it: `plan_horizon` in
/// seconds, `plan_low` and `plan_high`, the instances for the load that is expected and for the most
/// that is planned for, and `plan_missed`, the share of requests so far that came to more than that.
/// `plan_rate` is what an instance is taken to finish in a second.
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
/// A load that is missing or stale publishes nothing, and teaches the planner nothing: the last plan
/// grows old, and then counts as missing, so the group does not shrink. While a named
/// backlog is missing, stale or negative no plan is smaller than the group.
///
/// The plan knows neither the policy's bounds nor its other wishes: give
/// [`PlannerConfig::min`](crate::capacity::PlannerConfig::min) the policy's `min`,
/// or the group keeps the planner's where that is larger.
#[derive(Debug)]
pub struct PlanFeed {
    planner: Planner,
    load: String,
    backlog: Option<String>,
    begun: Option<Instant>,
    /// What the planner's clock showed then, in seconds.
    offset: f64,
    last: Option<Published>,
    busy: Option<Busy>,
}

/// What instances can do is learned from this.
#[derive(Debug)]
struct Busy {
    signal: String,
    model: ServiceModel,
    last: Option<Instant>,
    /// The backlog at the plan before.
    waited: f64,
}

/// A plan, as signals.
#[derive(Clone, Copy, Debug)]
struct Published {
    at: Instant,
    values: [(&'static str, f64, Unit); 6],
}

impl PlanFeed {
    /// Plans by the signal `load`, in requests a second over all instances. Make
    /// the planner with the policy's `evaluate_every` for its period: it learns
    /// in steps of that length.
    #[must_use]
    pub fn new(planner: Planner, load: impl Into<String>) -> Self {
        Self {
            planner,
            load: load.into(),
            backlog: None,
            begun: None,
            offset: 0.0,
            last: None,
            busy: None,
        }
    }

    /// Learns what an instance can do from the signal `busy`: how busy those that serve are on
    /// average, as a ratio, of what runs out first: of their CPU, or of their slots where requests
    /// wait for something else. The planner's service is what it begins with, and is planned with
    /// until twenty measurements are known. Nothing is learned within a start delay and an interval
    /// of a change of size, nor while more than a second's work waits, unless more does each time and
    /// all are busy to 95 % and more: then no more is done than what arrives.
    /// Default: the service stays as it was given.
    #[must_use]
    pub fn learn(mut self, busy: impl Into<String>) -> Self {
        let model = ServiceModel::new(self.planner.service());
        self.busy = Some(Busy { signal: busy.into(), model, last: None, waited: 0.0 });
        self
    }

    /// Sets what the planner's clock shows at the first plan, in seconds. It tells the minutes of the
    /// hour and of the day: give it the seconds since 1970, and a planner that was saved and
    /// restored goes on where it was. What is not finite is taken for 0. Default: 0.
    #[must_use]
    pub fn clock(mut self, seconds: f64) -> Self {
        self.offset = if seconds.is_finite() { seconds } else { 0.0 };
        self
    }

    /// What plans, for instance to save it.
    #[must_use]
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Sets the signal of the requests that wait. Default: none.
    #[must_use]
    pub fn backlog(mut self, signal: impl Into<String>) -> Self {
        self.backlog = Some(signal.into());
        self
    }

    /// Plans once and publishes. Call it before each decision: the planner
    /// looks ahead by the start delay and one interval of the policy. Called
    /// before the planner's next period, as cooldowns and bursts make an engine
    /// decide in between, it publishes the last plan again, with its own time.
    ///
    /// Cost: that of [`Planner::plan`]; some microseconds.
    pub fn publish(&mut self, signals: &mut Signals, policy: &Policy, state: &State, now: Instant) {
        if let Some(last) = self.last.filter(|last| self.early(last.at, now)) {
            return last.publish(signals);
        }
        let fresh = |signal: &str| {
            let sample = signals.fresh(signal, now, policy.max_signal_age).ok();
            sample.map(|sample| sample.value).filter(|value| *value >= 0.0)
        };
        let Some(load) = fresh(&self.load) else { return };
        let backlog = self.backlog.as_deref().map_or(Some(0.0), fresh);
        let begun = *self.begun.get_or_insert(now);
        let second = self.offset + now.saturating_duration_since(begun).as_secs_f64();
        let ahead: Duration = state.start_delay(policy).saturating_add(policy.evaluate_every);
        let calm = |change: Option<Instant>| {
            change.is_none_or(|at| now.saturating_duration_since(at) >= ahead)
        };
        if let (Some(busy), Some(waits)) = (&mut self.busy, backlog) {
            let grows = waits > std::mem::replace(&mut busy.waited, waits);
            let waits = waits > load;
            if (grows || !waits) && calm(state.last_up) && calm(state.last_down) {
                self.planner.serve(busy.learn(signals, policy, state, load, waits, now));
            }
        }
        let (current, ahead) = (state.current, ahead.as_secs_f64());
        let plan = self.planner.plan(second, load, backlog.unwrap_or(0.0), current, ahead);
        // What is not known does not shrink the group.
        let least = if backlog.is_none() { current } else { 0 };
        let low = self.planner.service().least(plan.expected).min(plan.wish);
        let published = Published {
            at: now,
            values: [
                ("plan", f64::from(plan.target.max(least)), Unit::Count),
                ("plan_horizon", plan.horizon, Unit::Seconds),
                ("plan_low", f64::from(low), Unit::Count),
                ("plan_high", f64::from(plan.wish), Unit::Count),
                ("plan_missed", plan.missed, Unit::Ratio),
                ("plan_rate", self.planner.service().rate, Unit::PerSecond),
            ],
        };
        published.publish(signals);
        self.last = Some(published);
    }

    /// Whether the period that began at `last` is not over yet, but for a tenth:
    /// timers are not exact.
    fn early(&self, last: Instant, now: Instant) -> bool {
        now.saturating_duration_since(last).as_secs_f64() < 0.9 * self.planner.period()
    }
}

impl Busy {
    fn learn(
        &mut self,
        signals: &Signals,
        policy: &Policy,
        state: &State,
        load: f64,
        waits: bool,
        now: Instant,
    ) -> Service {
        if let Ok(busy) = signals.fresh(&self.signal, now, policy.max_signal_age)
            && self.last.is_none_or(|last| busy.at > last)
            // What waits and is not for want of time is for want of something else.
            && (!waits || busy.value >= SATURATED)
        {
            self.last = Some(busy.at);
            self.model.observe(load, state.current, busy.value);
        }
        self.model.service()
    }
}

impl Published {
    fn publish(self, signals: &mut Signals) {
        for (name, value, unit) in self.values {
            signals.set(name, value, unit, self.at);
        }
    }
}

#[cfg(test)]
mod tests;
