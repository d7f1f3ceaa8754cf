use std::time::Duration;

use tokio::time::Instant;

use super::{Condition, MissingData};
use crate::{Signals, Truth};

/// The memory that `for` and `clear` need: since when the condition holds, and
/// whether it is raised. A plain value; copy it, keep it, throw it away.
///
/// | was | the condition | becomes | answer |
/// |---|---|---|---|
/// | idle or pending | true, for less than `for` | pending | false |
/// | idle or pending | true, for at least `for` | raised | true |
/// | idle or pending | false or unknown | idle | the same |
/// | raised | true, or not yet cleared | raised | true |
/// | raised | false or cleared | idle | false |
/// | raised | unknown | raised | unknown |
///
/// With `missing true` or `missing false` nothing is ever unknown. With
/// `missing keep` an unknown moment changes nothing: idle and pending answer
/// false, raised answers true.
///
/// An unknown moment otherwise breaks a pending hold, since nobody can say that the
/// condition held through it; it does not clear a raised one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    since: Option<Instant>,
    raised: bool,
}

impl Hold {
    /// One that has been pending since then: the condition has held without a
    /// break. To go on after a restart with what was written down; idle is
    /// [`Hold::default`].
    #[must_use]
    pub const fn pending_since(since: Instant) -> Self {
        Self { since: Some(since), raised: false }
    }

    /// One that is raised, its condition having held since then.
    #[must_use]
    pub const fn raised_since(since: Instant) -> Self {
        Self { since: Some(since), raised: true }
    }

    /// The memory after looking at `signals`, and the answer. Pure.
    pub fn next(
        self,
        condition: &Condition,
        signals: &Signals,
        now: Instant,
        max_age: Duration,
    ) -> (Self, Truth) {
        if self.raised {
            let stays = match condition.stays(signals, now, max_age) {
                Truth::Unknown if condition.missing() == MissingData::Keep => Truth::True,
                other => other,
            };
            let hold = if stays.is_false() { Self::default() } else { self };
            return (hold, stays);
        }
        match condition.evaluate(signals, now, max_age) {
            Truth::True => {
                let since = self.since.unwrap_or(now);
                let raised = now.saturating_duration_since(since) >= condition.hold();
                let since = Some(since);
                (Self { since, raised }, raised.into())
            }
            Truth::Unknown if condition.missing() == MissingData::Keep => (self, Truth::False),
            other => (Self::default(), other),
        }
    }

    /// Whether the condition counts as true until cleared.
    #[must_use]
    pub fn is_raised(self) -> bool {
        self.raised
    }

    /// Since when the condition has held without a break.
    #[must_use]
    pub fn since(self) -> Option<Instant> {
        self.since
    }

    /// How much longer it must hold to be raised; `None` unless pending.
    #[must_use]
    pub fn remaining(self, condition: &Condition, now: Instant) -> Option<Duration> {
        let since = self.since.filter(|_| !self.raised)?;
        Some(condition.hold().saturating_sub(now.saturating_duration_since(since)))
    }
}

/// A condition with its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluator {
    condition: Condition,
    max_age: Duration,
    hold: Hold,
}

impl Evaluator {
    /// Starts idle, with a `max_age` of 60 s.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self { condition, max_age: DEFAULT_MAX_AGE, hold: Hold::default() }
    }

    /// Goes on from this memory. Default: idle.
    #[must_use]
    pub fn with_hold(mut self, hold: Hold) -> Self {
        self.hold = hold;
        self
    }

    /// Samples older than this are missing. Default: 60 s.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Looks at `signals` and answers, `for` and `clear` included. Call it at
    /// least a few times per `for`: what happens between two steps is not seen.
    pub fn step(&mut self, signals: &Signals, now: Instant) -> Truth {
        let (hold, truth) = self.hold.next(&self.condition, signals, now, self.max_age);
        self.hold = hold;
        truth
    }

    /// The condition.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The memory.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.hold
    }
}

/// Two missed samples of the slowest usual interval (30 s).
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
