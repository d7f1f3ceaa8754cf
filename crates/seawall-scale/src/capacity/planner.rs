use super::Service;
use super::candidate::{Candidate, Tick};
use super::clock::{Clock, Now};
use super::extreme::Extreme;

/// What a [`Planner`] weighs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct PlannerConfig {
    /// What a request that finds too few instances costs, beside what the instances cost that one
    /// takes at the least, those counted that `min` keeps. At 20 a per cent of bad requests is worth
    /// a fifth more instances. The one knob: dear requests get more room. Above 0, at most 10 000.
    /// Default: 20.
    pub price: f64,
    /// What a start costs besides, in seconds of an instance: pulling, warming, cold caches. It
    /// makes holding an instance cheaper than starting it again. 0 to 86 400. Default: 340.
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
            start_price: 340.0,
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
/// Twenty-two ways to size it are played along, each a simple prediction that is held for a while and
/// multiplied by a factor. What each would have had ready is known, for a start takes its
/// time; so the factor for which instances and bad requests would have cost least together is known
/// (the newsvendor's rule), and so is which of them would have cost least with the factors it had
/// at each time. That one is followed.
///
/// Besides, the minute of the hour and the quarter of the day are known in which more came than was
/// ready, again and again: there is a floor ahead of those, while it is worth what it costs
/// ([`floors`](Self::floors)). They are counted from the zero of the clock that `now` is told on.
///
/// Cost: constant memory for a period (the longest hold is three hours), about 100 kB; a plan is
/// twenty-two times a few queue operations, and three scans of 192 counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Planner {
    pub(super) config: PlannerConfig,
    pub(super) service: Service,
    pub(super) period: f64,
    /// What the smallest group carries.
    floor: f64,
    pub(super) learned: Learned,
}

/// What it knows of the load.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub(super) struct Learned {
    candidates: Vec<Candidate>,
    chosen: usize,
    clocks: Vec<Clock>,
    /// What the plans have ready, and what they had at the tick before.
    ready: Extreme,
    ready_before: Option<f64>,
    /// The weighed load that found too little ready.
    missed: f64,
    /// Of the next tick, and of all loads and ticks so far.
    weight: f64,
    seen: f64,
    weights: f64,
    /// Of all ticks so far: the load, and what the least size for it would carry. Version 1 has
    /// neither: it is to be read as far as its number.
    #[cfg_attr(feature = "serde", serde(default))]
    loads: f64,
    #[cfg_attr(feature = "serde", serde(default))]
    sizes: f64,
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
    /// How far ahead that is, in seconds: until what is started now is ready, and one period.
    pub horizon: f64,
    /// The upper end of the interval that is planned for, in requests a second: `expected` times
    /// the headroom, or the floor of the clock. The lower end is nothing.
    pub ready_for: f64,
    /// The share of the requests so far, the old counting less, that came to a higher load than
    /// had been planned for in time: how often the interval did not hold. 0 before the first.
    pub missed: f64,
    /// Which clock has raised it: `hour` or `day`.
    pub floor: Option<&'static str>,
}

impl Planner {
    /// `period`: how often it is asked, in seconds. What the `config` has out of its bounds
    /// ([`PlannerConfig::validate`]) is taken for its default.
    #[must_use]
    pub fn new(config: PlannerConfig, service: Service, period: f64) -> Self {
        let config = if config.validate().is_ok() { config } else { PlannerConfig::default() };
        let period = if period.is_finite() { period.max(0.1) } else { 15.0 };
        let candidates = Candidate::all(period, config.price);
        let learned = Learned {
            chosen: candidates.len().saturating_sub(1),
            candidates,
            clocks: vec![Clock::hour(), Clock::day()],
            ready: Extreme::default(),
            ready_before: None,
            missed: 0.0,
            weight: 1.0,
            seen: 0.0,
            weights: 0.0,
            loads: 0.0,
            sizes: 0.0,
            assumed: config.assumed / period,
            ticks: 0,
            last: None,
            wishes: Extreme::default(),
        };
        Self { floor: service.most(config.min), config, service, period, learned }
    }

    /// The floors of the clock by name, and whether each is trusted: one that lately cost more
    /// than it saved is left out until it would have been worth it again.
    pub fn floors(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.learned.clocks.iter().map(|clock| (clock.name(), clock.open()))
    }

