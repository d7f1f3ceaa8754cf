//! The guard without a clock and without tasks: arrivals, ends and time go in, verdicts come out.
//!
//! Times are nanoseconds since any fixed point. The limit, the cut and the queue's times change
//! once each tenth of a second, by whichever call is the first to come by after that.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::config::OverloadConfig;
use super::law::{Law, Sample};
use super::meter::{Counts, Meter};
use super::pressure::Pressure;
use super::priority::{PLACES, Priority};
use super::queue::{Pace, Stood, Ticket, Verdict, Wake};
use super::reason::Reason;
use super::slots::{Entry, Slots};
use super::stats::Stats;
use super::status::OverloadStatus;
use super::valve::{Flow, STEPS, Valve};

/// How a request ended, for [`Permit::record`](crate::Permit::record).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was served: its latency counts.
    Success,
    /// It failed for a reason of its own, so that its latency says nothing.
    Failure,
    /// The service had no room for it: it timed out, or was turned away further on.
    Overloaded,
}

pub(crate) struct Core<W> {
    slots: Slots<W>,
    meter: Meter,
    /// Levels below are turned away; see [`Valve`].
    cut: AtomicU32,
    /// Tells requests apart that nothing else tells apart.
    turn: AtomicU32,
    next_tick: AtomicU64,
    control: Mutex<Control>,
    max_wait: u64,
    min_limit: usize,
    seed: u64,
    pub(crate) stats: Stats,
}

struct Control {
    law: Law,
    valve: Valve,
    pressure: Pressure,
    /// When the pressure was told.
    told: u64,
    ticked: u64,
    shedding: bool,
    /// How the queue was at the last tick.
    stood: Stood,
}

impl<W: Wake> Core<W> {
    /// `turn` is any number, another on each node.
    pub(crate) fn new(config: &OverloadConfig, turn: u32) -> Self {
        let law = Law::new(config.min_limit, config.max_limit, config.initial_limit, turn);
        let max_wait = u64::try_from(config.max_wait.as_nanos()).unwrap_or(u64::MAX);
        let pace = Pace { interval: max_wait, target: max_wait, service: 0 };
        Self {
            slots: Slots::new(law.limit(), config.max_queue, pace),
            meter: Meter::new(),
            cut: AtomicU32::new(0),
            turn: AtomicU32::new(0),
            next_tick: AtomicU64::new(0),
            control: Mutex::new(Control {
                law,
                valve: Valve::new(),
                pressure: Pressure::default(),
                told: 0,
                ticked: 0,
                shedding: false,
                stood: Stood::default(),
            }),
            max_wait,
            min_limit: config.min_limit,
            seed: config.cohort_seed,
            stats: Stats::new(&config.name),
        }
    }

