//! What to do next, as a state machine without IO or clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Standing;
use crate::actuate::{ActuateError, Backoff, Observed, Outcome, ReconcilerConfig};

#[derive(Debug)]
pub(super) struct Core {
    config: ReconcilerConfig,
    target: Option<u32>,
    /// When the target was set or last written: from here the world has time to follow.
    told_at: Option<Instant>,
    /// The wish that was last written, whatever the world made of it.
    written: Option<u32>,
    /// What the world is known to have taken. `None` while that is not known: before the first
    /// write, and after one of unknown outcome.
    granted: Option<u32>,
    dry: bool,
    rewrites: Backoff,
    rewrite_at: Option<Instant>,
    /// The world did not keep what it took: until it has what is wanted, or that is another size.
    again: bool,
    failures: Backoff,
    not_before: Option<Instant>,
    rejected: bool,
    foreign: VecDeque<Instant>,
    observe_only: bool,
    pub(super) standing: Standing,
}

/// What an observation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// The size to write.
    pub(super) write: Option<u32>,
    /// A change that somebody else made: what was there, and what is there now.
    pub(super) foreign: Option<(u32, u32)>,
}

impl Core {
    pub(super) fn new(config: ReconcilerConfig) -> Self {
        let backoff = || Backoff::new(config.backoff_min, config.backoff_max);
        Self {
            rewrites: backoff(),
            failures: backoff(),
            config,
            target: None,
            told_at: None,
            written: None,
            granted: None,
            dry: false,
            rewrite_at: None,
            again: false,
            not_before: None,
            rejected: false,
            foreign: VecDeque::new(),
            observe_only: false,
            standing: Standing::Idle,
        }
    }

    /// Whether this is another wish than before.
    pub(super) fn want(&mut self, target: u32, now: Instant) -> bool {
        if self.target == Some(target) {
            return false;
        }
        self.target = Some(target);
        self.told_at = Some(now);
        self.again = false;
        self.rewrites.reset();
        self.rewrite_at = None;
        // Another size may be one that the world does not refuse.
        if std::mem::take(&mut self.rejected) {
            self.not_before = None;
        }
        true
    }

    /// Until when the world is left alone.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| *until > now)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures.failures()
    }

    pub(super) fn resume(&mut self) {
        self.observe_only = false;
        self.foreign.clear();
        self.granted = None;
        self.not_before = None;
    }

    pub(super) fn seen(&mut self, observed: &Observed, writer: bool, now: Instant) -> Next {
        self.not_before = None;
        if !writer {
            self.granted = None;
        }
        let foreign = self.foreign_write(observed, now);
        let write = self.decide(observed, now);
        if !writer {
            // What was found there is another's: that it changes is no fight.
            self.granted = None;
        }
        Next { write, foreign }
    }

    fn foreign_write(&mut self, observed: &Observed, now: Instant) -> Option<(u32, u32)> {
        let (granted, desired) = (self.granted?, observed.desired?);
        if granted == desired {
            return None;
        }
        self.granted = Some(desired);
        // Correcting it is no repetition of a write that the world did not keep.
        self.written = None;
        self.again = false;
        self.foreign.push_back(now);
        let window = self.config.foreign_window;
        while self.foreign.front().is_some_and(|at| now.duration_since(*at) > window) {
            self.foreign.pop_front();
        }
        self.observe_only |= self.foreign.len() >= self.config.foreign_writes as usize;
        Some((granted, desired))
    }

    fn decide(&mut self, observed: &Observed, now: Instant) -> Option<u32> {
        let Some(target) = self.target else {
            self.standing = Standing::Idle;
            return None;
        };
        if self.observe_only {
            self.standing = Standing::ObserveOnly;
            return None;
        }
        if observed.warning.as_ref().is_some_and(crate::actuate::Warning::forbids_writing) {
            self.standing = Standing::Yielding;
            // What the other one writes meanwhile is its right.
            self.granted = None;
            self.written = None;
            self.again = false;
            return None;
        }
        if observed.size() == target {
            self.follow(observed, target, now);
            return None;
        }
        if self.written == Some(target) {
            if self.dry {
                self.standing = Standing::Recorded;
                return None;
            }
            // The world took less than was asked for, or lost some since. Asking again is right,
            // at once each time is not: a worker that dies at its start would be a storm.
            self.standing = Standing::Short;
            self.again = true;
            if self.rewrite_at.is_some_and(|at| at > now) {
                return None;
            }
        }
        Some(target)
    }

    fn follow(&mut self, observed: &Observed, target: u32, now: Instant) {
        let told_at = *self.told_at.get_or_insert(now);
        self.again = false;
        if observed.running == target && observed.ready >= target {
            self.standing = Standing::Settled;
            if now.duration_since(told_at) >= self.config.backoff_max {
                self.rewrites.reset();
            }
        } else if now.duration_since(told_at) > self.config.follow_within {
            self.standing = Standing::Late;
        } else {
            self.standing = Standing::Following;
        }
        self.granted = observed.desired;
        self.failures.reset();
    }

    /// A write is on its way: until it is answered, nothing is known of what the world was told.
    pub(super) fn writing(&mut self) {
        self.granted = None;
        self.written = None;
    }

    pub(super) fn wrote(&mut self, target: u32, outcome: Outcome, now: Instant) {
        self.failures.reset();
        let told = !matches!(outcome, Outcome::Yielded | Outcome::NotLeading);
        self.written = told.then_some(target);
        self.rewrite_at = Some(now + self.rewrites.fail());
        self.told_at = Some(now);
        self.dry = outcome == Outcome::Recorded;
        // That it takes it again is no news: the last time it did not keep it.
        let taken = if self.again { Standing::Short } else { Standing::Following };
        (self.granted, self.standing) = match outcome {
            Outcome::Unchanged | Outcome::Accepted { .. } => (Some(target), taken),
            Outcome::Partial { granted } => (Some(granted), Standing::Short),
            Outcome::Yielded => (None, Standing::Yielding),
            Outcome::NotLeading => (None, Standing::Standby),
            Outcome::Recorded => (None, Standing::Recorded),
        };
    }

    pub(super) fn failed(&mut self, error: &ActuateError, now: Instant) {
        let wait = self.failures.fail();
        self.rejected = matches!(error, ActuateError::Rejected { .. });
        let wait = if error.is_retryable() {
            self.standing = Standing::BackingOff;
            error.retry_after().map_or(wait, |asked| wait.max(asked.min(LONGEST_PATIENCE)))
        } else {
            self.standing = Standing::Halted;
            self.config.retry_final
        };
        self.not_before = Some(now + wait);
    }
}

const LONGEST_PATIENCE: Duration = Duration::from_secs(3600);
