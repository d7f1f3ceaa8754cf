use std::collections::VecDeque;

use super::{Forecaster, sound};

/// A forecaster with prediction intervals.
///
/// For each distance the offsets of what came from what was said are kept, in units of how far off
/// it was lately; a quantile of the next value is the forecast and that quantile of the offsets
/// (split conformal prediction). Load drifts, so each level is corrected by how often it held
/// (adaptive conformal inference, Gibbs and Candès 2021): in the long run a 95 % bound holds 95 %
/// of the time, whatever the load does.
///
/// Forecasts of sixty steps that are made at each step overlap: sixty offsets in a row say little
/// more than one. So many count as one, and a bound is promised only when there are as many as its
/// level takes: nine for 90 %, nineteen for 95 %, ninety-nine for 99 %
/// ([`independent`](Self::independent)). Before that there is none, and not a wrong one;
/// [`rough`](Self::rough) has what is known so far.
///
/// Cost: an observation is constant for each distance, a quantile a scan of 256 counters.
#[derive(Clone, Debug)]
pub struct Calibrated<F> {
    forecaster: F,
    distances: Vec<Distance>,
}

#[derive(Clone, Debug)]
struct Distance {
    steps: u32,
    /// What was said, with the unit and the bounds of then.
    said: VecDeque<Option<Said>>,
    /// The mean offset without sign, lately and in the long run.
    near: f64,
    far: f64,
    /// In weights that grow, so that the old fade without being touched.
    counts: Vec<f64>,
    weight: f64,
    /// The sum of the counts, in units of the present weight.
    total: f64,
    /// All offsets so far.
    seen: u64,
    /// The level that is asked of the offsets for each of [`LEVELS`].
    asked: [f64; LEVELS.len()],
}

#[derive(Clone, Copy, Debug)]
struct Said {
    point: f64,
    unit: f64,
    bounds: [f64; LEVELS.len()],
}

impl<F: Forecaster> Calibrated<F> {
    /// Intervals for these distances, in steps.
    #[must_use]
    pub fn new(forecaster: F, steps: &[u32]) -> Self {
        let distance = |steps: &u32| Distance {
            steps: (*steps).max(1),
            said: VecDeque::new(),
            near: 0.0,
            far: 0.0,
            counts: vec![0.0; BINS],
            weight: 1.0,
            total: 0.0,
            seen: 0,
            asked: LEVELS,
        };
        Self { forecaster, distances: steps.iter().map(distance).collect() }
    }

    /// What it wraps.
    #[must_use]
    pub fn inner(&self) -> &F {
        &self.forecaster
    }

    /// The value that `steps` ahead is exceeded in a share `1 - level` of all cases, at least 0.
    ///
    /// `None` for a distance that was not named, while the forecaster says nothing, and while there
    /// are fewer [`independent`](Self::independent) offsets than the level takes: with `n` of them
    /// no bound holds more often than `n / (n + 1)`, nor less often than `1 / (n + 1)`. Between the
    /// levels 0.05, 0.1, 0.2 up to 0.9, 0.95 and 0.99 the correction is interpolated; beyond them it
    /// is that of the nearest.
    #[must_use]
    pub fn quantile(&self, steps: u32, level: f64) -> Option<f64> {
        let distance = self.distance(steps)?;
        if distance.promises(level) { self.rough(steps, level) } else { None }
    }

    /// As [`quantile`](Self::quantile), but as soon as ten offsets are known, however few of them
    /// are independent: the best there is to go by, and no promise. On a trend that has not turned
    /// yet it has not seen what a turn does.
    #[must_use]
    pub fn rough(&self, steps: u32, level: f64) -> Option<f64> {
        let distance = self.distance(steps)?;
        let point = self.forecaster.forecast(steps)?;
        (distance.total >= LEAST).then(|| {
            let asked = distance.corrected(level);
            (point + distance.unit() * distance.offset(&distance.below(), asked)).max(0.0)
        })
    }

    /// How many offsets that do not overlap are known at this distance; 0 for one that was not
    /// named. The old count less and less, which is worth 6 665 that count the same (Kish's effective
    /// size): at a distance of sixty steps there are never more than 111.
    #[must_use]
    pub fn independent(&self, steps: u32) -> u64 {
        self.distance(steps).map_or(0, Distance::independent)
    }

    fn distance(&self, steps: u32) -> Option<&Distance> {
        self.distances.iter().find(|distance| distance.steps == steps)
    }
}

impl<F: Forecaster> Forecaster for Calibrated<F> {
    fn name(&self) -> &'static str {
        self.forecaster.name()
    }

    fn observe(&mut self, value: Option<f64>) {
        let value = sound(value);
        for distance in &mut self.distances {
            if distance.said.len() >= distance.steps as usize
                && let Some(Some(said)) = distance.said.pop_front()
                && let Some(value) = value
            {
                distance.learn(said, value);
            }
        }
        self.forecaster.observe(value);
        for distance in &mut self.distances {
            let point = self.forecaster.forecast(distance.steps);
            let said = point.map(|point| distance.say(point));
            distance.said.push_back(said);
        }
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        self.forecaster.forecast(steps)
    }
}

