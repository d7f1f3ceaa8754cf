//! Fixed windows, each beginning with the first unit charged after the last one ended.
//!
//! The law of Node's express-rate-limit and rate-limiter-flexible. The state is
//! the end of the window and the units charged in it.

use super::State;
use crate::gcra::{Standing, Verdict};

/// `period >= 1`, at most half of [`MAX_CAPACITY`](crate::gcra::MAX_CAPACITY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) limit: u32,
    pub(crate) period: u64,
}

impl Fixed {
    #[inline]
    pub(super) fn check(self, state: State, now: u64, cost: u32) -> Verdict<State> {
        if cost > self.limit {
            return Verdict::Never;
        }
        let State { until, count } = self.at(state, now);
        if count + u64::from(cost) <= u64::from(self.limit) || cost == 0 {
            Verdict::Admit(State { until, count: count + u64::from(cost) })
        } else {
            Verdict::Wait { nanos: until - now }
        }
    }

    #[inline]
    pub(super) fn remaining(self, state: State, now: u64) -> u32 {
        let used = u32::try_from(self.at(state, now).count).unwrap_or(u32::MAX);
        self.limit.saturating_sub(used)
    }

    pub(super) fn standing(self, state: State, now: u64) -> Standing {
        let State { until, count } = self.at(state, now);
        let reset = if count == 0 { 0 } else { until - now };
        Standing { remaining: self.remaining(state, now), next: reset, reset }
    }

    pub(super) fn heal(self, state: State, now: u64) -> State {
        State { until: state.until.min(now.saturating_add(self.period)), ..state }
    }

    pub(super) fn force(self, state: State, now: u64, cost: u32) -> State {
        let State { until, count } = self.at(state, now);
        let count = count.saturating_add(cost.into()).min(self.limit.into());
        if count == 0 { State::default() } else { State { until, count } }
    }

    pub(super) fn refund(state: State, cost: u32) -> State {
        State { count: state.count.saturating_sub(cost.into()), ..state }
    }

    pub(super) fn undo(self, state: State, charged: u64, cost: u32) -> State {
        let begun = state.until.saturating_sub(self.period);
        if charged >= begun { Self::refund(state, cost) } else { state }
    }

    /// The window that now is in; a new one if the last has ended.
    #[inline]
    fn at(self, state: State, now: u64) -> State {
        if state.until <= now {
            State { until: now.saturating_add(self.period), count: 0 }
        } else {
            self.heal(state, now)
        }
    }
}
