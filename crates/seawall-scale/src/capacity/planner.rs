use super::Service;
use super::candidate::{Candidate, Tick};
use super::extreme::Extreme;
use super::tail::assumed_factor;

/// What a [`Planner`] weighs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct PlannerConfig {
    /// What a request that finds too few instances costs, beside what the capacity for one
    /// costs. At 20 a per cent of bad requests is worth a fifth more instances. The one knob: dear
    /// requests get more room. Above 0, at most 10 000. Default: 20.
    pub price: f64,
    /// What a start costs besides, in seconds of an instance: pulling, warming, cold caches. It
    /// makes holding an instance cheaper than starting it again. 0 to 86 400. Default: 300.
    pub start_price: f64,
    /// For how many seconds of load the assumption counts with which it begins, which is a target
    /// of about 70 %. 0 to 604 800. Default: 4 hours.
    pub assumed: f64,
    /// What is so many seconds old counts a third (1/e). Above 0, at most a year. Default: a day,
    /// which is the cycle that most load has.
    pub memory: f64,
    /// Down only to the largest plan of so many seconds, whatever is learned. 0 to 86 400.
    /// Default: 60, four measurements of 15 s.
    pub down_window: f64,
    /// A smaller plan within this share of the size is not followed. 0 to below 1. Default: 0.05.
    pub tolerance: f64,
    /// The fewest instances the group ever has: what they carry needs no plan. Default: 2.
    pub min: u32,
}

impl Default for PlannerConfig {
    fn default() -> Self {
        Self {
            price: 20.0,
            start_price: 300.0,
            assumed: 4.0 * 3600.0,
            memory: 86_400.0,
            down_window: 60.0,
            tolerance: 0.05,
            min: 2,
        }
    }
}

/// Why a [`PlannerConfig`] cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("planner: {field} is {value}: must be {least} to {most}")]
#[non_exhaustive]
pub struct PlannerError {
    /// Which field.
    pub field: &'static str,
    /// What it is.
    pub value: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
}

impl PlannerConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field out of its bounds. Trying again does not help.
    pub fn validate(&self) -> Result<(), PlannerError> {
        for (field, value, least, most) in [
            ("price", self.price, 1e-3, 1e4),
            ("start_price", self.start_price, 0.0, DAY),
            ("assumed", self.assumed, 0.0, 7.0 * DAY),
            ("memory", self.memory, 1.0, 366.0 * DAY),
            ("down_window", self.down_window, 0.0, DAY),
            ("tolerance", self.tolerance, 0.0, 0.99),
        ] {
            if !(least..=most).contains(&value) {
                return Err(PlannerError { field, value, least, most });
            }
        }
        Ok(())
    }
}

/// Sizes a group by what it can do and by how its load has moved. Pure: time is an argument, in
/// seconds on any clock.
///
/// Fourteen ways to size it are played along, each a simple prediction that is held for a while and
/// multiplied by a factor. What each would have had ready is known, for a start takes its
/// time; so the factor for which instances and bad requests would have cost least together is known
/// (the newsvendor's rule), and so is which of them would have cost least with the factors it had
/// at each time. That one is followed.
///
/// Cost: constant memory for a period (the longest hold is three hours); a plan is
/// fourteen times a few queue operations, and two scans of 192 counters.
#[derive(Clone, Debug)]
pub struct Planner {
    config: PlannerConfig,
    service: Service,
    period: f64,
    candidates: Vec<Candidate>,
    chosen: usize,
    /// What the smallest group carries.
    floor: f64,
    /// Of the next tick, and of all loads and ticks so far.
    weight: f64,
    seen: f64,
    weights: f64,
    /// Ticks that are taken to have been seen before the first.
    assumed: f64,
    ticks: usize,
    last: Option<f64>,
    wishes: Extreme,
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
    /// How much more is planned for, by what was seen. Below 1 where an old peak is held in part.
    pub headroom: f64,
    /// How it was predicted.
    pub predictor: &'static str,
}

impl Planner {
    /// `period`: how often it is asked, in seconds. What the `config` has out of its bounds
    /// ([`PlannerConfig::validate`]) is taken for its default.
    #[must_use]
    pub fn new(config: PlannerConfig, service: Service, period: f64) -> Self {
        let config = if config.validate().is_ok() { config } else { PlannerConfig::default() };
        let period = if period.is_finite() { period.max(0.1) } else { 15.0 };
        Self {
            candidates: Candidate::all(period, assumed_factor(config.price)),
            chosen: 0,
            floor: service.most(config.min),
            weight: 1.0,
            seen: 0.0,
            weights: 0.0,
            assumed: config.assumed / period,
            ticks: 0,
            last: None,
            wishes: Extreme::default(),
            config,
            service,
            period,
        }
    }

