//! How many requests at once: a latency gradient that throughput has to confirm.
//!
//! While all slots are taken, the limit follows Envoy's gradient, `limit * base / latency` and
//! some headroom. That alone collapses when the service is slower for another reason than load
//! (a slow dependency: every request takes longer, fewer at once help nobody), and drifts when the
//! base was measured under load. So each marked step down is an experiment: if as much gets done
//! with fewer at once, the latency was a queue, and the step stands; if less gets done, the
//! requests just take that long now: the step is taken back and the latency measured below becomes
//! the base. Such a step is also made now and then for its own sake, which is how the base is
//! measured anew, just below the knee rather than at a handful of requests.
//!
//! While slots are free the limit does not move down: there is nothing to limit.
//!
//! Sources: Envoy's adaptive concurrency filter, Netflix's concurrency-limits, failsafe-go and
//! Uber's Cinnamon for the correlation with throughput. Pure: time is an argument, in seconds.

/// What happened in a stretch of time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Seconds.
    pub(crate) span: f64,
    /// Requests that were served well.
    pub(crate) completed: f64,
    /// Their latencies, added up, in seconds.
    pub(crate) latency: f64,
    /// How many were under way when each of them ended, added up.
    pub(crate) inflight: f64,
    /// Requests that the service could not serve for load, or that were given up.
    pub(crate) lost: f64,
    /// Whether any request found no free slot.
    pub(crate) limited: bool,
    /// Whether there were more requests than slots all the time, rather than now and then.
    pub(crate) pressed: bool,
}

impl Sample {
    fn add(&mut self, other: &Self) {
        self.span += other.span;
        self.completed += other.completed;
        self.latency += other.latency;
        self.inflight += other.inflight;
        self.lost += other.lost;
        self.limited |= other.limited;
        self.pressed &= other.pressed;
    }

    fn point(&self) -> Point {
        Point {
            inflight: self.inflight / self.completed,
            rate: self.completed / self.span,
            latency: self.latency / self.completed,
        }
    }
}

/// A measured state of the service.
#[derive(Debug, Clone, Copy)]
struct Point {
    inflight: f64,
    rate: f64,
    latency: f64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No knee was met yet: up, as long as more at once gets more done.
    Seek { below: Option<(f64, Point)>, steps: u32 },
    /// Around the knee.
    Track,
    /// A step down from `limit`, where `before` was measured.
    Dip { limit: f64, before: Point, told: bool },
}

#[derive(Debug)]
pub(crate) struct Law {
    min: f64,
    max: f64,
    initial: f64,
    limit: f64,
    /// Latency without a queue, in seconds.
    base: Option<f64>,
    /// Latency of late, in seconds.
    latency: Option<f64>,
    phase: Phase,
    /// What was measured at about this limit, for the next step down to be held against.
    reference: Option<(f64, Point)>,
    window: Sample,
    /// Seconds to skip, since what ends now began under another limit.
    skip: f64,
    /// Seconds to the next step down for its own sake, counted while limited.
    probe: f64,
    /// Seconds in which weak evidence does not lead to a step down.
    hold: f64,
    /// Windows in a row that went up.
    streak: i32,
    peak: f64,
    turn: u32,
}

impl Law {
    /// `turn` is any number, another on each node, so that they do not all step down at once.
    pub(crate) fn new(min: usize, max: usize, initial: usize, turn: u32) -> Self {
        let initial = (initial as f64).clamp(min as f64, max as f64);
        Self {
            min: min as f64,
            max: max as f64,
            initial,
            limit: initial,
            base: None,
            latency: None,
            phase: SEEK,
            reference: None,
            window: Sample::default(),
            skip: 0.0,
            probe: PROBE,
            hold: 0.0,
            streak: 0,
            peak: 0.0,
            turn,
        }
    }

    /// Whole requests.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Seconds without a queue in the service, as far as is known.
    pub(crate) fn base(&self) -> Option<f64> {
        self.base
    }