    /// What one instance can do, as it plans.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// Plans with another service from now on, for instance what a
    /// [`ServiceModel`](super::ServiceModel) has learned. What it knows of the load stays. A rate that
    /// is not above 0 and finite changes nothing.
    ///
    /// Cost: some twenty evaluations of the queueing formula, and none for the same service.
    pub fn serve(&mut self, service: Service) {
        if service != self.service && service.rate > 0.0 && service.rate.is_finite() {
            self.floor = service.most(self.config.min);
            self.service = service;
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
            return Plan {
                target: current,
                wish: current,
                expected: f64::NAN,
                headroom: 1.0,
                predictor: "none",
                horizon: f64::NAN,
                ready_for: f64::NAN,
                missed: self.learned.share_missed(),
                floor: None,
            };
        }
        let backlog = if backlog.is_finite() { backlog.max(0.0) } else { 0.0 };
        let start = if start.is_finite() { start.clamp(0.0, DAY) } else { DAY };
        let (planned, expected, floor) = self.learn(now, load, start);
        // What waits is to be done within a start-up time, or half a minute.
        let drain = backlog / start.clamp(1.0, 30.0);
        let wish = self.service.least(planned.max(load + drain)).max(self.config.min);
        let chosen = &self.learned.candidates[self.learned.chosen];
        let (headroom, predictor) = (chosen.factor(), chosen.name());
        Plan {
            target: self.hold(now, wish, current),
            wish,
            expected,
            headroom,
            predictor,
            horizon: start,
            ready_for: planned,
            missed: self.learned.share_missed(),
            floor,
        }
    }

    /// Plays all candidates along, and follows the one that would have cost least.
    fn learn(&mut self, now: f64, load: f64, horizon: f64) -> (f64, f64, Option<&'static str>) {
        self.skip_missing(now);
        let needed = self.needed(load);
        let Self { floor, period, .. } = *self;
        let start_price = self.config.start_price;
        let size = f64::from(self.service.least(load).max(self.config.min)) * self.service.rate;
        let learned = &mut self.learned;
        learned.pass(period / self.config.memory);
        let price = self.config.price * learned.size_of_load(load, size);
        let carried = learned.clocks.iter().any(|clock| clock.carried(needed));
        let clock = Now { now, load, needed, horizon, period, least: floor, price, start_price };
        learned.clocks.iter_mut().for_each(|one| one.learn(clock));
        let weight = learned.weight;
        learned.seen += weight * load.max(floor);
        learned.weights += weight;
        learned.ticks += 1;
        if load > floor && learned.ready_before.is_some_and(|ready| needed > ready) {
            learned.missed += weight * load;
        }
        let assumed = learned.assumed * learned.seen / learned.weights;
        let tick =
            Tick { now, load, needed, carried, horizon, period, floor, weight, price, start_price };
        let early = learned.ticks <= EARLY;
        let mut plan = (load, load);
        for (index, candidate) in learned.candidates.iter_mut().enumerate() {
            if early || learned.ticks % TURNS == index % TURNS {
                candidate.choose(price, learned.seen, assumed);
            }
            let planned = candidate.step(tick);
            if index == learned.chosen {
                plan = planned;
            }
        }
        learned.follow(assumed);
        let base = plan.0.max(floor);
        let mut raised = (base, None);
        for one in &mut learned.clocks {
            let floored = one.plan(clock, base);
            if floored > raised.0 {
                raised = (floored, Some(one.name()));
            }
        }
        let planned = if raised.1.is_some() { raised.0 } else { plan.0 };
        learned.ready_before = Some(learned.ready.smallest(now, planned.max(floor), horizon));
        (planned, plan.1, raised.1)
    }

    /// The rate above which `load` has enough instances: that of one less than it needs. A plan
    /// is made in whole instances, and what they carry above it is not to be paid for again.
    fn needed(&self, load: f64) -> f64 {
        let least = self.service.least(load);
        if least > 0 && least < u32::MAX { self.service.most(least - 1) } else { load }
    }

