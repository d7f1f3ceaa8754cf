use std::time::Duration;

use seawall_signal::{Signals, Truth};
use tokio::time::Instant;

use crate::{Policy, Reason, State, Zero, mix};

/// The sizes that may be, and why they are not the policy's alone.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
    /// Why `min` is not the policy's.
    pub(super) low: Option<Reason>,
    /// Why `max` is not the policy's.
    pub(super) high: Option<Reason>,
    /// Something that could ask for more is not known.
    pub(super) unknown: Option<Reason>,
    /// Whether the group shall have no instance.
    pub(super) idle: bool,
    /// When the group was last active, for the state.
    pub(super) active: Option<Instant>,
    /// When to look again.
    pub(super) next: Option<Duration>,
}

impl Bounds {
    pub(super) fn of(policy: &Policy, state: &State, signals: &Signals, now: Instant) -> Self {
        let mut bounds = Self {
            min: policy.min.min(policy.max),
            max: policy.max,
            low: None,
            high: None,
            unknown: None,
            idle: false,
            active: state.active(),
            next: None,
        };
        #[cfg(feature = "schedules")]
        bounds.schedules(policy, state, now);
        bounds.dependencies(policy);
        bounds.budget(policy);
        if let Some(zero) = &policy.zero {
            bounds.zero(policy, zero, state, signals, now);
        }
        bounds
    }

    /// `instances` within the bounds.
    pub(super) fn cut(&self, instances: u32) -> u32 {
        instances.max(self.min).min(self.max)
    }

    fn raise(&mut self, min: u32, why: Reason) {
        if min > self.min {
            self.min = min.min(self.max);
            self.low = Some(why);
        }
    }

    fn lower(&mut self, max: u32, why: Reason) {
        if max < self.max {
            self.max = max;
            self.high = Some(why);
        }
    }

    fn again(&mut self, after: Duration) {
        self.next = Some(self.next.map_or(after, |next| next.min(after)));
    }

    /// The largest minimum of the open windows, and the smallest maximum; where
    /// they contradict, the larger size.
    #[cfg(feature = "schedules")]
    fn schedules(&mut self, policy: &Policy, state: &State, now: Instant) {
        if policy.schedules.is_empty() {
            return;
        }
        let Some(wall) = state.wall() else {
            self.unknown = Some(Reason::ClockUnknown);
            return;
        };
        let unix = wall.unix(now);
        let start = state.start_delay(policy);
        let looks =
            || policy.schedules.iter().map(|schedule| (schedule, schedule.look(unix, start)));
        for (schedule, look) in looks() {
            if let Some(next) = look.next {
                self.again(next);
            }
            if let Some(min) = schedule.min.filter(|_| look.open || look.early) {
                let name = schedule.name.clone();
                self.raise(min, Reason::Scheduled { name, min, early: !look.open });
            }
        }
        let least = self.min;
        for (schedule, look) in looks() {
            if let Some(max) = schedule.max.filter(|_| look.open) {
                let name = schedule.name.clone();
                self.lower(max.max(least), Reason::ScheduledMax { name, max });
            }
        }
    }

    /// A hard bound: it goes before the minimum of a schedule.
    fn dependencies(&mut self, policy: &Policy) {
        for dependency in &policy.dependencies {
            let most = dependency.most();
            if most < self.max {
                let name = dependency.name.clone();
                self.lower(most, Reason::DependencyLimit { name, most });
            }
        }
        self.min = self.min.min(self.max);
    }

    fn budget(&mut self, policy: &Policy) {
        let Some(budget) = policy.budget else { return };
        // What a mix costs in the end is looked at when the group grows.
        let each = mix::unit_cost(&policy.kinds, policy.max_spot);
        let most = budget.most(each.unwrap_or(budget.each));
        let per_hour = budget.per_hour;
        self.lower(most.max(self.min), Reason::OverBudget { most, per_hour });
    }

    fn zero(
        &mut self,
        policy: &Policy,
        zero: &Zero,
        state: &State,
        signals: &Signals,
        now: Instant,
    ) {
        let mut truth = Truth::False;
        let mut cause = None;
        for each in &zero.activate {
            let active = match signals.fresh(&each.signal, now, policy.max_signal_age) {
                Ok(sample) => Truth::from(sample.value > each.above),
                Err(_) => Truth::Unknown,
            };
            if active.is_true() && cause.is_none() {
                cause = signals.get(&each.signal).map(|sample| Reason::Active {
                    signal: each.signal.clone(),
                    value: sample.value,
                    above: each.above,
                });
            }
            truth = truth.or(active);
        }
        if state.current == 0 {
            // What is not known does not wake it.
            match cause {
                Some(cause) => self.raise(1, cause),
                None => self.idle = true,
            }
            self.active = Some(now).filter(|_| truth.is_true()).or(self.active);
            return;
        }
        if !truth.is_false() || self.active.is_none() {
            self.active = Some(now);
        }
        let since = self.active.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let remaining = zero.idle.saturating_sub(since);
        if truth.is_false() && remaining.is_zero() {
            self.idle = true;
            return;
        }
        self.again(remaining.max(Duration::from_millis(1)));
        self.raise(1, cause.unwrap_or(Reason::Awake { remaining }));
    }
}