    /// Seconds of late.
    pub(crate) fn latency(&self) -> Option<f64> {
        self.latency
    }

    /// Whether the knee is yet to be met: a queue then says nothing of the service.
    pub(crate) fn is_seeking(&self) -> bool {
        matches!(self.phase, Phase::Seek { .. })
    }

    /// Whether a step down is under way: a queue then says nothing of the service either.
    pub(crate) fn is_dipping(&self) -> bool {
        matches!(self.phase, Phase::Dip { .. })
    }

    /// Takes in what happened since the last call. True if the limit may have changed.
    pub(crate) fn feed(&mut self, sample: &Sample) -> bool {
        self.hold = (self.hold - sample.span).max(0.0);
        if self.skip > 0.0 {
            self.skip -= sample.span;
            return false;
        }
        if self.window.span == 0.0 {
            self.window.pressed = true;
        }
        self.window.add(sample);
        if !self.is_full() {
            return false;
        }
        let window = std::mem::take(&mut self.window);
        let before = self.limit;
        self.step(&window);
        self.limit = self.limit.clamp(self.min, self.max);
        // Those that end now began under the old limit.
        if (self.limit / before - 1.0).abs() > MARKED {
            self.skip = SETTLE * self.latency.unwrap_or(0.0).min(MAX_SPAN);
        }
        true
    }

    /// Nothing came for long: what was begun to be measured before is no part of what follows.
    pub(crate) fn pause(&mut self) {
        self.window = Sample::default();
    }

    fn is_full(&self) -> bool {
        let latency = self.latency.unwrap_or(0.0);
        let dip = matches!(self.phase, Phase::Dip { .. });
        let enough = if dip { DIP_SAMPLES } else { SAMPLES };
        // On the way up there is no time to lose.
        let spans = if self.is_seeking() { 1.0 } else { SPAN };
        let span = self.window.span;
        (span >= MIN_SPAN.max(spans * latency) && self.window.completed >= enough)
            || span >= MAX_SPAN.max(2.0 * SPAN * latency)
    }

    fn step(&mut self, window: &Sample) {
        if window.completed < 1.0 {
            // Nothing gets done: the limit is no cure, but what is given up should be little.
            if window.limited && window.lost > 0.0 {
                self.limit *= DOWN;
                self.phase = SEEK;
                self.reference = None;
            } else if let Phase::Dip { limit, .. } = self.phase {
                // Nothing was shown; and a step down that does not end would hold what is shed.
                self.limit = limit;
                self.phase = Phase::Track;
                self.reference = None;
            }
            return;
        }
        let now = window.point();
        if self.latency.is_none() {
            // Of what began only the fast ones have ended: look again when the others have.
            self.latency = Some(now.latency);
            self.skip = FIRST * now.latency.min(MAX_SPAN);
            return;
        }
        self.peak = now.inflight.max(self.peak * (1.0 - window.span / PEAK_MEMORY).max(0.0));
        let latency = self.latency.map_or(now.latency, |old| old + (now.latency - old) * 0.5);
        self.latency = Some(latency);
        let base = *self.base.get_or_insert(now.latency);
        let limited = window.limited && now.inflight >= LIMITED * self.limit;
        match self.phase {
            Phase::Dip { limit, before, told } => self.conclude(limit, before, told, now, limited),
            _ if !limited => self.rest(window, now, base),
            Phase::Seek { below, steps } => self.seek(window, (below, steps), now, base),
            Phase::Track => self.track(window, now, base, latency),
        }
    }

    /// Slots are free: learn what the latency is, and keep the limit within reach.
    fn rest(&mut self, window: &Sample, now: Point, base: f64) {
        let share = if now.latency < base { LEARN } else { f64::from(!window.limited) * FORGET };
        self.base = Some(base + (now.latency - base) * share);
        if window.limited && !window.pressed && now.latency < SUSPECT * base {
            // A burst found no slot, though on the whole there were some.
            self.limit += headroom(self.limit);
        } else {
            let reach = (REACH * self.peak).max(self.initial);
            self.limit = self.limit.min((self.limit * 0.99).max(reach));
        }
        self.reference = None;
        // What was measured below the limit is too old to compare with.
        if let Phase::Seek { below: Some(_), steps } = self.phase {
            self.phase = Phase::Seek { below: None, steps };
        }
    }

