use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use rand_distr::{Distribution, Exp1, LogNormal, StandardNormal};

use super::history::Measured;
use super::latency::Latencies;
use super::world::{PATIENCE, World};
use super::{Fleet, Load, Scaler, Score};

/// What [`run_requests`] adds to the fluid model.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a model of five numbers")]
pub struct Reality {
    /// How the time of a request varies. Default: exponential.
    pub service_time: ServiceTime,
    /// The share of the starts that fail, once their time is over. 0 to 1. Default: 0.
    pub start_failures: f64,
    /// Seconds an instance lives on average until it fails, and what it works on with it. Default:
    /// infinite.
    pub life: f64,
    /// Seconds that measurements are late, besides what the policy's own pipeline adds.
    pub metric_delay: f64,
    /// The standard deviation of what is measured, as a share of it. Default: 0.
    pub metric_noise: f64,
}

impl Default for Reality {
    fn default() -> Self {
        Self {
            service_time: ServiceTime::Exponential,
            start_failures: 0.0,
            life: f64::INFINITY,
            metric_delay: 0.0,
            metric_noise: 0.0,
        }
    }
}

/// How the time of a request varies, around the mean of the service.
#[expect(clippy::exhaustive_enums, reason = "less, as much, or more varied than exponential")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServiceTime {
    /// Not at all.
    Constant,
    /// As the queueing formulas assume.
    Exponential,
    /// Log-normal, with this standard deviation as a share of the mean.
    LogNormal(f64),
}

/// What the requests of a run met.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestOutcome {
    /// As in the fluid model: bad are the requests of a minute of which more than one in twenty
    /// took longer than the objective, or were lost.
    pub score: Score,
    /// How long requests took, in seconds.
    pub p95: f64,
    /// How long requests took, in seconds.
    pub p99: f64,
    /// Requests that were lost with their instance.
    pub lost: u64,
    /// How long it took on average from a first bad minute to the next good one, in seconds; 0
    /// where none was bad.
    pub recovery: f64,
    /// Requests that were played.
    pub played: u64,
}

/// Plays `scaler` against each request of `load`. Deterministic: the same inputs give the same
/// outcome. What `reality` has out of its bounds is taken for the nearest bound.
///
/// Requests arrive at random within a tick, wait in one queue for a slot of any instance, and leave
/// after half a minute of waiting. An instance that is removed finishes what it works on. The
/// objective is four mean service times for 95 of 100 requests.
///
/// Cost: a request is some two operations on a heap of those being served; a million a second and
/// more.
pub fn run_requests(
    load: &Load,
    fleet: Fleet,
    reality: Reality,
    scaler: &mut dyn Scaler,
) -> RequestOutcome {
    let mut world = World::new(load, fleet);
    let mut queue = Queue::new(load, reality, fleet.seed);
    let mut late: VecDeque<Measured> = VecDeque::new();
    let delay = (reality.metric_delay.clamp(0.0, 86_400.0) / load.tick).round() as usize;
    let every = (scaler.period() / load.tick).round().max(1.0) as usize;
    for tick in 0..load.ticks() {
        let now = tick as f64 * load.tick;
        queue.start(&mut world, now, reality);
        let measured = queue.tick(&mut world, load, tick);
        late.push_back(queue.noisy(measured, reality));
        if late.len() > delay
            && let Some(measured) = late.pop_front()
        {
            world.history.push(measured);
        }
        if tick % every == 0 {
            let target = scaler.decide(&world.view(now + load.tick));
            world.resize(now + load.tick, target.clamp(fleet.min, fleet.max));
        }
    }
    world.score.seconds = load.duration();
    queue.outcome(world.score)
}

struct Queue {
    random: StdRng,
    /// When those being served are done, and when they came. Times are in nanoseconds, which have
    /// an order.
    busy: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: VecDeque<u64>,
    mean: f64,
    varied: Varied,
    /// Of those being served, how many are lost when they would be done.
    doomed: u64,
    latencies: Latencies,
    minute: Minute,
    lost: u64,
    played: u64,
    recoveries: Vec<f64>,
}

enum Varied {
    Constant,
    Exponential,
    LogNormal(LogNormal<f64>),
}

/// The requests that ended in the present minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    end: f64,
    ended: u64,
    late: u64,
    arrived: f64,
    /// Since when minutes are bad.
    bad_since: Option<f64>,
}

impl Queue {
    fn new(load: &Load, reality: Reality, seed: u64) -> Self {
        let mean = f64::from(load.service.slots) / load.service.rate;
        let varied = match reality.service_time {
            ServiceTime::Constant => Varied::Constant,
            ServiceTime::Exponential => Varied::Exponential,
            ServiceTime::LogNormal(share) => {
                let square = (1.0 + share.clamp(0.0, 100.0).powi(2)).ln();
                let normal = LogNormal::new(-square / 2.0, square.sqrt());
                normal.map_or(Varied::Exponential, Varied::LogNormal)
            }
        };
        Self {
            random: StdRng::seed_from_u64(seed ^ 0x5EA),
            busy: BinaryHeap::new(),
            waiting: VecDeque::new(),
            mean,
            varied,
            doomed: 0,
            latencies: Latencies::new(),
            minute: Minute { end: 60.0, ..Minute::default() },
            lost: 0,
            played: 0,
            recoveries: Vec::new(),
        }
    }

