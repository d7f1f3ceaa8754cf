//! Seeded draws.

use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub(super) struct Dice {
    random: Mutex<StdRng>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    pub(super) fn strikes(&self, probability: f64) -> bool {
        probability > 0.0 && self.random.lock().random::<f64>() < probability
    }

    /// Up to `longest`, uniformly.
    pub(super) fn delay(&self, longest: Duration) -> Duration {
        if longest.is_zero() {
            return longest;
        }
        longest.mul_f64(self.random.lock().random::<f64>())
    }
}
