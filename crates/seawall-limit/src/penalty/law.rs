//! What a violation, an operator and time do to a client's standing. Pure.
//!
//! ```text
//!       challenge_after in challenge_window        block_after in block_window
//!   ok ------------------------------------> challenge ------------------------> blocked
//!      <------------------------------------           <------------------------
//!              calm without a violation                       block_for
//! ```
//!
//! Violations are counted in two windows, the last and the one before by the
//! part of it that still counts, rounded down, so that no window's turn is a gap
//! to slip through. An operator's order holds for its time, whatever happens.

use std::time::Duration;

use super::config::PenaltyConfig;

/// How a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Standing {
    /// Served.
    #[default]
    Ok,
    /// Served for a proof of work.
    Challenge,
    /// Turned away.
    Blocked,
}

/// One client. The default is one of whom nothing is known. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    /// An operator said so.
    pub(crate) ordered: bool,
    /// Violations since `began`, and in the window before.
    pub(crate) count: u32,
    pub(crate) before: u32,
    pub(crate) began: u64,
    /// Until when it stands so, or, if ok, until when there is anything to remember.
    pub(crate) until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Nothing,
    Violation,
    /// An operator says how the client stands, for so many nanoseconds.
    Order(Standing, u64),
    /// An operator takes everything back.
    Forget,
}

/// The configuration in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Law {
    challenge: Threshold,
    block: Threshold,
    block_for: u64,
    calm: u64,
}

#[derive(Debug, Clone, Copy)]
struct Threshold {
    violations: u32,
    window: u64,
}

impl Law {
    pub(crate) fn new(config: &PenaltyConfig) -> Self {
        let threshold = |violations, window| Threshold { violations, window: nanos(window).max(1) };
        Self {
            challenge: threshold(config.challenge_after, config.challenge_window),
            block: threshold(config.block_after, config.block_window),
            block_for: nanos(config.block_for),
            calm: nanos(config.calm),
        }
    }

    /// The state after an event. Total: any state at any time gives one that
    /// ends, an operator's order aside, within the longest time configured.
    pub(crate) fn next(&self, state: State, event: Event, now: u64) -> State {
        let state = self.at(state, now);
        match event {
            Event::Nothing => state,
            Event::Forget | Event::Order(_, 0) => State::default(),
            Event::Order(standing, lasts) => State {
                standing,
                ordered: true,
                until: now.saturating_add(lasts),
                ..State::default()
            },
            Event::Violation => self.violated(state, now),
        }
    }

    fn violated(&self, state: State, now: u64) -> State {
        match state.standing {
            // An order is not overruled; what a blocked client still had under way changes nothing.
            _ if state.ordered => state,
            Standing::Blocked => state,
            Standing::Ok => {
                let counted = self.challenge.count(state, now);
                if self.challenge.is_reached(&counted, now) {
                    return self.challenged(now, now);
                }
                let until = counted.began.saturating_add(2 * self.challenge.window);
                State { until, ..counted }
            }
            Standing::Challenge => {
                let counted = self.block.count(state, now);
                if self.block.is_reached(&counted, now) {
                    let until = now.saturating_add(self.block_for);
                    return State { standing: Standing::Blocked, until, ..State::default() };
                }
                State { until: now.saturating_add(self.calm), ..counted }
            }
        }
    }

    /// The state as it has become by itself.
    fn at(&self, mut state: State, now: u64) -> State {
        if !state.ordered {
            // After a clock was set back: it ends in time from here on.
            state.until = state.until.min(now.saturating_add(self.longest()));
            state.began = state.began.min(now);
        }
        if now < state.until {
            return state;
        }
        match state.standing {
            Standing::Blocked if !state.ordered => {
                let on_probation = self.challenged(state.until, state.until);
                if now < on_probation.until { on_probation } else { State::default() }
            }
            _ => State::default(),
        }
    }

    fn challenged(&self, began: u64, since: u64) -> State {
        let until = since.saturating_add(self.calm);
        State { standing: Standing::Challenge, began, until, ..State::default() }
    }

    fn longest(&self) -> u64 {
        let windows = 2 * self.challenge.window;
        windows.max(self.calm).max(self.block_for)
    }
}

impl State {
    /// Until when anything of it matters.
    pub(crate) fn ends(&self, law: &Law) -> u64 {
        match self.standing {
            Standing::Blocked if !self.ordered => self.until.saturating_add(law.calm),
            _ => self.until,
        }
    }
}

impl Threshold {
    /// One violation more.
    fn count(&self, state: State, now: u64) -> State {
        let gone = now.saturating_sub(state.began);
        let (before, count, began) = if gone < self.window {
            (state.before, state.count, state.began)
        } else if gone < 2 * self.window {
            (state.count, 0, state.began.saturating_add(self.window))
        } else {
            (0, 0, now)
        };
        State { count: count.saturating_add(1), before, began, ..state }
    }

    fn is_reached(&self, state: &State, now: u64) -> bool {
        // What is as old as the window is no longer in it.
        let left = self.window.saturating_sub(now.saturating_sub(state.began) + 1);
        let before = u128::from(state.before) * u128::from(left) / u128::from(self.window);
        u128::from(state.count) + before >= u128::from(self.violations)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
