use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

use super::history::{History, Measured};
use super::{Load, Score};

/// What a policy is asked for.
pub trait Scaler {
    /// As it is called in tables.
    fn name(&self) -> &'static str;

    /// How often it decides, in seconds.
    fn period(&self) -> f64;

    /// How many instances there should be.
    fn decide(&mut self, view: &View<'_>) -> u32;
}

/// What a policy may see. How late and how smooth that is, is its own affair.
#[derive(Debug)]
#[non_exhaustive]
pub struct View<'a> {
    /// Seconds since the start.
    pub now: f64,
    /// Instances that serve.
    pub ready: u32,
    /// Those and the ones that start.
    pub total: u32,
    /// Requests that wait.
    pub backlog: f64,
    /// How long the last starts took on average, in seconds.
    pub start_delay: f64,
    /// What was measured.
    pub history: &'a History,
}

/// The instances of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these")]
pub struct Fleet {
    /// How long a start takes, in seconds; each takes up to a tenth more or less. Default: 90.
    pub start_delay: f64,
    /// Fewest. Default: 2.
    pub min: u32,
    /// Most. Default: 200.
    pub max: u32,
    /// Of the starts.
    pub seed: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { start_delay: 90.0, min: 2, max: 200, seed: 1 }
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The numbers.
    pub score: Score,
    /// Instances that served, by tick.
    pub ready: Vec<u32>,
}

/// Plays `scaler` against `load`. Deterministic: the same inputs give the same outcome.
pub fn run(load: &Load, fleet: Fleet, scaler: &mut dyn Scaler) -> Outcome {
    let mut world = World::new(load, fleet);
    let every = (scaler.period() / load.tick).round().max(1.0) as usize;
    for tick in 0..load.ticks() {
        let now = tick as f64 * load.tick;
        world.start(now);
        world.serve(load, tick);
        if tick % every == 0 {
            let target = scaler.decide(&world.view(now + load.tick));
            let target = target.clamp(fleet.min, fleet.max);
            world.resize(now + load.tick, target);
        }
    }
    world.score.seconds = load.duration();
    Outcome { score: world.score, ready: world.sizes }
}

pub(super) struct World {
    fleet: Fleet,
    pub(super) tick: f64,
    random: StdRng,
    pub(super) ready: u32,
    /// When those that start are ready, in order of launch.
    starting: VecDeque<f64>,
    pub(super) backlog: f64,
    delay_seen: f64,
    pub(super) history: History,
    pub(super) score: Score,
    sizes: Vec<u32>,
    last_change: Option<(f64, bool)>,
}

impl World {
    /// The group is of the right size when the trace begins.
    pub(super) fn new(load: &Load, fleet: Fleet) -> Self {
        let first = load.rates.first().copied().unwrap_or_default();
        Self {
            random: StdRng::seed_from_u64(fleet.seed),
            ready: load.service.least(first).clamp(fleet.min, fleet.max),
            starting: VecDeque::new(),
            backlog: 0.0,
            delay_seen: fleet.start_delay,
            tick: load.tick,
            history: History::new(load.tick, load.ticks()),
            score: Score::default(),
            sizes: Vec::with_capacity(load.ticks()),
            last_change: None,
            fleet,
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.ready + u32::try_from(self.starting.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn view(&self, now: f64) -> View<'_> {
        View {
            now,
            ready: self.ready,
            total: self.total(),
            backlog: self.backlog,
            start_delay: self.delay_seen,
            history: &self.history,
        }
    }

    pub(super) fn start(&mut self, now: f64) {
        let before = self.starting.len();
        self.starting.retain(|at| *at > now);
        self.ready += u32::try_from(before - self.starting.len()).unwrap_or(0);
    }

    fn serve(&mut self, load: &Load, tick: usize) {
        let service = load.service;
        let arrived = load.arrivals[tick];
        let capacity = f64::from(self.ready) * service.rate * load.tick;
        let work = self.backlog + arrived;
        let served = work.min(capacity);
        let waiting = work - served;
        // Who would wait for longer than half a minute leaves.
        let kept = waiting.min(f64::from(self.ready) * service.rate * PATIENCE);
        // By the rate behind the arrivals: the formula for the wait has their chance in it. What
        // waits for longer than a service time is over the objective by itself.
        let queue = self.backlog.max(waiting) / f64::from(self.ready).max(f64::MIN_POSITIVE);
        let late = queue > f64::from(service.slots);
        if late || !service.keeps(load.rates[tick], self.ready) {
            self.score.bad += arrived;
            self.score.bad_seconds += load.tick;
        }
        self.score.dropped += waiting - kept;
        self.score.requests += arrived;
        self.score.instance_seconds += f64::from(self.total()) * load.tick;
        self.backlog = kept;
        self.sizes.push(self.ready);
        let busy = served / load.tick * f64::from(service.slots) / service.rate;
        self.history.push(Measured { arrived, served, capacity, inside: busy + kept });
    }

    pub(super) fn resize(&mut self, now: f64, target: u32) {
        let total = self.total();
        if target == total {
            return;
        }
        let up = target > total;
        self.score.changes += 1;
        if let Some((at, was_up)) = self.last_change
            && was_up != up
            && now - at <= REVERSAL
        {
            self.score.reversals += 1;
        }
        self.last_change = Some((now, up));
        for _ in total..target {
            let delay = self.fleet.start_delay * (0.9 + 0.2 * self.random.random::<f64>());
            self.delay_seen += (delay - self.delay_seen) * 0.05;
            self.starting.push_back(now + delay);
            self.score.starts += 1;
        }
        // Those that start go first, the youngest before the others.
        for _ in target..total {
            if self.starting.pop_back().is_none() {
                self.ready -= 1;
            }
        }
    }
}

/// Seconds a request waits.
pub(super) const PATIENCE: f64 = 30.0;

/// A change back within so many seconds is a reversal.
const REVERSAL: f64 = 600.0;
