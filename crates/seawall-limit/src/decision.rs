//! The answer to one check.

use std::fmt;
use std::time::Duration;

use crate::decide::{Outcome, Place, Ruled, Ruling};
use crate::policy::Policy;
use crate::set::PolicySet;

/// Whether the request may go on, and what to tell the client.
///
/// It names one policy: if rejected, the first of the set that rejects (the
/// most specific); if allowed, the one with the fewest units left.
#[derive(Clone, Copy)]
#[must_use = "a decision that nobody looks at limits nothing"]
pub struct Decision<'a> {
    set: &'a PolicySet,
    said: Said,
}

/// Who decided.
#[derive(Clone, Copy)]
enum Said {
    /// The limiter's table.
    Here(Ruled),
    /// Others, who gave the numbers with it.
    #[cfg(feature = "redis")]
    Elsewhere(Ruling),
}

impl<'a> Decision<'a> {
    /// Whether the request may go on; then every policy was charged. If not,
    /// none was.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.outcome() == Outcome::Allowed
    }

    /// Whether the cost is above the burst of a policy, so that no waiting helps.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.outcome() == Outcome::TooLarge
    }

    /// Whether the key shared its quota with others, because the table is full
    /// of keys that are short of theirs: then this may be stricter than the
    /// policy says, and is never laxer. Counted in `seawall_limit_saturated_total`.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        matches!(self.said, Said::Here(Ruled { place: Place::Overflow, .. }))
    }

    /// Whether any policy is enforced for this key. If not, because all of the
    /// set are shadowed, it is allowed, and what it says of the quota is what
    /// the set's first policy would say to a key that has spent nothing.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        !self.set.entries().is_empty()
    }

    /// The name of the policy that rejects, or that is tightest.
    #[must_use]
    pub fn policy(&self) -> &'a str {
        self.named().name()
    }

    /// That policy's units per period.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.named().quota().limit()
    }

    /// That policy's units left, after this charge. Up to its burst, which may
    /// be above its limit.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.ruling().remaining
    }

    /// How long to wait until the same cost is admitted by every policy of the
    /// set, if nobody else spends meanwhile. Exact to the nanosecond: one less
    /// is rejected. `None` if allowed, or if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let wait = match self.said {
            Said::Here(ruled) => ruled.wait,
            #[cfg(feature = "redis")]
            Said::Elsewhere(ruling) => ruling.wait,
        };
        (self.outcome() == Outcome::Rejected).then(|| Duration::from_nanos(wait))
    }

    /// How long until the named policy is full again.
    #[must_use]
    pub fn reset(&self) -> Duration {
        Duration::from_nanos(self.ruling().reset)
    }

    /// The named policy's message for a rejected client.
    #[must_use]
    pub fn message(&self) -> &'a str {
        self.named().text()
    }

    /// The names of all policies that reject, most specific first. Empty if allowed.
    pub fn violated(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let set = self.set;
        let violated = match self.said {
            Said::Here(ruled) => ruled.violated,
            #[cfg(feature = "redis")]
            Said::Elsewhere(ruling) => ruling.violated,
        };
        let rejects = move |position: usize| violated >> position & 1 == 1;
        set.entries()
            .iter()
            .enumerate()
            .filter(move |(position, _)| rejects(*position))
            .map(|(_, entry)| set.policy(entry.id).name())
    }

    #[inline]
    pub(crate) const fn new(set: &'a PolicySet, ruled: Ruled) -> Self {
        Self { set, said: Said::Here(ruled) }
    }

    /// What others decided on the policies of `set`.
    #[cfg(feature = "redis")]
    pub(crate) const fn elsewhere(set: &'a PolicySet, ruling: Ruling) -> Self {
        Self { set, said: Said::Elsewhere(ruling) }
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn set(&self) -> &'a PolicySet {
        self.set
    }

    /// The numbers, worked out when asked for: most decisions are only looked
    /// at for their yes.
    pub(crate) fn ruling(&self) -> Ruling {
        match self.said {
            Said::Here(ruled) if self.is_enforced() => ruled.ruling(self.set.entries()),
            Said::Here(_) => {
                let policy = self.set.first();
                Ruling::untouched(policy, self.set.policy(policy).quota().burst())
            }
            #[cfg(feature = "redis")]
            Said::Elsewhere(ruling) => ruling,
        }
    }

    fn outcome(&self) -> Outcome {
        match self.said {
            Said::Here(ruled) => ruled.outcome,
            #[cfg(feature = "redis")]
            Said::Elsewhere(ruling) => ruling.outcome,
        }
    }

    fn named(&self) -> &'a Policy {
        self.set.policy(match self.said {
            Said::Here(ruled) => {
                let entry = self.set.entries().get(usize::from(ruled.position));
                entry.map_or_else(|| self.set.first(), |entry| entry.id)
            }
            #[cfg(feature = "redis")]
            Said::Elsewhere(ruling) => ruling.policy,
        })
    }
}

impl fmt::Debug for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("allowed", &self.is_allowed())
            .field("policy", &self.policy())
            .field("limit", &self.limit())
            .field("remaining", &self.remaining())
            .field("retry_after", &self.retry_after())
            .field("reset", &self.reset())
            .field("saturated", &self.is_saturated())
            .finish()
    }
}
