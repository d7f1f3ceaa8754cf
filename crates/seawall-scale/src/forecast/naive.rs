use super::{Forecaster, sound};

/// As it was a season ago; before there is one, as it is now.
#[derive(Clone, Debug)]
pub struct SeasonalNaive {
    /// The last season, around and around. Holes keep the season before.
    season: Vec<f64>,
    next: usize,
    seen: usize,
    last: Option<f64>,
}

impl SeasonalNaive {
    /// A season of so many steps, at least one. Memory: as many values.
    #[must_use]
    pub fn new(season: usize) -> Self {
        Self { season: vec![f64::NAN; season.max(1)], next: 0, seen: 0, last: None }
    }
}

impl Forecaster for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal_naive"
    }

    fn observe(&mut self, value: Option<f64>) {
        if let Some(value) = sound(value) {
            self.season[self.next] = value;
            self.last = Some(value);
        }
        self.next = (self.next + 1) % self.season.len();
        self.seen = self.seen.saturating_add(1);
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        let ahead = (steps.max(1) as usize - 1) % self.season.len();
        let then = self.season[(self.next + ahead) % self.season.len()];
        if self.seen >= self.season.len() && then.is_finite() { Some(then) } else { self.last }
    }
}