    /// A request comes. `waker` is asked for if it has to wait; without one it does not wait.
    pub(crate) fn arrive<F: FnOnce() -> W>(
        &self,
        now: u64,
        priority: &Priority,
        deadline: u64,
        waker: Option<F>,
    ) -> Entry {
        self.tick(now);
        let cut = self.cut.load(Ordering::Relaxed);
        let turn = if cut > 0 || priority.user.is_none() {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        let level = priority.level(turn, now / HOUR, self.seed);
        self.meter.arrived(level);
        // Within the level at the cut, an even share passes; 181 and 256 have no common divisor.
        let place = level as u32 * STEPS + turn.wrapping_mul(181) % STEPS;
        let entry = if place < cut {
            self.meter.blocked();
            Entry::Rejected(Reason::Priority)
        } else if deadline <= now {
            // Whatever is free. What it might take is not asked here: were that overestimated, nothing
            // would be begun, and so nothing learnt, for as long as all have deadlines.
            Entry::Rejected(Reason::Deadline)
        } else if self.slots.try_enter() {
            Entry::Admitted
        } else {
            self.meter.blocked();
            let class = (level / PLACES) as u8;
            match waker {
                Some(waker) => self.slots.enter((now, deadline), class, waker),
                None => Entry::Rejected(Reason::NoSlot),
            }
        };
        match entry {
            Entry::Admitted => {
                self.meter.started();
                self.stats.admitted(priority.criticality, 0);
            }
            Entry::Rejected(reason) => self.stats.rejected(priority.criticality, reason),
            Entry::Queued(_) => {}
        }
        entry
    }

    /// The verdict on one who waits, if it is there; the ticket is then spent.
    pub(crate) fn poll(
        &self,
        priority: &Priority,
        ticket: &Ticket,
        waker: impl FnOnce() -> W,
    ) -> Option<Verdict> {
        let verdict = self.slots.poll(ticket, waker)?;
        self.told(priority, verdict);
        Some(verdict)
    }

    /// One who waits gives up: its time is over or nobody wants it any more. If the slot was
    /// faster, it is the caller's.
    pub(crate) fn abandon(
        &self,
        now: u64,
        priority: &Priority,
        ticket: &Ticket,
        reason: Option<Reason>,
    ) -> Option<Verdict> {
        let verdict = self.slots.abandon(ticket).or(reason.map(Verdict::Rejected));
        if let Some(verdict) = verdict {
            self.told(priority, verdict);
        }
        self.tick(now);
        verdict
    }

    fn told(&self, priority: &Priority, verdict: Verdict) {
        match verdict {
            Verdict::Admitted { since, at } => {
                self.meter.started();
                self.stats.admitted(priority.criticality, at.saturating_sub(since));
            }
            Verdict::Rejected(reason) => self.stats.rejected(priority.criticality, reason),
        }
    }

    /// How a request that had a slot ended; the slot is still taken.
    pub(crate) fn record(&self, now: u64, started: u64, outcome: Outcome) {
        match outcome {
            Outcome::Success => {
                self.meter.completed(now.saturating_sub(started), self.slots.taken());
            }
            Outcome::Failure => {}
            Outcome::Overloaded => self.meter.lost(),
        }
    }

    /// A slot is given back; `unrecorded` if nobody told how the request ended.
    pub(crate) fn leave(&self, now: u64, unrecorded: bool) {
        if unrecorded {
            self.meter.lost();
        }
        self.slots.leave(now);
        self.tick(now);
    }

    pub(crate) fn set_pressure(&self, now: u64, pressure: Pressure) {
        let mut control = self.control.lock();
        control.pressure = pressure;
        control.told = now;
    }

    /// What one that arrives now may wait at most.
    pub(crate) fn max_wait(&self) -> u64 {
        self.max_wait
    }

    pub(crate) fn status(&self) -> OverloadStatus {
        let control = self.control.lock();
        let seconds =
            |value: Option<f64>| value.and_then(|it| Duration::try_from_secs_f64(it).ok());
        OverloadStatus {
            limit: control.law.limit(),
            inflight: self.slots.taken(),
            queued: self.slots.waiting(),
            shed_ratio: control.valve.shed(),
            base_latency: seconds(control.law.base()),
            latency: seconds(control.law.latency()),
            seeking: control.law.is_seeking(),
        }
    }

    /// Draws conclusions from what was counted, each tenth of a second.
    pub(crate) fn tick(&self, now: u64) {
        if now < self.next_tick.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut control) = self.control.try_lock() else { return };
        if now < self.next_tick.load(Ordering::Relaxed) {
            return;
        }
        self.next_tick.store(now + TICK, Ordering::Relaxed);
        control.tick(self, now);
    }
}