    fn seek(
        &mut self,
        window: &Sample,
        (below, steps): (Option<(f64, Point)>, u32),
        now: Point,
        base: f64,
    ) {
        self.base = Some(base.min(now.latency));
        match below {
            Some((limit, before)) if !is_elastic(before, now) || now.latency > SUSPECT * base => {
                // The knee is between the two, unless this was but a burst.
                if !window.pressed {
                    return;
                }
                let fits = self.limit * (base / now.latency).min(1.0);
                self.limit = (fits + headroom(fits)).clamp(limit.min(self.limit), self.limit);
                self.reference = Some((self.limit, before));
                self.phase = Phase::Track;
                // Where this began may have been past the knee already.
                self.probe = if steps > 1 { PROBATION } else { 0.0 };
            }
            // Known to be faster at rest: load, or slowness. A step down will tell.
            None if now.latency > SUSPECT * base => self.phase = Phase::Track,
            _ => {
                self.phase = Phase::Seek { below: Some((self.limit, now)), steps: steps + 1 };
                self.limit *= 2.0;
            }
        }
        if self.limit >= self.max {
            self.phase = Phase::Track;
        }
    }

    fn track(&mut self, window: &Sample, now: Point, base: f64, latency: f64) {
        if now.latency < base {
            self.base = Some(base + (now.latency - base) * LEARN);
        }
        self.probe -= window.span;
        let gradient = (TOLERANCE * base / latency).min(1.0);
        let lossy = window.lost > LOSSY * (window.completed + window.lost);
        let mut target = self.limit * gradient + headroom(self.limit);
        if lossy {
            target = target.min(0.9 * self.limit);
        }
        if target >= self.limit {
            self.streak = (self.streak + 1).min(8);
            let growth = (target - self.limit) * GROWTH.powi(self.streak - 1);
            self.limit += growth.min(0.2 * self.limit);
        } else {
            self.streak = 0;
        }
        let reference = self.refer(now);
        // A burst below capacity finds no slot either; less room would only turn some of it away.
        if !window.pressed {
            return;
        }
        if target < self.limit {
            let strong = gradient < STRONG || lossy;
            let target = target.max(DOWN * self.limit);
            if target > (1.0 - MARKED) * reference.0 {
                self.limit = target;
            } else if strong || self.hold == 0.0 {
                return self.dip(target.min(DIP * reference.0), reference, true);
            }
        }
        if self.probe <= 0.0 && self.limit > self.min {
            self.dip(DIP * self.limit, reference, false);
        }
    }

    /// Keeps the reference of the limits around it, newer measurements weighing more.
    fn refer(&mut self, now: Point) -> (f64, Point) {
        let reference = match self.reference {
            Some((limit, old)) if self.limit <= (1.0 + MARKED) * limit => {
                let blend = |old: f64, new: f64| old + (new - old) * 0.4;
                let point = Point {
                    inflight: blend(old.inflight, now.inflight),
                    rate: blend(old.rate, now.rate),
                    latency: blend(old.latency, now.latency),
                };
                (limit, point)
            }
            _ => (self.limit, now),
        };
        self.reference = Some(reference);
        reference
    }

    fn dip(&mut self, to: f64, (limit, before): (f64, Point), told: bool) {
        self.limit = to.max(self.min);
        self.phase = Phase::Dip { limit, before, told };
        self.turn = self.turn.wrapping_add(1);
        let jitter = f64::from(self.turn.wrapping_mul(0x9e37_79b9) >> 24) / 256.0;
        self.probe = PROBE * (0.8 + 0.4 * jitter);
    }

