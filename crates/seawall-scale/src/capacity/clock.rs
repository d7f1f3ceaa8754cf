use super::extreme::Extreme;

/// A floor for the parts of a cycle in which more came than was ready: timers go off at the full
/// hour, doors open at nine.
///
/// For each part of the hour (or of the day) it is known how often the load went beyond the plan
/// without a floor, how far, and what a floor would have cost beside that plan. The floor is where
/// both are least together (the newsvendor's rule, at the margin of the plan): nothing, until
/// it has happened more than once. Whether that was worth it lately is on an account; where it was
/// not, the floor is left out until it would have been.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Clock {
    cycle: f64,
    width: f64,
    /// What the account holds at most, in seconds of load.
    most: f64,
    cells: Vec<Cell>,
    inside: Option<usize>,
    /// The last one that plans reach.
    reached: Option<usize>,
    /// A slow mean that surges hardly move.
    level: Option<f64>,
    base_ready: Extreme,
    ready: Extreme,
    before: Option<Before>,
    account: f64,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Cell {
    /// Of the level: the requests that came to too few, and what was planned for anyway.
    beyond: Box<[f32]>,
    planned: Box<[f32]>,
    visits: f64,
    /// The level before it was reached: what comes in it moves the level.
    level: f64,
    /// Of the level.
    floor: f64,
}

/// The plan of the tick before.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Before {
    base: f64,
    floored: f64,
    launched: f64,
    base_ready: f64,
    ready: f64,
}

/// What the group has to deal with at a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) now: f64,
    pub(super) load: f64,
    /// The load above which there are too few instances for it.
    pub(super) needed: f64,
    pub(super) horizon: f64,
    pub(super) period: f64,
    /// What the smallest group can carry.
    pub(super) least: f64,
    pub(super) price: f64,
    pub(super) start_price: f64,
}

impl Clock {
    /// By three minutes of the hour. A timer that goes off now and then is worth waiting for through
    /// some hours in which it does not.
    pub(super) fn hour() -> Self {
        Self::new(3_600.0, 180.0, 7_200.0)
    }

    /// By the quarter of an hour of the day. A day that is not as others is known within
    /// the hour where twice the load was waited for.
    pub(super) fn day() -> Self {
        Self::new(86_400.0, 900.0, 1_800.0)
    }

    fn new(cycle: f64, width: f64, most: f64) -> Self {
        let none: Box<[f32]> = vec![0.0; BINS].into();
        let cell =
            Cell { beyond: none.clone(), planned: none, visits: 0.0, level: 0.0, floor: 0.0 };
        Self {
            cycle,
            width,
            most,
            cells: vec![cell; (cycle / width) as usize],
            inside: None,
            reached: None,
            level: None,
            base_ready: Extreme::default(),
            ready: Extreme::default(),
            before: None,
            account: 0.0,
        }
    }