impl Control {
    fn tick<W: Wake>(&mut self, core: &Core<W>, now: u64) {
        let span = (now.saturating_sub(self.ticked)) as f64 / SECOND;
        self.ticked = now;
        let mut arrived = 0_u64;
        let valve = &mut self.valve;
        let counts = core.meter.take(|level, arrivals| {
            arrived += u64::from(arrivals);
            valve.count(level, arrivals);
        });
        // After a pause, what was counted says nothing of rates.
        if span >= LONG_PAUSE {
            // Nor do the queue and the load from before it.
            self.stood = Stood::default();
            self.valve.forget();
            self.law.pause();
        } else {
            let mut sample = sample(span, &counts);
            self.stood = core.slots.stood(now);
            sample.pressed = self.stood.always || self.valve.shed() > 0.0;
            self.law.feed(&sample);
        }
        let (seeking, hold) = (self.law.is_seeking(), self.law.is_dipping());
        core.slots.adjust(self.law.limit(), self.pace(core), now);
        let fresh = now.saturating_sub(self.told) < FORGET;
        let flow = Flow {
            arrived: arrived as f64,
            started: counts.started as f64,
            able: self.law.limit() as f64 / self.law.latency().unwrap_or(0.0).max(1e-6) * span,
            // A queue in front of a limit that is still on its way up is no overload, unless there
            // is no way up.
            standing: self.stood.long && !seeking,
            hold,
            asked: if fresh { self.pressure.share() } else { 0.0 },
            turns: (span * SECOND / TICK as f64).clamp(1.0, MOST_TURNS) as u32,
        };
        let cut = self.valve.turn(&flow);
        core.cut.store(cut, Ordering::Relaxed);
        let shedding = cut > 0;
        if shedding != self.shedding {
            self.shedding = shedding;
            core.stats.shedding(shedding, self.law.limit());
        }
        core.stats.gauges(&self.law, core.slots.taken(), self.valve.shed());
    }

    /// The queue's times, from what the service's are.
    fn pace<W>(&self, core: &Core<W>) -> Pace {
        let nanos = |seconds: f64| (seconds * SECOND) as u64;
        let latency = self.law.latency().unwrap_or(0.0);
        let service = nanos(self.law.base().unwrap_or(0.0) * SURE);
        if self.law.is_seeking() {
            return Pace { interval: core.max_wait, target: core.max_wait, service };
        }
        if self.law.is_dipping() && self.valve.shed() == 0.0 {
            // It may prove to be no overload: then requests are late for as long, and not lost.
            let trial = nanos((TRIAL * latency).max(INTERVAL)).min(core.max_wait);
            return Pace { interval: trial, target: trial, service };
        }
        let interval = nanos((2.0 * latency).max(INTERVAL)).min(core.max_wait);
        // A few slots come free in that time, at least.
        let turn = latency / self.law.limit().max(core.min_limit) as f64;
        let target = nanos(TARGET.max(4.0 * turn).max(latency / 2.0)).min(interval);
        Pace { interval, target, service }
    }
}

fn sample(span: f64, counts: &Counts) -> Sample {
    Sample {
        span,
        completed: counts.completed as f64,
        latency: counts.latency as f64 / SECOND,
        inflight: counts.inflight as f64,
        lost: counts.lost as f64,
        limited: counts.blocked > 0,
        pressed: false,
    }
}

const SECOND: f64 = 1e9;
const HOUR: u64 = 3_600_000_000_000;
/// How often conclusions are drawn, in nanoseconds.
const TICK: u64 = 100_000_000;
/// Seconds without a call after which counts are dropped.
const LONG_PAUSE: f64 = 5.0;
/// As many turns as fit into the longest pause that is none.
const MOST_TURNS: f64 = 50.0;
/// How long a pressure that was told counts, in nanoseconds.
const FORGET: u64 = 10_000_000_000;
/// How many latencies a step down lasts, with what it leaves behind.
const TRIAL: f64 = 6.0;
/// CoDel's times, in seconds. Facebook has 0.1 and 0.005; bursts at nine tenths of the capacity of
/// a small service make a queue that stands for longer than 0.1.
const INTERVAL: f64 = 0.2;
const TARGET: f64 = 0.005;
/// The share of the base that serving a request takes for sure.
const SURE: f64 = 0.5;
