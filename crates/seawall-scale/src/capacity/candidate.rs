use super::extreme::Extreme;
use super::tail::{Tail, assumed_factor};
use crate::forecast::{Forecaster, Last, Mean, Slope};

/// A way to size a group that is played along: what is expected, held for a while, times a factor
/// that is learned from how it would have done.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Candidate {
    way: Way,
    /// How long a smaller plan waits, in seconds.
    hold: f64,
    held: Extreme,
    /// Where growth is carried on for a start, and what has come is held for longer.
    level: Option<Level>,
    /// What would have been ready at a factor of 1, and at the one that was chosen.
    ready_plain: Extreme,
    ready: Extreme,
    before: Option<Before>,
    tail: Tail,
    /// What a factor of 1 is paid for: rate times weight.
    paid: f64,
    /// What it would have cost, by the factors it had.
    loss: f64,
    factor: f64,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Way {
    Last(Last),
    Mean(Mean),
    Slope(Slope),
}

/// The largest load of so many seconds.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Level {
    hold: f64,
    held: Extreme,
}

/// The plan of the tick before, which this one puts to the test.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Before {
    held: f64,
    ready_plain: f64,
    ready: f64,
    /// The rate that it would have launched instances for.
    launched: f64,
}

/// What all candidates share at a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) now: f64,
    pub(super) load: f64,
    /// What is planned for has to be above this for there to be enough instances for the load.
    pub(super) needed: f64,
    /// Whether a floor of the clock had enough ready.
    pub(super) carried: bool,
    pub(super) horizon: f64,
    pub(super) period: f64,
    /// What the smallest group can carry.
    pub(super) floor: f64,
    /// How much this tick counts beside those before: it grows, so that the old fade.
    pub(super) weight: f64,
    pub(super) price: f64,
    pub(super) start_price: f64,
}

impl Candidate {
    /// All that are played along, for ticks of `period` seconds at a `price`. The last is the one to
    /// begin with: five minutes' peak, which an HPA holds, and growth that is foreseen.
    ///
    /// The holds are a factor of two to three apart, from some measurements to some hours: load that
    /// comes and goes within that is answered by keeping what is there. Beyond, it is
    /// the daily cycle.
    pub(super) fn all(period: f64, price: f64) -> Vec<Self> {
        let factor = assumed_factor(price, false);
        let steps = |seconds: f64| (seconds / period).round().max(1.0) as usize;
        let mean = |seconds| Way::Mean(Mean::new(steps(seconds)));
        let slope = |seconds| Way::Slope(Slope::new(steps(seconds), DAMPED));
        let mut all = Vec::new();
        for hold in [300.0, 120.0, 900.0, 1800.0, 3600.0, 10_800.0] {
            all.push(Self::new(Way::Last(Last::default()), hold, factor));
        }
        for hold in [300.0, 900.0] {
            for way in [mean(60.0), mean(300.0), slope(60.0), slope(180.0)] {
                all.push(Self::new(way, hold, factor));
            }
        }
        // Load that does not come and go is not held at all.
        all.push(Self::new(Way::Last(Last::default()), 60.0, factor));
        for hold in [60.0, 120.0] {
            for way in [mean(60.0), slope(60.0), slope(180.0)] {
                all.push(Self::new(way, hold, factor));
            }
        }
        // A slope that is held for long holds its noise as well. Here only what came is held, and
        // what is foreseen until it is ready.
        let mut both = Self::new(slope(180.0), 60.0, assumed_factor(price, true));
        both.level = Some(Level { hold: 300.0, held: Extreme::default() });
        all.push(both);
        all
    }

