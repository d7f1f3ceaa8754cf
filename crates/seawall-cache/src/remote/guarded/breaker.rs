//! When to stop asking a node that does not answer. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Counts, Window};

/// When a [`Breaker`] opens and closes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// It opens after this many failures in a row, whatever else.
    pub(crate) failures: u32,
    pub(crate) open_for: Duration,
    pub(crate) window: Duration,
    /// The ratios count from this many calls in the window.
    pub(crate) min_calls: u32,
    pub(crate) error_ratio: f64,
    /// Calls that take at least this long are slow.
    pub(crate) slow_call: Duration,
    pub(crate) slow_ratio: f64,
    /// How many calls try a node out, all of which must be answered in time.
    pub(crate) probes: u32,
}

/// Opens after failures in a row, or when too many of the last calls failed or were slow; then
/// lets a few probes through until all of them succeed.
#[derive(Debug)]
pub(crate) struct Breaker {
    rules: Rules,
    window: Window,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failed: u32 },
    Open { until: Instant },
    Probing { under_way: u32, succeeded: u32 },
}

/// Whether a call may go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Call,
    /// A trial call; its end must be told.
    Probe,
    Refused,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered, after this long.
    Answered(Duration),
    Failed,
}

/// A change worth an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    pub(crate) fn new(rules: Rules, now: Instant) -> Self {
        let window = Window::new(rules.window, now);
        Self { rules, window, state: State::Closed { failed: 0 } }
    }

    /// A call of somebody who waits for the answer: refused until the probes have closed it.
    pub(crate) fn admit(&self) -> Admission {
        if self.is_open() { Admission::Refused } else { Admission::Call }
    }

    /// A call that only tries the node out.
    pub(crate) fn admit_probe(&mut self, now: Instant) -> Admission {
        match &mut self.state {
            State::Open { until } if now >= *until => {
                self.state = State::Probing { under_way: 1, succeeded: 0 };
                Admission::Probe
            }
            State::Probing { under_way, succeeded }
                if *under_way + *succeeded < self.rules.probes =>
            {
                *under_way += 1;
                Admission::Probe
            }
            _ => Admission::Refused,
        }
    }

    /// A call that was admitted ended.
    pub(crate) fn ended(
        &mut self,
        admission: Admission,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Change> {
        let slow = matches!(outcome, Outcome::Answered(took) if took >= self.rules.slow_call);
        let failed = outcome == Outcome::Failed;
        match (&mut self.state, admission) {
            (State::Closed { failed: in_a_row }, _) => {
                *in_a_row = if failed { *in_a_row + 1 } else { 0 };
                let enough = *in_a_row >= self.rules.failures;
                self.window.add(failed, slow, now);
                if !enough && !self.is_too_much(now) {
                    return None;
                }
                self.open(now);
                Some(Change::Opened)
            }
            (State::Probing { .. }, Admission::Probe) if failed || slow => {
                self.open(now);
                None
            }
            (State::Probing { under_way, succeeded }, Admission::Probe) => {
                *under_way = under_way.saturating_sub(1);
                *succeeded += 1;
                if *succeeded < self.rules.probes {
                    return None;
                }
                self.state = State::Closed { failed: 0 };
                Some(Change::Closed)
            }
            // A call from before it opened: the probes decide, not a straggler.
            _ => None,
        }
    }

    /// The call was given up before it told anything. A probe makes way for the next one.
    pub(crate) fn abandoned(&mut self, admission: Admission) {
        if let (State::Probing { under_way, .. }, Admission::Probe) = (&mut self.state, admission) {
            *under_way = under_way.saturating_sub(1);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether a call that took so long was slow.
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        took >= self.rules.slow_call
    }

    /// The calls of the window.
    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        self.window.counts(now)
    }

    fn is_too_much(&mut self, now: Instant) -> bool {
        let counts = self.window.counts(now);
        counts.calls >= self.rules.min_calls
            && (counts.error_ratio() >= self.rules.error_ratio
                || counts.slow_ratio() >= self.rules.slow_ratio)
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open { until: now + self.rules.open_for };
        // What led here does not count against it when it closes.
        self.window = Window::new(self.rules.window, now);
    }
}

#[cfg(test)]
mod tests;
