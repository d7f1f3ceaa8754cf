//! How many requests are outstanding at a node, and how old they are, in one word.
//!
//! The low 20 bits count; the high 44 hold the sum of the start times in ticks of
//! 2^16 ns, modulo 2^44. From both and the present follows the mean age, so that
//! a node which answers nothing looks slower with every moment, not only once
//! its requests have timed out. One atomic addition a start, one a finish. The
//! count has room for more than the limit of the configuration and the threads
//! that may overshoot it at once.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Outstanding(AtomicU64);

impl Outstanding {
    /// Counts a request that starts at `now`; give [`end`](Self::end) the same `now`.
    #[inline]
    pub(crate) fn begin(&self, now: u64) {
        self.0.fetch_add(one(now), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn end(&self, began: u64) {
        self.0.fetch_sub(one(began), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) & COUNT_MASK) as u32
    }

    /// The count, and the mean age in seconds; 0 when nothing is outstanding.
    #[inline]
    pub(crate) fn read(&self, now: u64) -> (u32, f32) {
        let word = self.0.load(Ordering::Relaxed);
        let count = word & COUNT_MASK;
        if count == 0 {
            return (0, 0.0);
        }
        let ages = (now >> TICK_BITS).wrapping_mul(count).wrapping_sub(word >> COUNT_BITS);
        // A request of another thread may have begun after this `now`: then the
        // sum of the ages is below 0 by a little.
        let ages = (ages << COUNT_BITS) as i64 >> COUNT_BITS;
        (count as u32, ages.max(0) as f32 * TICK_SECONDS / count as f32)
    }
}

#[inline]
const fn one(now: u64) -> u64 {
    ((now >> TICK_BITS) << COUNT_BITS) | 1
}

const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TICK_BITS: u32 = 16;
const TICK_SECONDS: f32 = (1_u64 << TICK_BITS) as f32 * 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn starts_and_ends_in_any_order_leave_nothing(starts: Vec<u64>, now: u64, seed in any::<u64>()) {
            let outstanding = Outstanding::default();
            for start in &starts {
                outstanding.begin(*start);
            }
            assert_eq!(outstanding.count() as usize, starts.len());
            let mut ends = starts;
            ends.sort_by_key(|end| crate::hash::mix(end ^ seed));
            for end in ends {
                outstanding.end(end);
            }
            assert_eq!(outstanding.read(now), (0, 0.0));
        }

        #[test]
        fn the_mean_age_is_the_mean(
            ages in proptest::collection::vec(0..3_600_000_u64, 1..100),
            begun in 0..u64::MAX / 2,
        ) {
            let outstanding = Outstanding::default();
            let now = begun + 3_600 * SECOND;
            for age in &ages {
                outstanding.begin(now - age * 1_000_000);
            }
            let mean = ages.iter().sum::<u64>() as f32 / ages.len() as f32 / 1e3;
            let (count, age) = outstanding.read(now);
            assert_eq!(count as usize, ages.len());
            assert!((age - mean).abs() <= 0.000_1 + mean * 1e-5, "{age} {mean}");
        }
    }

    #[test]
    fn a_request_begun_after_now_is_of_age_zero() {
        let outstanding = Outstanding::default();
        outstanding.begin(5 * SECOND);
        assert_eq!(outstanding.read(4 * SECOND), (1, 0.0));
    }
}