    /// Steps without a measurement: what carries a slope on has to know of them.
    fn skip_missing(&mut self, now: f64) {
        let learned = &mut self.learned;
        let missing = learned.last.map_or(0.0, |last| (now - last) / self.period - 1.0).round();
        for _ in 0..missing.clamp(0.0, MOST_MISSING) as usize {
            learned.candidates.iter_mut().for_each(Candidate::skip);
        }
        learned.last = Some(now);
    }

    fn hold(&mut self, now: f64, wish: u32, current: u32) -> u32 {
        let held = self.learned.wishes.largest(now, f64::from(wish), self.config.down_window);
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

impl Learned {
    /// A tick passes: it counts more than those before by `share`.
    fn pass(&mut self, share: f64) {
        self.weight *= 1.0 + share;
        if self.weight > MOST_WEIGHT {
            let by = 1.0 / self.weight;
            self.candidates.iter_mut().for_each(|candidate| candidate.scale(by));
            (self.seen, self.weights, self.weight) = (self.seen * by, self.weights * by, 1.0);
            (self.assumed, self.missed) = (self.assumed * by, self.missed * by);
            (self.loads, self.sizes) = (self.loads * by, self.sizes * by);
        }
    }

    /// How much more than the load it is what instances are paid for at the least: whole ones, with
    /// room for chance, and never fewer than a few. A group that is mostly idle pays several times
    /// its load whatever is planned, so a share of its requests is worth several times as much.
    fn size_of_load(&mut self, load: f64, size: f64) -> f64 {
        let assumed =
            if self.weights > 0.0 { self.assumed / self.weights * self.seen } else { 0.0 };
        self.loads += self.weight * load;
        self.sizes += self.weight * size;
        let loads = (self.loads + assumed).max(f64::MIN_POSITIVE);
        ((self.sizes + assumed) / loads).clamp(1.0, MOST_SIZE)
    }

    fn share_missed(&self) -> f64 {
        if self.seen > 0.0 { self.missed / self.seen } else { 0.0 }
    }

    /// Another candidate is followed once it is clearly better, for a change of way is a change of
    /// size: by a twentieth of the least there is to pay, and more while little was seen. Most of
    /// all one that gives less: too much is paid for while it lasts, too little is found out by
    /// bad requests.
    fn follow(&mut self, assumed: f64) {
        if self.seen + assumed <= 0.0 {
            return;
        }
        let unknown = assumed / (self.seen + assumed);
        let spent = self.candidates[self.chosen].spent();
        let loss = |index: usize| {
            let candidate = &self.candidates[index];
            let doubt = match candidate.spent() >= spent {
                true => CLEARLY * (1.0 + UNSURE_OF_MORE * unknown),
                false => CLEARLY * (1.0 + UNSURE * unknown),
            };
            let doubt = if index == self.chosen { 0.0 } else { doubt };
            candidate.loss() / (self.seen + assumed) + doubt
        };
        let least = |a: &usize, b: &usize| loss(*a).total_cmp(&loss(*b));
        if let Some(best) = (0..self.candidates.len()).min_by(least) {
            self.chosen = best;
        }
    }

    /// As it came from outside: what a `new` one could have become.
    #[cfg(feature = "serde")]
    pub(super) fn sound(&self, new: &Self) -> bool {
        let candidates = self.candidates.iter().zip(&new.candidates);
        let clocks = self.clocks.iter().zip(&new.clocks);
        let numbers = [self.missed, self.weight, self.seen, self.weights, self.assumed];
        let numbers = numbers.into_iter().chain([self.loads, self.sizes]);
        let counts = self.candidates.len() == new.candidates.len()
            && self.clocks.len() == new.clocks.len()
            && self.chosen < self.candidates.len();
        counts
            && numbers.into_iter().all(|number| number.is_finite() && number >= 0.0)
            && self.weight >= 1.0
            && self.last.into_iter().chain(self.ready_before).all(f64::is_finite)
            && candidates.into_iter().all(|(one, new)| one.sound(new))
            && clocks.into_iter().all(|(one, new)| one.sound(new))
            && self.wishes.sound()
            && self.ready.sound()
    }
}

/// See [`Learned::follow`].
const CLEARLY: f64 = 0.05;
const UNSURE: f64 = 10.0;
const UNSURE_OF_MORE: f64 = 2.0;

/// See [`Learned::size_of_load`]: a group that has nothing to do is not worth any price.
const MOST_SIZE: f64 = 10.0;

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