impl Distance {
    fn independent(&self) -> u64 {
        self.seen.min(REMEMBERED) / u64::from(self.steps)
    }

    /// Whether the finite-sample rank of split conformal prediction exists: with `n` offsets the
    /// `n + 1` gaps between them are equally likely, so the outermost take `1 / (n + 1)`.
    fn promises(&self, level: f64) -> bool {
        let outside = level.min(1.0 - level);
        (self.independent() + 1) as f64 * outside >= 1.0 - 1e-9
    }

    /// Of the last hours and of all time: one who was off lately is off now, and a calm hour is
    /// no promise.
    fn unit(&self) -> f64 {
        (self.near * self.far).sqrt().max(0.3 * self.far).max(1e-9)
    }

    fn say(&self, point: f64) -> Said {
        let unit = if self.total >= LEAST { self.unit() } else { 0.0 };
        let below = self.below();
        let bounds = self.asked.map(|asked| point + unit * self.offset(&below, asked));
        Said { point, unit, bounds }
    }

    fn learn(&mut self, said: Said, value: f64) {
        if said.unit > 0.0 {
            let corrected = (CORRECTED / f64::from(self.steps)).min(CORRECTED_MOST);
            for ((asked, bound), level) in self.asked.iter_mut().zip(said.bounds).zip(LEVELS) {
                let held = f64::from(u8::from(value <= bound.max(0.0)));
                *asked = (*asked + corrected * (level - held)).clamp(0.001, 0.999);
            }
        }
        let off = (value - said.point).abs();
        let seen = self.total + 1.0;
        self.near += (off - self.near) * (1.0 / seen).max(NEAR);
        self.far += (off - self.far) * (1.0 / seen).max(1.0 - KEPT);
        // What was said before anything was known has no unit of its own.
        let unit = if said.unit > 0.0 { said.unit } else { self.unit() };
        self.weight /= KEPT;
        if self.weight > MOST_WEIGHT {
            let by = 1.0 / self.weight;
            self.counts.iter_mut().for_each(|count| *count *= by);
            self.weight = 1.0;
        }
        self.counts[bin((value - said.point) / unit)] += self.weight;
        self.total = self.total * KEPT + 1.0;
        self.seen = self.seen.saturating_add(1);
    }

    /// How many offsets there are up to the end of each bin.
    fn below(&self) -> [f64; BINS] {
        let (mut below, mut sum) = ([0.0; BINS], 0.0);
        for (below, count) in below.iter_mut().zip(&self.counts) {
            sum += count / self.weight;
            *below = sum;
        }
        below
    }

    /// In units: what a share `level` of the offsets did not exceed.
    fn offset(&self, below: &[f64; BINS], level: f64) -> f64 {
        let all = below[BINS - 1];
        // The (n + 1) of split conformal prediction, for both sides; never beyond the last.
        let rank = (all / 2.0 + (level - 0.5) * (self.total + 1.0)).clamp(all * 1e-9, all);
        let bin = below.partition_point(|below| *below < rank).min(BINS - 1);
        let before = if bin > 0 { below[bin - 1] } else { 0.0 };
        let count = below[bin] - before;
        let share = if count > 0.0 { ((rank - before) / count).clamp(0.0, 1.0) } else { 0.5 };
        edge(bin as f64 + share)
    }

    fn corrected(&self, level: f64) -> f64 {
        let above = LEVELS.iter().position(|known| *known >= level);
        match above {
            Some(0) => (level + self.asked[0] - LEVELS[0]).clamp(0.001, 0.999),
            Some(at) => {
                let share = (level - LEVELS[at - 1]) / (LEVELS[at] - LEVELS[at - 1]);
                self.asked[at - 1] + share * (self.asked[at] - self.asked[at - 1])
            }
            None => {
                let last = LEVELS.len() - 1;
                (level + self.asked[last] - LEVELS[last]).clamp(0.001, 0.999)
            }
        }
    }
}

/// Fine around zero, and up to some hundred units.
fn bin(offset: f64) -> usize {
    let place = BINS as f64 / 2.0 + FINE * offset.asinh();
    place.clamp(0.0, (BINS - 1) as f64) as usize
}

fn edge(place: f64) -> f64 {
    ((place - BINS as f64 / 2.0) / FINE).sinh()
}

const LEVELS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const BINS: usize = 256;
const FINE: f64 = 20.0;
/// How fast a level is corrected, at most [`CORRECTED_MOST`] a value: what is corrected shows only
/// after the distance, and one who corrects faster than that swings.
const CORRECTED: f64 = 0.02;
const CORRECTED_MOST: f64 = 0.005;
/// About three thousand offsets are remembered, and sixty for what is lately.
const KEPT: f64 = 0.9997;
/// What such weights are worth: the square of their sum by the sum of their squares, which is
/// `(1 + KEPT) / (1 - KEPT)`.
const REMEMBERED: u64 = 6_665;
const NEAR: f64 = 1.0 / 60.0;
const MOST_WEIGHT: f64 = 1e12;
/// Offsets before there are intervals.
const LEAST: f64 = 10.0;