    /// As it is called in plans.
    pub(super) fn name(&self) -> &'static str {
        if self.cycle > 3_600.0 { "day" } else { "hour" }
    }

    /// Whether the floor counts.
    pub(super) fn open(&self) -> bool {
        self.account >= 0.0
    }

    /// Whether it was because of the floor that there was enough for `load`.
    pub(super) fn carried(&self, needed: f64) -> bool {
        self.open() && self.before.is_some_and(|b| needed > b.base_ready && needed <= b.ready)
    }

    /// Learns from the load, before there is a new plan.
    pub(super) fn learn(&mut self, tick: Now) {
        let Now { now, load, horizon, period, .. } = tick;
        let place = self.cell(now);
        let then = self.cells[place].level;
        if let Some(before) = self.before.filter(|_| then > 0.0) {
            if self.inside != Some(place) {
                if let Some(left) = self.inside {
                    let wide = 1.0 + (horizon + STARTS * tick.start_price) / self.width;
                    self.cells[left].choose(wide, tick.price);
                }
                self.cells[place].enter();
                self.inside = Some(place);
            }
            let cell = &mut self.cells[place];
            let short = load > tick.least && tick.needed > before.base_ready;
            if short {
                cell.beyond[bin(tick.needed / then)] += load as f32;
            }
            cell.planned[bin(before.base.max(tick.least) / then)] += then as f32;
            let saved = if short && tick.needed <= before.ready { tick.price * load } else { 0.0 };
            let extra = (before.floored - before.base.max(tick.least)).max(0.0);
            let starts = before.launched * tick.start_price / period;
            let most = self.most / period * then;
            self.account = (self.account + saved - extra - starts).clamp(-most, most);
        }
        let level = self.level.get_or_insert(load);
        let share = (period / SLOW).min(1.0);
        *level += share * (load.min(1.5 * *level + 0.1 * tick.least) - *level);
    }

    /// The load to be ready for, where `base` is planned without it.
    pub(super) fn plan(&mut self, tick: Now, base: f64) -> f64 {
        let Now { now, horizon, .. } = tick;
        let (first, steps) = self.reach(now, horizon, tick.least);
        let count = self.cells.len();
        let cells = (0..=steps).map(|step| &self.cells[(first + step) % count]);
        let floored = cells.map(|cell| cell.floor * cell.level).fold(base, f64::max);
        let before = self.before.map_or(floored - base, |before| before.floored - before.base);
        self.before = Some(Before {
            base,
            floored,
            launched: (floored - base - before.max(0.0)).max(0.0),
            base_ready: self.base_ready.smallest(now, base, horizon),
            ready: self.ready.smallest(now, floored, horizon),
        });
        if self.open() { floored } else { base }
    }

    /// As it came from outside: the same as `new`, but for what it saw.
    #[cfg(feature = "serde")]
    pub(super) fn sound(&self, new: &Self) -> bool {
        let known = |value: &f64| value.is_finite() && *value >= 0.0;
        let cells = self.cells.iter().all(|cell| {
            let all = || cell.beyond.iter().chain(cell.planned.iter());
            cell.beyond.len() == BINS
                && cell.planned.len() == BINS
                && all().all(|weight| weight.is_finite() && *weight >= 0.0)
                && known(&cell.visits)
                && known(&cell.level)
                && known(&cell.floor)
        });
        let before = self.before.is_none_or(|b| {
            [b.base, b.floored, b.launched, b.base_ready, b.ready].iter().all(known)
        });
        (self.cycle, self.width, self.most) == (new.cycle, new.width, new.most)
            && self.cells.len() == new.cells.len()
            && self.inside.into_iter().chain(self.reached).all(|cell| cell < self.cells.len())
            && self.level.iter().all(known)
            && self.account.is_finite()
            && cells
            && before
            && self.base_ready.sound()
            && self.ready.sound()
    }

    /// The part that it is in, and how many more there are until what is started now is ready.
    /// Those that are new get the level of now.
    fn reach(&mut self, now: f64, horizon: f64, least: f64) -> (usize, usize) {
        let count = self.cells.len();
        let (first, last) = (self.cell(now), self.cell(now + horizon));
        let steps = if horizon < self.cycle { (last + count - first) % count } else { count - 1 };
        let last = (first + steps) % count;
        let new = self.reached.map_or(steps + 1, |reached| (last + count - reached) % count);
        // More than half of them is one that was reached before: the horizon is shorter now.
        if self.reached.is_none() || new <= count / 2 {
            let level = self.level.unwrap_or_default().max(0.05 * least);
            for step in 0..new.min(steps + 1) {
                self.cells[(last + count - step) % count].level = level;
            }
            self.reached = Some(last);
        }
        (first, steps)
    }

    fn cell(&self, at: f64) -> usize {
        ((at.rem_euclid(self.cycle) / self.width) as usize).min(self.cells.len() - 1)
    }
}

impl Cell {
    fn enter(&mut self) {
        let kept = 1.0 - 1.0 / VISITS;
        self.visits = self.visits * kept + 1.0;
        let all = self.beyond.iter_mut().chain(self.planned.iter_mut());
        all.for_each(|weight| *weight *= kept as f32);
    }

    /// Chooses the floor: `wide` times what it takes while inside is paid for it.
    fn choose(&mut self, wide: f64, price: f64) {
        if self.beyond.iter().all(|weight| *weight <= 0.0) {
            self.floor = 0.0;
            return;
        }
        // Visits that were not made have seen nothing go beyond.
        let paid = wide * (self.visits + UNSEEN) / self.visits;
        let (mut weight, mut area, mut edge) = (0.0, 0.0, 0.0);
        let mut beyond: f64 = self.beyond.iter().map(|weight| f64::from(*weight)).sum();
        let (mut best, mut least) = (0.0, price * beyond);
        for bin in 0..BINS {
            let next = LEAST * STEP.powi(bin as i32 + 1);
            area += weight * (next - edge);
            edge = next;
            weight += f64::from(self.planned[bin]);
            beyond -= f64::from(self.beyond[bin]);
            let costs = paid * area + price * beyond;
            if costs < least {
                (best, least) = (next, costs);
            }
        }
        self.floor = best;
    }
}

fn bin(ratio: f64) -> usize {
    let bin = (ratio / LEAST).ln() / STEP.ln();
    (bin.max(0.0) as usize).min(BINS - 1)
}

const BINS: usize = 64;
/// Bins are 5 % wide, up to 11.35.
const LEAST: f64 = 0.5;
const STEP: f64 = 1.05;
/// About so many visits are remembered.
const VISITS: f64 = 20.0;
/// So many are assumed besides.
const UNSEEN: f64 = 3.0;
/// The share of what is started for a floor that would not be started for the load anyway.
const STARTS: f64 = 0.3;
/// Of the level, in seconds.
const SLOW: f64 = 1_800.0;