    /// How often it is to be asked, in seconds.
    pub(crate) fn period(&self) -> f64 {
        self.period
    }

    /// The plan at `now` for a group of `current` instances under `load` requests a second, with
    /// `backlog` requests waiting besides, where a new instance is ready after `start` seconds.
    ///
    /// A load that is negative or not finite is missing: the size stays, and nothing is learned.
    pub fn plan(&mut self, now: f64, load: f64, backlog: f64, current: u32, start: f64) -> Plan {
        if !((0.0..MOST_LOAD).contains(&load) && now.is_finite()) {
            let (expected, headroom, predictor) = (f64::NAN, 1.0, "none");
            return Plan { target: current, wish: current, expected, headroom, predictor };
        }
        let backlog = if backlog.is_finite() { backlog.max(0.0) } else { 0.0 };
        let start = if start.is_finite() { start.clamp(0.0, DAY) } else { DAY };
        let (planned, expected) = self.learn(now, load, start);
        // What waits is to be done within a start-up time, or half a minute.
        let drain = backlog / start.clamp(1.0, 30.0);
        let wish = self.service.least(planned.max(load + drain)).max(self.config.min);
        let chosen = &self.candidates[self.chosen];
        let (headroom, predictor) = (chosen.factor(), chosen.name());
        Plan { target: self.hold(now, wish, current), wish, expected, headroom, predictor }
    }

    /// Plays all candidates along, and follows the one that would have cost least.
    fn learn(&mut self, now: f64, load: f64, horizon: f64) -> (f64, f64) {
        self.skip_missing(now);
        self.weight *= 1.0 + self.period / self.config.memory;
        if self.weight > MOST_WEIGHT {
            let by = 1.0 / self.weight;
            self.candidates.iter_mut().for_each(|candidate| candidate.scale(by));
            (self.seen, self.weights, self.weight) = (self.seen * by, self.weights * by, 1.0);
            self.assumed *= by;
        }
        let Self { floor, weight, period, .. } = *self;
        let (price, start_price) = (self.config.price, self.config.start_price);
        self.seen += weight * load.max(floor);
        self.weights += weight;
        self.ticks += 1;
        let assumed = self.assumed * self.seen / self.weights;
        let tick = Tick { now, load, horizon, period, floor, weight, price, start_price };
        let early = self.ticks <= EARLY;
        let mut plan = (load, load);
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            if early || self.ticks % TURNS == index % TURNS {
                candidate.choose(price, self.seen, assumed);
            }
            let planned = candidate.step(tick);
            if index == self.chosen {
                plan = planned;
            }
        }
        self.follow(assumed);
        plan
    }

    /// Steps without a measurement: what carries a slope on has to know of them.
    fn skip_missing(&mut self, now: f64) {
        let missing = self.last.map_or(0.0, |last| (now - last) / self.period - 1.0).round();
        for _ in 0..missing.clamp(0.0, MOST_MISSING) as usize {
            self.candidates.iter_mut().for_each(Candidate::skip);
        }
        self.last = Some(now);
    }

    /// Another candidate is followed once it is clearly better, for a change of way is a change of
    /// size: by a tenth of the least there is to pay, and more while little was seen.
    fn follow(&mut self, assumed: f64) {
        let loss = |index: usize| self.candidates[index].loss() / (self.seen + assumed);
        let least = |a: &usize, b: &usize| loss(*a).total_cmp(&loss(*b));
        let Some(best) = (0..self.candidates.len()).min_by(least) else { return };
        let unknown = assumed / (self.seen + assumed);
        if loss(best) < loss(self.chosen) - CLEARLY * (1.0 + 5.0 * unknown) {
            self.chosen = best;
        }
    }

    fn hold(&mut self, now: f64, wish: u32, current: u32) -> u32 {
        let held = self.wishes.largest(now, f64::from(wish), self.config.down_window);
        let least = f64::from(current) * (1.0 - self.config.tolerance);
        if wish >= current {
            wish
        } else if held > least {
            current
        } else {
            held as u32
        }
    }
}

/// See [`Planner::follow`].
const CLEARLY: f64 = 0.1;

/// The factor of each candidate is chosen anew every so many ticks, in turns,
const TURNS: usize = 8;

/// but at each of the first ones.
const EARLY: usize = 240;

/// Then weights are made small again.
const MOST_WEIGHT: f64 = 1e12;

/// Requests a second that are no measurement any more.
const MOST_LOAD: f64 = 1e15;

/// Steps; after more, everything a slope looks at is gone anyway.
const MOST_MISSING: f64 = 120.0;

/// In seconds.
const DAY: f64 = 86_400.0;
