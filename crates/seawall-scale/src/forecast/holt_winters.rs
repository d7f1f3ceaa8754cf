use super::{Forecaster, sound};

/// Level, damped trend and additive season, each smoothed exponentially.
///
/// Additive, because the multiplicative form dies at zero; damped, because a trend that is not
/// runs away. It begins after one whole season; until then it is the level.
///
/// Source: Holt (1957), Winters (1960), damping by Gardner and McKenzie (1985).
#[derive(Clone, Debug)]
pub struct HoltWinters {
    season: Vec<f64>,
    /// The first season is kept whole: its mean is the level that the offsets are of.
    first: Vec<f64>,
    at: usize,
    level: Option<f64>,
    trend: f64,
    smoothing: [f64; 3],
}

impl HoltWinters {
    /// A season of so many steps, at least one, at the usual smoothing of 0.3 for the level, 0.05
    /// for the trend and 0.2 for the season.
    #[must_use]
    pub fn new(season: usize) -> Self {
        Self::smoothed(season, [0.3, 0.05, 0.2])
    }

    /// With these smoothing factors of level, trend and season, each 0 to 1.
    #[must_use]
    pub fn smoothed(season: usize, smoothing: [f64; 3]) -> Self {
        let season = vec![0.0; season.max(1)];
        let smoothing = smoothing.map(|factor| factor.clamp(0.0, 1.0));
        Self { season, first: Vec::new(), at: 0, level: None, trend: 0.0, smoothing }
    }

    fn whole(&self) -> bool {
        self.first.len() >= self.season.len()
    }

    /// Offsets from the mean of the first season.
    fn begin(&mut self) {
        let mean = self.first.iter().sum::<f64>() / self.first.len() as f64;
        for (offset, value) in self.season.iter_mut().zip(&self.first) {
            *offset = value - mean;
        }
        let last = self.season.last().copied().unwrap_or_default();
        self.level = self.first.last().map(|value| value - last);
        self.trend = 0.0;
        self.at = 0;
    }
}

impl Forecaster for HoltWinters {
    fn name(&self) -> &'static str {
        "holt_winters"
    }

    fn observe(&mut self, value: Option<f64>) {
        let [alpha, beta, gamma] = self.smoothing;
        let value = sound(value);
        if !self.whole() {
            let Some(value) = value.or(self.first.last().copied()) else { return };
            self.first.push(value);
            let level = self.level.unwrap_or(value);
            self.level = Some(level + alpha * (value - level));
            if self.whole() {
                self.begin();
            }
            return;
        }
        let offset = self.season[self.at];
        let before = self.level.unwrap_or_default();
        let carried = before + DAMPED * self.trend;
        let level = value.map_or(carried, |value| carried + alpha * (value - offset - carried));
        self.trend = DAMPED * self.trend + beta * (level - before - DAMPED * self.trend);
        if let Some(value) = value {
            self.season[self.at] += gamma * (value - level - offset);
        }
        self.level = Some(level);
        self.at = (self.at + 1) % self.season.len();
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        let level = self.level?;
        if !self.whole() {
            return Some(level.max(0.0));
        }
        let ahead = (steps.max(1) as usize - 1) % self.season.len();
        let offset = self.season[(self.at + ahead) % self.season.len()];
        // The sum of a geometric row.
        let row = DAMPED * (1.0 - DAMPED.powf(f64::from(steps))) / (1.0 - DAMPED);
        Some((level + row * self.trend + offset).max(0.0))
    }
}

/// Of a trend, each step.
const DAMPED: f64 = 0.95;
