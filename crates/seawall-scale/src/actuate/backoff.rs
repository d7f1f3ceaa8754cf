use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double from `min` to `max`, each somewhere between its half and its whole, so that
/// many engines that failed together do not come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: RandomState,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0, random: RandomState::new() }
    }

    /// How often it failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; how long to wait after it.
    pub(crate) fn fail(&mut self) -> Duration {
        let doubled = self.min.saturating_mul(1_u32 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        doubled / 2 + jitter(&self.random, self.failures, doubled / 2)
    }
}

/// A duration below `most`, other at each `turn` and in each process.
pub(crate) fn jitter(random: &RandomState, turn: u32, most: Duration) -> Duration {
    let part = random.hash_one(turn) >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    let share = part as f64 / f64::from(u32::MAX);
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_within_bounds_and_start_anew_after_success() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::new(min, max);
        for turn in 0..100 {
            let whole = min.saturating_mul(1 << turn.min(10)).min(max);
            let wait = backoff.fail();
            assert!(wait >= whole / 2 && wait <= whole, "turn {turn}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.fail() <= min);
    }

    #[test]
    fn engines_that_fail_together_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> = (0..32)
            .map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).fail())
            .collect();
        assert!(waits.len() > 16, "{waits:?}");
    }
}
