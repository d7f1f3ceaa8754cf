/// Finds the period of a load: the lag at which it is most like itself.
///
/// Autocorrelations of all lags up to eight days are kept up to date, on means of five minutes (or
/// of a step, where that is longer), so nothing is computed anew over the history.
///
/// Cost: an observation is one addition; each five minutes one multiplication for
/// each of about 2 300 lags, and as many values are kept.
#[derive(Clone, Debug)]
pub struct Period {
    /// Steps of a bin, and its seconds.
    steps: usize,
    seconds: f64,
    sum: f64,
    count: usize,
    filled: usize,
    bins: Vec<f64>,
    next: usize,
    seen: usize,
    mean: f64,
    square: f64,
    /// Sums of products with the value each lag before.
    products: Vec<f64>,
    found: Option<usize>,
}

impl Period {
    /// For steps of so many seconds.
    #[must_use]
    pub fn new(step: f64) -> Self {
        let step = if step.is_finite() { step.clamp(0.01, DAY) } else { 60.0 };
        let steps = (BIN / step).round().max(1.0) as usize;
        let lags = (LONGEST / (steps as f64 * step)).ceil() as usize + 2;
        Self {
            steps,
            seconds: steps as f64 * step,
            sum: 0.0,
            count: 0,
            filled: 0,
            bins: vec![0.0; lags],
            next: 0,
            seen: 0,
            mean: 0.0,
            square: 0.0,
            products: vec![0.0; lags],
            found: None,
        }
    }

    /// The period in steps, once two of them have been seen and the load is like itself
    /// (autocorrelation 0.3, and 0.2 where it was before).
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        self.found.map(|bins| bins * self.steps)
    }

    /// The value of the next step; a missing one is left out of its mean.
    pub fn observe(&mut self, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.sum += value;
            self.count += 1;
        }
        self.filled += 1;
        if self.filled >= self.steps {
            let value = if self.count > 0 { self.sum / self.count as f64 } else { self.mean };
            (self.sum, self.count, self.filled) = (0.0, 0, 0);
            self.bin(value);
        }
    }

    fn bin(&mut self, value: f64) {
        let lags = self.bins.len();
        self.seen += 1;
        let share = (1.0 / self.seen as f64).max(1.0 / (2.0 * lags as f64));
        self.mean += share * (value - self.mean);
        // Peaks are clipped: one surge is not a period.
        let spread = self.square.sqrt().max(1e-12) * 3.0;
        let offset = value - self.mean;
        let offset = if self.seen > 20 { offset.clamp(-spread, spread) } else { offset };
        self.square += share * (offset * offset - self.square);
        for lag in 1..lags.min(self.seen) {
            let before = self.bins[(self.next + lags - lag) % lags];
            self.products[lag] += share * (offset * before - self.products[lag]);
        }
        self.bins[self.next] = offset;
        self.next = (self.next + 1) % lags;
        if self.seen.is_multiple_of(12) {
            self.find();
        }
    }

    fn find(&mut self) {
        let least = if self.found.is_some() { 0.2 } else { 0.3 };
        match self.peak() {
            // The neighbour of what was found is what was found: a profile is not begun anew.
            Some((lag, alike)) if alike >= least => {
                let lag = self.clock(lag);
                if self.found.is_none_or(|found| found.abs_diff(lag) * 50 > found) {
                    self.found = Some(lag);
                }
            }
            _ => self.found = None,
        }
    }

    /// The first lag that is about as good as the best, and how much the load is like itself.
    fn peak(&self) -> Option<(usize, f64)> {
        let lags = (self.bins.len() - 1).min(self.seen / 2);
        let alike = |lag: usize| {
            // Of a lag there are as many products fewer.
            let share = (self.seen as f64 / (self.seen - lag) as f64).min(2.0);
            share * self.products[lag] / self.square.max(f64::MIN_POSITIVE)
        };
        // Only after the first fall, for everything is like itself a moment ago; and not the last
        // rise, whose peak is yet to come.
        let first = (1..lags).find(|lag| alike(*lag) < 0.2)?.max(SHORTEST);
        let mut end = lags;
        while end > first + 1 && alike(end - 1) >= alike(end - 2) {
            end -= 1;
        }
        let most = (first..end).map(alike).fold(f64::NEG_INFINITY, f64::max);
        let begin = (first..end).find(|lag| alike(*lag) >= 0.8 * most)?;
        let near = begin..end.min(begin + begin / 5 + 4);
        let best = near.max_by(|a, b| alike(*a).total_cmp(&alike(*b)))?;
        Some((best, alike(best)))
    }
}

impl Period {
    /// Load follows the clock: what is near an hour, half a day, a day or a week is that.
    fn clock(&self, lag: usize) -> usize {
        let near = |seconds: &f64| {
            (lag as f64 * self.seconds / seconds - 1.0).abs() <= NEAR_CLOCK
                && (seconds / self.seconds).fract() < 1e-9
        };
        let clock = [3_600.0, DAY / 2.0, DAY, 7.0 * DAY].into_iter().find(near);
        clock.map_or(lag, |seconds| (seconds / self.seconds) as usize)
    }
}

/// As far off as the peak of two noisy periods may be.
const NEAR_CLOCK: f64 = 0.07;
const BIN: f64 = 300.0;
const DAY: f64 = 86_400.0;
const LONGEST: f64 = 8.0 * DAY;
/// Shorter than three bins is noise.
const SHORTEST: usize = 3;
