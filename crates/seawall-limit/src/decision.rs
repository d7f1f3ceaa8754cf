//! The answer to one check.

use std::fmt;
use std::time::Duration;

use crate::decide::{Outcome, Ruling};
use crate::set::PolicySet;

/// Whether the request may go on, and what to tell the client.
///
/// It names one policy: if rejected, the first of the set that rejects (the
/// most specific); if allowed, the one with the fewest units left.
#[derive(Clone, Copy)]
#[must_use = "a decision that nobody looks at limits nothing"]
pub struct Decision<'a> {
    set: &'a PolicySet,
    ruling: Ruling,
}

impl<'a> Decision<'a> {
    /// Whether the request may go on; then every policy was charged. If not,
    /// none was.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.ruling.outcome == Outcome::Allowed
    }

    /// Whether the cost is above the burst of a policy, so that no waiting helps.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.ruling.outcome == Outcome::TooLarge
    }

    /// The name of the policy that rejects, or that is tightest.
    #[must_use]
    pub fn policy(&self) -> &'a str {
        self.set.policy(self.ruling.policy).name()
    }

    /// That policy's units per period.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.set.policy(self.ruling.policy).quota().limit()
    }

    /// That policy's units left, after this charge. Up to its burst, which may
    /// be above its limit.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.ruling.remaining
    }

    /// How long to wait until the same cost is admitted by every policy of the
    /// set, if nobody else spends meanwhile. Exact to the nanosecond: one less
    /// is rejected. `None` if allowed, or if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.ruling.outcome == Outcome::Rejected).then(|| Duration::from_nanos(self.ruling.wait))
    }

    /// How long until the named policy is full again.
    #[must_use]
    pub fn reset(&self) -> Duration {
        Duration::from_nanos(self.ruling.reset)
    }

    /// The named policy's message for a rejected client.
    #[must_use]
    pub fn message(&self) -> &'a str {
        self.set.policy(self.ruling.policy).text()
    }

    /// The names of all policies that reject, most specific first. Empty if allowed.
    pub fn violated(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let Self { set, ruling } = *self;
        let rejects = move |position: usize| ruling.violated >> position & 1 == 1;
        set.ids()
            .iter()
            .enumerate()
            .filter(move |(position, _)| rejects(*position))
            .map(|(_, id)| set.policy(*id).name())
    }

    pub(crate) const fn new(set: &'a PolicySet, ruling: Ruling) -> Self {
        Self { set, ruling }
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn set(&self) -> &'a PolicySet {
        self.set
    }

    #[cfg(feature = "tower")]
    pub(crate) const fn ruling(&self) -> &Ruling {
        &self.ruling
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
            .finish()
    }
}