    /// Instances that are ready now, but for those that failed to start or have failed since.
    fn start(&mut self, world: &mut World, now: f64, reality: Reality) {
        let before = world.ready;
        world.start(now);
        let failures = reality.start_failures.clamp(0.0, 1.0);
        if failures > 0.0 {
            let failed =
                (before..world.ready).filter(|_| self.random.random_bool(failures)).count();
            world.ready -= u32::try_from(failed).unwrap_or(0).min(world.ready);
        }
        let dies = (world.tick / reality.life.max(world.tick)).clamp(0.0, 1.0);
        if dies > 0.0 && reality.life.is_finite() {
            for _ in 0..world.ready {
                if self.random.random_bool(dies) {
                    // Its share of what is being served is lost.
                    self.doomed += self.busy.len() as u64 / u64::from(world.ready.max(1));
                    world.ready -= 1;
                }
            }
        }
    }

    fn tick(&mut self, world: &mut World, load: &Load, tick: usize) -> Measured {
        let start = tick as f64 * load.tick;
        let slots = (u64::from(world.ready) * u64::from(load.service.slots)) as usize;
        let arrived = load.arrivals[tick];
        let count = arrived as u64;
        let served = self.served();
        // The order statistics of uniform arrivals: sums of exponential gaps, over their sum.
        let mut gap = || -> f64 { Exp1.sample(&mut self.random) };
        let gaps: Vec<f64> = (0..count).map(|_| gap()).collect();
        let all = gaps.iter().sum::<f64>() + gap();
        let mut at = start;
        for gap in gaps {
            at += gap / all * load.tick;
            self.complete(nanos(at), slots, world);
            self.waiting.push_back(nanos(at));
            self.fill(nanos(at), slots, world);
        }
        let end = start + load.tick;
        self.complete(nanos(end), slots, world);
        self.fill(nanos(end), slots, world);
        self.played += count;
        self.minute.arrived += arrived;
        self.judge(world, end);
        world.backlog = self.waiting.len() as f64;
        world.score.requests += arrived;
        world.score.instance_seconds += f64::from(world.total()) * load.tick;
        let capacity = f64::from(world.ready) * load.service.rate * load.tick;
        let served = (self.served() - served) as f64;
        let inside = (self.busy.len() + self.waiting.len()) as f64;
        Measured { arrived, served: served.min(capacity), capacity, inside }
    }

    /// All that end until `until`; each lets the next one in.
    fn complete(&mut self, until: u64, slots: usize, world: &mut World) {
        while let Some(Reverse((done, came))) = self.busy.peek().copied() {
            if done > until {
                break;
            }
            self.busy.pop();
            let lost = self.doomed > 0;
            if lost {
                self.doomed -= 1;
                self.lost += 1;
            }
            let took = (done - came) as f64 / 1e9;
            self.latencies.add(took);
            self.minute.ended += 1;
            self.minute.late += u64::from(lost || took > OBJECTIVE * self.mean);
            self.fill(done, slots, world);
        }
    }

    /// Those that wait go to free slots; those that waited for too long are gone.
    fn fill(&mut self, now: u64, slots: usize, world: &mut World) {
        while self.busy.len() < slots {
            let Some(came) = self.waiting.pop_front() else { return };
            if now.saturating_sub(came) > nanos(PATIENCE) {
                world.score.dropped += 1.0;
                self.minute.ended += 1;
                self.minute.late += 1;
                continue;
            }
            let took = self.mean
                * match &self.varied {
                    Varied::Constant => 1.0,
                    Varied::Exponential => Exp1.sample(&mut self.random),
                    Varied::LogNormal(normal) => normal.sample(&mut self.random),
                };
            self.busy.push(Reverse((now + nanos(took), came)));
        }
    }

    fn served(&self) -> u64 {
        self.latencies.count()
    }

    fn judge(&mut self, world: &mut World, now: f64) {
        if now + 1e-9 < self.minute.end {
            return;
        }
        let Minute { end, ended, late, arrived, bad_since } = self.minute;
        // A minute in which nothing ended though some came is the worst of all.
        let bad = late as f64 > TAIL * ended as f64 || ended == 0 && arrived > 0.0;
        if bad {
            world.score.bad += arrived;
            world.score.bad_seconds += 60.0;
        }
        let bad_since = match (bad, bad_since) {
            (true, since) => since.or(Some(end - 60.0)),
            (false, Some(since)) => {
                self.recoveries.push(end - 60.0 - since);
                None
            }
            (false, None) => None,
        };
        let end = end + 60.0_f64.max(((now - end) / 60.0).floor() * 60.0);
        self.minute = Minute { end, bad_since, ..Minute::default() };
    }

    fn noisy(&mut self, measured: Measured, reality: Reality) -> Measured {
        if reality.metric_noise <= 0.0 {
            return measured;
        }
        let mut around = |value: f64| {
            let noise: f64 = StandardNormal.sample(&mut self.random);
            (value * (1.0 + reality.metric_noise * noise)).max(0.0)
        };
        Measured {
            arrived: around(measured.arrived),
            served: around(measured.served).min(measured.capacity),
            inside: around(measured.inside),
            ..measured
        }
    }

    fn outcome(self, score: Score) -> RequestOutcome {
        let recoveries = self.recoveries.len().max(1) as f64;
        RequestOutcome {
            p95: self.latencies.quantile(0.95),
            p99: self.latencies.quantile(0.99),
            lost: self.lost,
            recovery: self.recoveries.iter().fold(0.0, |sum, one| sum + one) / recoveries,
            played: self.played,
            score,
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// In mean service times.
const OBJECTIVE: f64 = 4.0;

/// The share of requests that may take longer.
const TAIL: f64 = 0.05;
