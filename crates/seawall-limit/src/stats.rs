//! The limiter's own metrics, with handles made once.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, counter, describe_counter};

use crate::policy::Policy;

pub(crate) struct Stats {
    policies: Box<[Outcomes]>,
    saturated: Counter,
    /// When a decision last had to share a cell, to the second; 0 is never.
    saturated_at: AtomicU64,
}

struct Outcomes {
    allowed: Counter,
    rejected: Counter,
}

impl Stats {
    pub(crate) fn new(policies: &[Policy]) -> Self {
        describe_counter!(
            DECISIONS,
            "Decisions by the policy that rejected, or was tightest, and by outcome."
        );
        describe_counter!(
            SATURATED,
            "Decisions on keys that share a sketch because the table is full of live keys."
        );
        let outcomes = |policy: &Policy| {
            let handle = |outcome: &'static str| counter!(DECISIONS, "policy" => policy.name().to_owned(), "outcome" => outcome);
            Outcomes { allowed: handle("allowed"), rejected: handle("rejected") }
        };
        Self {
            policies: policies.iter().map(outcomes).collect(),
            saturated: counter!(SATURATED),
            saturated_at: AtomicU64::new(0),
        }
    }

    /// A decision counts once, under the policy that it names.
    #[inline]
    pub(crate) fn decided(&self, policy: u8, allowed: bool) {
        let outcomes = &self.policies[usize::from(policy)];
        let counter = if allowed { &outcomes.allowed } else { &outcomes.rejected };
        counter.increment(1);
    }

    /// Warns when saturation begins: first ever, or after a minute without.
    pub(crate) fn saturated(&self, now: u64) {
        self.saturated.increment(1);
        // Kept to the second: a flood of keys must not make threads fight for
        // this word.
        let before = self.saturated_at.load(Ordering::Relaxed);
        if before != 0 && now.saturating_sub(before) < SECOND {
            return;
        }
        let before = self.saturated_at.swap(now.max(1), Ordering::Relaxed);
        if before == 0 || now.saturating_sub(before) > MINUTE {
            tracing::warn!(
                "the limiter's table is full of live keys: new keys share a sketch; consider a larger max_keys"
            );
        }
    }
}

const DECISIONS: &str = "seawall_limit_decisions_total";
const SATURATED: &str = "seawall_limit_saturated_total";
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60_000_000_000;