    fn new(way: Way, hold: f64, factor: f64) -> Self {
        Self {
            way,
            hold,
            held: Extreme::default(),
            level: None,
            ready_plain: Extreme::default(),
            ready: Extreme::default(),
            before: None,
            tail: Tail::new(),
            paid: 0.0,
            loss: 0.0,
            factor,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.forecaster().name()
    }

    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// What it would have cost so far, in the weights of the ticks.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// What is paid for its plans at the factor that it has, in the weights of the ticks.
    pub(super) fn spent(&self) -> f64 {
        self.factor * self.paid
    }

    fn forecaster(&self) -> &dyn Forecaster {
        match &self.way {
            Way::Last(way) => way,
            Way::Mean(way) => way,
            Way::Slope(way) => way,
        }
    }

    /// Sees that there was no measurement for a step.
    pub(super) fn skip(&mut self) {
        self.observe(None);
    }

    fn observe(&mut self, value: Option<f64>) {
        match &mut self.way {
            Way::Last(way) => way.observe(value),
            Way::Mean(way) => way.observe(value),
            Way::Slope(way) => way.observe(value),
        }
    }

    /// Learns from `tick` and plans for its horizon: the load to be ready for, and the largest
    /// expected of the time it is held.
    pub(super) fn step(&mut self, tick: Tick) -> (f64, f64) {
        let Tick { now, load, horizon, .. } = tick;
        self.learn(tick);
        self.observe(Some(load));
        let steps = (horizon / tick.period).ceil().clamp(0.0, 1e6) as u32;
        let expected = self.forecaster().forecast(steps).unwrap_or(load);
        let expected = match self.way {
            // It may foresee growth, at most twofold: what it foresees of the end of load is no
            // reason to let go before that came.
            Way::Slope(_) => expected.clamp(load, GROWING * load),
            Way::Last(_) | Way::Mean(_) => expected,
        };
        let held = match &mut self.level {
            None => self.held.largest(now, expected, self.hold),
            // To let go before it is ready would have been to start it for nothing.
            Some(level) => {
                let foreseen = self.held.largest(now, expected, self.hold.max(horizon));
                foreseen.max(level.held.largest(now, load, level.hold))
            }
        };
        let planned = self.factor * held;
        let launched = self.before.map_or(0.0, |before| self.factor * (held - before.held));
        self.before = Some(Before {
            held,
            ready_plain: self.ready_plain.smallest(now, held, horizon),
            ready: self.ready.smallest(now, planned, horizon),
            launched: launched.max(0.0),
        });
        (planned, held)
    }

    fn learn(&mut self, tick: Tick) {
        let Tick { load, needed, floor, weight, .. } = tick;
        let Some(before) = self.before else { return };
        let requests = weight * load.max(floor);
        // What the smallest group or a floor of the clock carries says nothing about the factor.
        let counts = load > floor && !tick.carried;
        let ratio = if counts { needed / before.ready_plain.max(1e-9) } else { 0.0 };
        self.tail.add(ratio, requests);
        let starts = before.launched * tick.start_price / tick.period;
        let planned = self.factor * before.held;
        // Below the floor a larger factor costs nothing.
        if planned > floor {
            self.paid += weight * (before.held + starts / self.factor);
        }
        let short = counts && needed > before.ready;
        let outgrown = if short { tick.price * requests } else { 0.0 };
        self.loss += weight * (planned.max(floor) + starts) + outgrown;
    }

    /// Chooses the factor anew. `seen`: the weighed load so far; `assumed`: how much load is
    /// taken to have been seen before anything was.
    pub(super) fn choose(&mut self, price: f64, seen: f64, assumed: f64) {
        // Of no load at all nothing is known: any factor would do, and the largest least of all.
        if seen + assumed <= 0.0 {
            return;
        }
        let paid = (self.paid + assumed) / (seen + assumed).max(f64::MIN_POSITIVE);
        self.factor = self.tail.best(paid, price, assumed, self.level.is_some());
    }

    /// As it came from outside: one that plays the same as `new`, with nothing that is no number.
    #[cfg(feature = "serde")]
    pub(super) fn sound(&self, new: &Self) -> bool {
        let way = match (&self.way, &new.way) {
            (Way::Last(way), Way::Last(_)) => way.sound(),
            (Way::Mean(way), Way::Mean(new)) => way.sound(new),
            (Way::Slope(way), Way::Slope(new)) => way.sound(new),
            _ => false,
        };
        let before = self.before.is_none_or(|b| {
            [b.held, b.ready_plain, b.ready, b.launched].iter().all(|value| value.is_finite())
        });
        let numbers = [self.paid, self.loss, self.factor].iter().all(|value| value.is_finite());
        let queues = [&self.held, &self.ready_plain, &self.ready].iter().all(|queue| queue.sound());
        let level = match (&self.level, &new.level) {
            (Some(level), Some(new)) => level.hold == new.hold && level.held.sound(),
            (None, None) => true,
            _ => false,
        };
        let same = self.hold == new.hold && level;
        way && before && numbers && queues && same && self.tail.sound()
    }

    /// Makes all weights smaller alike.
    pub(super) fn scale(&mut self, by: f64) {
        self.tail.scale(by);
        self.paid *= by;
        self.loss *= by;
    }
}

/// The share of a slope that is carried on.
const DAMPED: f64 = 0.7;

/// How many times the present load a slope may foresee.
const GROWING: f64 = 2.0;
