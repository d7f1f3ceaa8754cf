//! How many second attempts there may be.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bucket that each read fills by its share of a second attempt. It begins empty, so there are
/// never more second attempts than the share of all reads so far.
pub(super) struct Budget {
    /// In millionths of an attempt.
    saved: AtomicU64,
    share: u64,
    most: u64,
}

impl Budget {
    pub(super) fn new(share: f64, burst: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded down, at most a million"
        )]
        let share = (share * ONE as f64) as u64;
        Self { saved: AtomicU64::new(0), share, most: u64::from(burst) * ONE }
    }

    /// A read begins.
    pub(super) fn earn(&self) {
        let saved = self.saved.load(Ordering::Relaxed);
        if saved < self.most {
            self.add(self.share);
        }
    }

    /// Takes one attempt, if there is one.
    pub(super) fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(ONE);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// The attempt that was taken was not made.
    pub(super) fn refund(&self) {
        self.add(ONE);
    }

    fn add(&self, part: u64) {
        let more = |saved: u64| Some((saved + part).min(self.most));
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

const ONE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Budget;

    #[test]
    fn nothing_is_saved_up_beyond_the_burst() {
        let budget = Budget::new(1.0, 3);
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
        budget.refund();
        assert!(budget.spend() && !budget.spend());
    }

    #[test]
    fn without_a_share_there_is_never_one() {
        let budget = Budget::new(0.0, 10);
        (0..1_000).for_each(|_| budget.earn());
        assert!(!budget.spend());
    }

    proptest! {
        /// However reads and second attempts come, the attempts are at most their share.
        #[test]
        fn attempts_never_exceed_their_share(
            share in 0.0..=1.0f64, burst in 1u32..50, steps in prop::collection::vec(any::<bool>(), 0..500)
        ) {
            let budget = Budget::new(share, burst);
            let (mut reads, mut spent) = (0u32, 0u32);
            for earns in steps {
                if earns {
                    reads += 1;
                    budget.earn();
                } else if budget.spend() {
                    spent += 1;
                }
                prop_assert!(f64::from(spent) <= share * f64::from(reads) + 1e-9);
            }
        }
    }
}
