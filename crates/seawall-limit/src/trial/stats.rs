//! The differences, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

use crate::decide::{Place, Ruled};
use crate::policy::Policy;
use crate::quota::Quota;
use crate::share::Share;

/// What shadowed policies and candidates would have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowStats {
    /// By request: whether all that is in force admitted it, and whether all
    /// that is on trial would have.
    pub requests: Difference,
    /// By policy, in the order of [`Limiter::policies`](crate::Limiter::policies).
    pub policies: Vec<ShadowPolicy>,
    /// Decisions of the twin on keys that had to share a sketch, because its table
    /// was full of live keys: those may have been too strict.
    pub saturated: u64,
}

/// The same for one policy, counted by whether it was among those that refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowPolicy {
    /// The policy.
    pub name: String,
    /// The keys for which it, or its candidate, is in force.
    pub share: Share,
    /// What is tried in place of its quota.
    pub candidate: Option<Quota>,
    /// How often it refused, in force and on trial. Where it is not in force, it
    /// counts as admitting.
    pub difference: Difference,
    /// Decisions in which it was in force, in its own quota or its candidate.
    pub enforced: u64,
}

/// How often what is in force and what is on trial agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Difference {
    /// Nothing changes.
    pub both_admit: u64,
    /// Nothing changes.
    pub both_refuse: u64,
    /// Clients were refused that would not be.
    pub only_live_refuses: u64,
    /// Clients would be refused that were not.
    pub only_shadow_refuses: u64,
}

/// See the module.
pub(crate) struct Differences {
    requests: [AtomicU64; 4],
    policies: Box<[Counts]>,
    saturated: AtomicU64,
    /// When a difference was last told, in nanoseconds; and how many were not since.
    told: AtomicU64,
    untold: AtomicU64,
}

struct Counts {
    name: Box<str>,
    counts: [AtomicU64; 4],
    counters: [Counter; 4],
    enforced: AtomicU64,
}

impl Differences {
    pub(super) fn new(policies: &[Policy]) -> Self {
        describe_counter!(
            SHADOW,
            "Decisions by whether a policy refused in force and on trial, while something is on trial."
        );
        let counts = |policy: &Policy| {
            Counts {
            name: policy.name().into(),
            counts: Default::default(),
            counters: OUTCOMES.map(|outcome| {
                counter!(SHADOW, "policy" => policy.name().to_owned(), "outcome" => outcome)
            }),
            enforced: AtomicU64::new(0),
        }
        };
        Self {
            requests: Default::default(),
            policies: policies.iter().map(counts).collect(),
            saturated: AtomicU64::new(0),
            told: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        }
    }

    /// `live`: whether it refused, if it is in force.
    pub(super) fn policy(&self, policy: u8, live: Option<bool>, shadow: bool) {
        let counts = &self.policies[usize::from(policy)];
        let outcome = outcome(live.unwrap_or(false), shadow);
        counts.counts[outcome].fetch_add(1, Ordering::Relaxed);
        counts.counters[outcome].increment(1);
        if live.is_some() {
            counts.enforced.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn saturated(&self, ruled: &Ruled) {
        if ruled.place == Place::Overflow {
            self.saturated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `shadow`: what refuses, and for how long. Tells of a difference, once a second at most.
    pub(super) fn request(&self, live: bool, shadow: Option<(&str, u64)>, now: u64) {
        let outcome = outcome(live, shadow.is_some());
        self.requests[outcome].fetch_add(1, Ordering::Relaxed);
        if live == shadow.is_some() {
            return;
        }
        let before = self.told.load(Ordering::Relaxed);
        let due = before == 0 || now.saturating_sub(before) >= SECOND;
        if !due
            || self
                .told
                .compare_exchange(before, now.max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let untold = self.untold.swap(0, Ordering::Relaxed);
        let (policy, wait) = shadow.unwrap_or_default();
        let wait_ms = wait / 1_000_000;
        tracing::info!(
            outcome = OUTCOMES[outcome],
            policy,
            wait_ms,
            untold,
            "a policy on trial would decide otherwise"
        );
    }

    pub(super) fn read(&self, policies: &[Policy]) -> ShadowStats {
        let one = |(counts, policy): (&Counts, &Policy)| ShadowPolicy {
            name: counts.name.to_string(),
            share: policy.tried().map_or_else(|| policy.share(), |(_, share)| share),
            candidate: policy.tried().map(|(quota, _)| quota),
            difference: Difference::of(&counts.counts),
            enforced: counts.enforced.load(Ordering::Relaxed),
        };
        ShadowStats {
            requests: Difference::of(&self.requests),
            policies: self.policies.iter().zip(policies).map(one).collect(),
            saturated: self.saturated.load(Ordering::Relaxed),
        }
    }
}

impl Difference {
    fn of(counts: &[AtomicU64; 4]) -> Self {
        let [both_admit, only_shadow_refuses, only_live_refuses, both_refuse] =
            counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Self { both_admit, both_refuse, only_live_refuses, only_shadow_refuses }
    }
}

/// Says for which keys each policy is in force.
pub(crate) fn tell_shares(policies: &[Policy]) {
    describe_gauge!(
        SHARE,
        "For which share of the keys a policy, or its candidate, is in force, 0 to 1."
    );
    for policy in policies {
        let share = policy.tried().map_or_else(|| policy.share(), |(_, share)| share);
        let name = policy.name().to_owned();
        gauge!(SHARE, "policy" => name).set(share.as_percent() / 100.0);
    }
}

fn outcome(live: bool, shadow: bool) -> usize {
    usize::from(live) << 1 | usize::from(shadow)
}

const OUTCOMES: [&str; 4] =
    ["both_admit", "only_shadow_refuses", "only_live_refuses", "both_refuse"];
const SHADOW: &str = "seawall_limit_shadow_total";
const SHARE: &str = "seawall_limit_enforced_ratio";
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_once_a_second_with_the_number_of_the_others() {
        let differences = Differences::new(&[]);
        let untold = |now, live| {
            differences.request(live, Some(("p", 1)), now);
            differences.untold.load(Ordering::Relaxed)
        };
        assert_eq!([untold(5, false), untold(6, false), untold(SECOND, false)], [0, 1, 2]);
        assert_eq!(untold(SECOND + 4, true), 2, "no difference");
        assert_eq!(untold(SECOND + 5, false), 0, "told");
    }
}
