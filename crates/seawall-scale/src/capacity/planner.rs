use std::collections::VecDeque;

use super::predictor::Predictor;
use super::{Headroom, Service};

/// What a [`Planner`] is held to.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct PlannerConfig {
    /// The share of the moments at which the load may outgrow the plan before new instances are
    /// ready. 0.001 to 0.5. Default: 0.03.
    pub budget: f64,
    /// The factor to begin with, until enough was seen. 1 to 10. Default: 1.43, which is a target
    /// of 70 %.
    pub prior: f64,
    /// How long what was seen counts, in seconds. Default: 6 hours.
    pub memory: f64,
    /// Down only to the largest plan of so many seconds. Default: 300.
    pub down_window: f64,
    /// A smaller plan within this share of the size is not followed. 0 to below 1. Default: 0.05.
    pub tolerance: f64,
}

impl Default for PlannerConfig {
    fn default() -> Self {
        Self {
            budget: 0.03,
            prior: 1.43,
            memory: 6.0 * 3600.0,
            down_window: 300.0,
            tolerance: 0.05,
        }
    }
}

/// Sizes a group by what it can do and by how its load has moved. Pure: time is an argument, in
/// seconds on any clock.
#[derive(Clone, Debug)]
pub struct Planner {
    config: PlannerConfig,
    service: Service,
    candidates: Vec<Candidate>,
    /// The most that was seen.
    seen: Predictor,
    /// How much one plan counts in the mean of a candidate.
    weight: f64,
    /// Plans of the down window, the largest first.
    plans: VecDeque<(f64, u32)>,
}

/// A way to predict, with the headroom that it needs.
#[derive(Clone, Debug)]
struct Candidate {
    predictor: Predictor,
    headroom: Headroom,
    /// The mean of what it asked for, relative to the load.
    mean: Option<f64>,
}

/// One plan, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// How many instances there should be.
    pub target: u32,
    /// What the load now asks for, before the down window and the tolerance.
    pub wish: u32,
    /// The load expected until the end of the horizon, in requests a second.
    pub expected: f64,
    /// How much more it may become, by what was seen.
    pub headroom: f64,
    /// How it was predicted.
    pub predictor: &'static str,
}

impl Planner {
    /// `period`: how often it is asked, in seconds.
    #[must_use]
    pub fn new(config: PlannerConfig, service: Service, period: f64) -> Self {
        let samples = (config.memory / period.max(0.1)).clamp(1.0, 1e6);
        let headroom = Headroom::new(samples as usize, config.prior);
        let candidate = |predictor| Candidate { predictor, headroom: headroom.clone(), mean: None };
        Self {
            candidates: Predictor::all().into_iter().map(candidate).collect(),
            seen: Predictor::peak(config.memory),
            weight: (4.0 / samples).min(1.0),
            config,
            service,
            plans: VecDeque::new(),
        }
    }

    /// The plan at `now` for a group of `current` instances under `load` requests a second, with
    /// `backlog` requests waiting besides, where a new instance is ready after `start` seconds.
    ///
    /// A load that is negative or not finite is missing: the size stays, and nothing is learned.
    pub fn plan(&mut self, now: f64, load: f64, backlog: f64, current: u32, start: f64) -> Plan {
        if !(load.is_finite() && load >= 0.0 && now.is_finite()) {
            let (expected, headroom, predictor) = (f64::NAN, 1.0, "none");
            return Plan { target: current, wish: current, expected, headroom, predictor };
        }
        let backlog = if backlog.is_finite() { backlog.max(0.0) } else { 0.0 };
        let start = if start.is_finite() { start.clamp(0.0, LONGEST_START) } else { LONGEST_START };
        let quantile = 1.0 - self.config.budget;
        // Nobody needs much more than there ever was, unless it is growing right now.
        let seen = self.seen.predict(now, load, start);
        let most = (seen * BEYOND_SEEN).max(load * GROWING);
        let mut best: Option<(f64, Plan)> = None;
        for candidate in &mut self.candidates {
            let expected = candidate.predictor.predict(now, load, start);
            candidate.headroom.observe(now, load, expected, start);
            let headroom = candidate.headroom.factor(quantile);
            let asks = (expected * headroom).min(most);
            let ratio = asks / load.max(self.service.rate);
            let mean = candidate.mean.map_or(ratio, |mean| mean + self.weight * (ratio - mean));
            candidate.mean = Some(mean);
            // All keep the budget: the one that asks for least knows most.
            if best.is_none_or(|(least, _)| mean < least) {
                let wish = self.service.least(asks);
                let predictor = candidate.predictor.name();
                best = Some((mean, Plan { target: 0, wish, expected, headroom, predictor }));
            }
        }
        let plan = best.map(|(_, plan)| plan);
        // What waits is to be done within a start-up time, or half a minute.
        let drain = backlog / start.clamp(1.0, 30.0);
        let least = self.service.least(load + drain);
        let mut plan = plan.unwrap_or(Plan {
            target: 0,
            wish: least,
            expected: load,
            headroom: 1.0,
            predictor: "none",
        });
        plan.wish = plan.wish.max(least);
        plan.target = self.hold(now, plan.wish, current);
        plan
    }

    fn hold(&mut self, now: f64, wish: u32, current: u32) -> u32 {
        let from = now - self.config.down_window;
        while self.plans.front().is_some_and(|(at, _)| *at <= from) {
            self.plans.pop_front();
        }
        while self.plans.back().is_some_and(|(_, plan)| *plan <= wish) {
            self.plans.pop_back();
        }
        self.plans.push_back((now, wish));
        let held = self.plans.front().map_or(wish, |(_, plan)| *plan);
        let floor = f64::from(current) * (1.0 - self.config.tolerance);
        if wish >= current {
            wish
        } else if f64::from(held) > floor || held >= current {
            current
        } else {
            held
        }
    }
}

/// How far the plan may go beyond the most that was seen.
const BEYOND_SEEN: f64 = 1.1;

/// How many times the present load it may plan for, whatever was seen.
const GROWING: f64 = 2.0;

/// A day, in seconds.
const LONGEST_START: f64 = 86_400.0;
