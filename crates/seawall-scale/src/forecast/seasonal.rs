use super::direct::Direct;
use super::{Forecaster, Period, sound};

/// A profile of the period, and an autoregression of what is left of it.
///
/// The profile is of at most 288 places (five minutes of a day), and robust: a value moves its
/// place by no more than three mean offsets, so a surge is not expected again tomorrow at full
/// height, but a new level is learned in some days. The period is found by itself; while there is
/// none, nothing is forecast.
#[derive(Clone, Debug)]
pub struct Seasonal {
    period: Period,
    profile: Option<Profile>,
    direct: Direct,
}

#[derive(Clone, Debug)]
struct Profile {
    steps: usize,
    places: Vec<f64>,
    visits: Vec<u32>,
    /// Which step of the period comes next, and how many have been.
    next: usize,
    seen: usize,
    scale: f64,
}

impl Seasonal {
    /// For steps of so many seconds.
    #[must_use]
    pub fn new(step: f64) -> Self {
        Self { period: Period::new(step), profile: None, direct: Direct::new() }
    }
}

impl Forecaster for Seasonal {
    fn name(&self) -> &'static str {
        "seasonal"
    }

    fn observe(&mut self, value: Option<f64>) {
        let value = sound(value);
        self.period.observe(value);
        let steps = self.period.steps();
        if self.profile.as_ref().map(|profile| profile.steps) != steps {
            // Another period: what was learned of places and of what is left is of no use.
            self.profile = steps.map(Profile::new);
            self.direct = Direct::new();
        }
        let Some(profile) = &mut self.profile else { return };
        // Of what the profile said before it learns the value.
        let known = profile.at(0);
        profile.observe(value);
        if let Some(known) = known {
            self.direct.observe(value.map(|value| value - known));
        }
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        let place = self.profile.as_ref()?.at(steps.max(1) as usize - 1)?;
        Some((place + self.direct.forecast(steps)).max(0.0))
    }
}

impl Profile {
    fn new(steps: usize) -> Self {
        let places = steps.min(PLACES);
        Self {
            steps,
            places: vec![0.0; places],
            visits: vec![0; places],
            next: 0,
            seen: 0,
            scale: 0.0,
        }
    }

    fn observe(&mut self, value: Option<f64>) {
        let place = self.next * self.places.len() / self.steps;
        self.next = (self.next + 1) % self.steps;
        self.seen = self.seen.saturating_add(1);
        let Some(value) = value else { return };
        let visits = self.visits[place];
        let each = (self.steps / self.places.len()).max(1) as f64;
        let offset = value - self.places[place];
        if f64::from(visits) >= each {
            self.scale += 0.01 * (offset.abs() - self.scale);
        }
        let most = 3.0 * self.scale;
        let offset = if most > 0.0 && self.seen > 2 * self.steps {
            offset.clamp(-most, most)
        } else {
            offset
        };
        // The mean of the first visits; later a quarter of a period's visits.
        let share = (1.0 / (f64::from(visits) + 1.0)).max(LEARNED / each);
        self.places[place] += share * offset;
        self.visits[place] = visits.saturating_add(1);
    }

    /// What comes `ahead` steps after the next, between the nearest places.
    fn at(&self, ahead: usize) -> Option<f64> {
        if self.seen < self.steps {
            return None;
        }
        let count = self.places.len();
        let step = (self.next + ahead) % self.steps;
        let exact = (step as f64 + 0.5) * count as f64 / self.steps as f64 - 0.5;
        let from = exact.floor();
        let share = exact - from;
        let place = |index: f64| self.places[(index as isize).rem_euclid(count as isize) as usize];
        Some(place(from) + share * (place(from + 1.0) - place(from)))
    }
}

const PLACES: usize = 288;
/// How much of a place one period renews.
const LEARNED: f64 = 0.25;