    /// What a step down showed.
    fn conclude(&mut self, limit: f64, before: Point, told: bool, now: Point, limited: bool) {
        if !limited || now.inflight > 0.97 * before.inflight {
            // The load went away, or was not held by the limit: nothing was shown.
            self.limit = limit;
            self.phase = Phase::Track;
            self.reference = None;
            return;
        }
        self.latency = Some(now.latency);
        if is_elastic(now, before) {
            // Less got done: at this concurrency there was no queue, so this is the base. If it
            // is higher than it was, it is looked at again soon: the service may have become
            // slower just then.
            if self.base.is_some_and(|base| now.latency > SUSPECT * base) {
                self.probe = self.probe.min(PROBATION);
            }
            self.base = Some(now.latency);
            self.limit = limit;
            self.reference = None;
            self.hold = HOLD;
            // It was slowness rather than load: see how far up is worth while.
            let slower = told && now.latency > 0.8 * before.latency;
            self.phase = if slower { SEEK } else { Phase::Track };
        } else {
            // As much got done with fewer at once: the rest stood in a queue. Go on down.
            self.base = self.base.map(|base| base.min(now.latency));
            let seen = Point { rate: (before.rate + now.rate) / 2.0, ..now };
            self.reference = Some((self.limit, seen));
            self.dip(DIP * self.limit, (self.limit, seen), told);
            if self.limit <= self.min {
                self.phase = Phase::Track;
            }
        }
    }
}

/// Whether more at once got more done, by at least two fifths of what was to be had.
fn is_elastic(low: Point, high: Point) -> bool {
    let rate = 1.0 - low.rate / high.rate;
    let inflight = 1.0 - low.inflight / high.inflight;
    rate >= ELASTIC * inflight
}

/// Room for requests that arrive while others leave.
fn headroom(limit: f64) -> f64 {
    (0.5 * limit.sqrt()).max(1.0)
}

/// From the beginning.
const SEEK: Phase = Phase::Seek { below: None, steps: 0 };
/// A window lasts this many latencies, within bounds, in seconds.
const SPAN: f64 = 2.0;
const MIN_SPAN: f64 = 0.1;
const MAX_SPAN: f64 = 2.0;
/// Requests that end a window.
const SAMPLES: f64 = 30.0;
/// The same of a step down, whose verdict is worth waiting for.
const DIP_SAMPLES: f64 = 100.0;
/// Latencies to wait after a marked change.
const SETTLE: f64 = 1.2;
/// Latencies to wait after the first window.
const FIRST: f64 = 6.0;
/// The change of the limit that needs to be confirmed.
const MARKED: f64 = 0.1;
/// How far a step goes down for its own sake.
const DIP: f64 = 0.75;
/// How far one goes down at most.
const DOWN: f64 = 0.6;
/// Latency may be this much above the base before it counts.
const TOLERANCE: f64 = 1.1;
/// Below this gradient there is no holding back.
const STRONG: f64 = 0.7;
/// A latency that is this much above the base is not taken for granted.
const SUSPECT: f64 = 1.5;
const ELASTIC: f64 = 0.4;
/// The share of slots that are taken when the limit limits.
const LIMITED: f64 = 0.7;
/// The share of losses that is a sign of load.
const LOSSY: f64 = 0.1;
/// Each further window upwards goes so much further.
const GROWTH: f64 = 1.3;
/// How quickly the base moves to a lower latency, and to a higher one at rest, per window.
const LEARN: f64 = 0.3;
const FORGET: f64 = 0.05;
/// Seconds between steps down for their own sake, about.
const PROBE: f64 = 10.0;
/// The same after the base went up.
const PROBATION: f64 = 3.0;
/// Seconds after a step down that was taken back.
const HOLD: f64 = 5.0;
/// The limit is at most so many times what was needed of late.
const REACH: f64 = 5.0;
/// Seconds.
const PEAK_MEMORY: f64 = 60.0;
