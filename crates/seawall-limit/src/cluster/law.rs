//! A quota as Redis decides on it: the generic cell rate algorithm in whole microseconds.

use std::time::Duration;

use crate::error::{Error, in_range};
use crate::quota::{Mode, Quota};

/// A quota's integers. `1 <= emission <= capacity <= MAX_CAPACITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Law {
    /// Microseconds a unit, rounded up: never looser than the quota.
    pub(crate) emission: u64,
    /// Microseconds to refill an empty quota.
    pub(crate) capacity: u64,
}

impl Law {
    /// # Errors
    /// If the quota is not a bucket, may be in debt, or takes longer than 2^51 us (71 years) to
    /// refill when empty.
    pub(crate) fn of(quota: Quota) -> Result<Self, Error> {
        if !matches!(quota.mode(), Mode::Smooth | Mode::Strict) {
            return Err(Error::Mode { mode: quota.mode() });
        }
        // No cluster-wide call charges beyond what is left, so a debt would be a promise.
        in_range("debt of a cluster-wide quota", quota.debt().into(), 0, 0)?;
        let emission = micros_up(quota.interval()).max(1);
        let capacity = emission.saturating_mul(quota.burst().into());
        in_range("burst x interval in microseconds", capacity, 1, MAX_CAPACITY)?;
        Ok(Self { emission, capacity })
    }

    /// The share of one of `nodes` that count for themselves: the same time to refill, its part of
    /// the rate, and of the burst, of which it has at least one unit.
    pub(crate) fn share(self, nodes: u32) -> Self {
        let nodes = u64::from(nodes.max(1));
        let burst = (self.burst() / nodes).max(1);
        let emission = self.emission.saturating_mul(nodes);
        Self { emission, capacity: emission.saturating_mul(burst) }
    }

    pub(crate) fn burst(self) -> u64 {
        self.capacity / self.emission
    }

    pub(crate) fn price(self, units: u32) -> u64 {
        self.emission.saturating_mul(units.into())
    }

    /// The part of the capacity in use.
    pub(crate) fn spent(self, tat: u64, now: u64) -> u64 {
        tat.saturating_sub(now).min(self.capacity)
    }

    /// What `spent` of another law is under this one: the same share, rounded up. Who has no whole
    /// unit left has none afterwards. In doubles, as the script does it; at most two microseconds
    /// more than in whole numbers, and never less.
    pub(crate) fn carried(self, from: Self, spent: u64) -> u64 {
        if from == self || spent == 0 {
            return spent.min(self.capacity);
        }
        let spent = spent.min(from.capacity);
        let share = (spent as f64 / from.capacity as f64 * self.capacity as f64).ceil() as u64 + 1;
        let carried = if from.capacity - spent < from.emission {
            share.max(self.capacity - self.emission + 1)
        } else {
            share
        };
        carried.min(self.capacity)
    }

    /// Whole units that may be spent at once.
    pub(crate) fn units(self, spent: u64) -> u64 {
        self.capacity.saturating_sub(spent) / self.emission
    }

    /// Whether no waiting makes room for so many units.
    pub(crate) fn never(self, units: u32) -> bool {
        self.price(units) > self.capacity
    }

    /// Microseconds until there is room for so many units; 0 if there is.
    pub(crate) fn wait(self, spent: u64, units: u32) -> u64 {
        spent.saturating_add(self.price(units)).saturating_sub(self.capacity)
    }

    /// Microseconds until one unit more is there; 0 when full.
    pub(crate) fn next(self, spent: u64) -> u64 {
        match spent.min(self.capacity) {
            0 => 0,
            spent => self.emission - (self.capacity - spent) % self.emission,
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn micros_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// 2^51 us. With it every sum in the script is an integer below 2^53, where a double is exact, and
/// so is the floor of every quotient: a/b is at least 1/(a+1) away, relatively, from any whole
/// number that it is not, which for a <= 2^51 is four times what rounding can move it by.
pub(crate) const MAX_CAPACITY: u64 = 1 << 51;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interval_that_is_no_whole_microsecond_is_never_looser() {
        let quota = Quota::per(700_000, Duration::from_secs(1)).expect("valid");
        assert_eq!(Law::of(quota).expect("fits").emission, 2);
    }

    #[test]
    fn a_quota_that_is_no_bucket_is_refused() {
        let second = Duration::from_secs(1);
        for quota in [Quota::window(5, second), Quota::fixed(5, second)] {
            let refused = Law::of(quota.expect("valid locally"));
            assert!(matches!(refused, Err(Error::Mode { .. })), "{refused:?}");
        }
        let strict = Quota::strict(100, second).expect("valid");
        let law = Law::of(strict).expect("a bucket");
        // No more than the limit in any second, as the mode promises.
        let most = law.burst() + second.as_micros() as u64 / law.emission;
        assert!(most <= 100, "{most}");
    }

    #[test]
    fn a_debt_which_no_decision_would_ever_make_is_refused() {
        let quota = Quota::per(5, Duration::from_secs(1)).expect("valid");
        let refused = Law::of(quota.with_debt(2).expect("valid locally"));
        assert!(refused.is_err_and(|error| error.to_string().contains("debt")));
    }

    #[test]
    fn a_quota_beyond_exact_doubles_is_refused() {
        let years = Duration::from_secs(3_600 * 24 * 365 * 80);
        assert!(Law::of(Quota::per(1, years).expect("valid locally")).is_err());
    }

    #[test]
    fn shares_of_all_nodes_are_not_more_than_the_whole() {
        for burst in 1..100_u64 {
            let law = Law { emission: 7, capacity: 7 * burst };
            for nodes in 1..=9 {
                let share = law.share(nodes);
                assert!(share.burst() * u64::from(nodes) <= burst.max(u64::from(nodes)));
                assert_eq!(share.emission, law.emission * u64::from(nodes));
            }
        }
    }

    proptest! {
        /// Against whole numbers.
        #[test]
        fn the_share_that_is_spent_is_carried_and_never_less(
            (emission, burst) in (1..1_u64 << 30, 1..1_u64 << 20),
            (other, other_burst) in (1..1_u64 << 30, 1..1_u64 << 20),
            part in 0..=1_000_u64,
        ) {
            let from = Law { emission, capacity: emission * burst };
            let to = Law { emission: other, capacity: other * other_burst };
            let spent = from.capacity / 1_000 * part;
            let carried = to.carried(from, spent);
            let exact = (u128::from(spent) * u128::from(to.capacity))
                .div_ceil(u128::from(from.capacity)) as u64;
            prop_assert!(carried >= exact.min(to.capacity), "{carried} {exact}");
            if from.units(spent) == 0 {
                prop_assert_eq!(to.units(carried), 0);
            } else if spent > 0 {
                prop_assert!(carried <= exact + 2, "{carried} {exact}");
            }
        }

        /// What the script does in doubles is what integers say, up to the bound.
        #[test]
        fn the_floor_of_a_double_quotient_is_exact(free in 0..=MAX_CAPACITY, emission in 1..=MAX_CAPACITY) {
            let exact = free / emission;
            prop_assert_eq!((free as f64 / emission as f64).floor() as u64, exact);
            // The hardest: one less than a multiple.
            let below = (exact.max(1) * emission - 1).min(MAX_CAPACITY);
            prop_assert_eq!((below as f64 / emission as f64).floor() as u64, below / emission);
        }
    }
}
