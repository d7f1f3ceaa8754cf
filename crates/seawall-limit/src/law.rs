//! What a mode of quota does with a key's state.
//!
//! A state is two integers: until when it matters at all, and a count that only
//! the window modes use. All functions are pure and total. In every mode a state
//! whose time has passed says the same as no state, which is what lets the
//! table forget a key without asking its policies.

mod carry;
mod fixed;
mod window;

pub(crate) use fixed::Fixed;
pub(crate) use window::Window;

use crate::gcra::{Gcra, Standing, Verdict};

/// One policy's part of a key's state. All zero is a key never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The first nanosecond at which the state says nothing any more.
    pub(crate) until: u64,
    /// Units counted; see the modes.
    pub(crate) count: u64,
}

/// A mode with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    /// `Smooth` and `Strict`.
    Bucket(Gcra),
    Window(Window),
    Fixed(Fixed),
}

impl Law {
    /// Whether the state needs its count.
    pub(crate) const fn counts(&self) -> bool {
        !matches!(self, Self::Bucket(_))
    }

    /// Decides on `cost` units, all or none. Changes nothing.
    #[inline]
    pub(crate) fn check(&self, state: State, now: u64, cost: u32) -> Verdict<State> {
        match self {
            Self::Bucket(gcra) => match gcra.check(state.until, now, cost) {
                Verdict::Admit(until) => Verdict::Admit(State { until, count: 0 }),
                Verdict::Wait { nanos } => Verdict::Wait { nanos },
                Verdict::Never => Verdict::Never,
            },
            Self::Window(window) => window.check(state, now, cost),
            Self::Fixed(fixed) => fixed.check(state, now, cost),
        }
    }

    /// Units that may be spent at once.
    #[inline]
    pub(crate) fn remaining(&self, state: State, now: u64) -> u32 {
        match self {
            Self::Bucket(gcra) => gcra.remaining(state.until, now),
            Self::Window(window) => window.remaining(state, now),
            Self::Fixed(fixed) => fixed.remaining(state, now),
        }
    }

    /// How the quota stands.
    pub(crate) fn standing(&self, state: State, now: u64) -> Standing {
        match self {
            Self::Bucket(gcra) => gcra.standing(state.until, now),
            Self::Window(window) => window.standing(state, now),
            Self::Fixed(fixed) => fixed.standing(state, now),
        }
    }

    /// The state as it should be kept: one from a clock since set back is
    /// brought near, so that it ends in time.
    pub(crate) fn heal(&self, state: State, now: u64) -> State {
        match self {
            Self::Bucket(gcra) => State { until: gcra.heal(state.until, now), ..state },
            Self::Window(window) => window.heal(state, now),
            Self::Fixed(fixed) => fixed.heal(state, now),
        }
    }

    /// Gives `cost` units back, whenever they were charged.
    pub(crate) fn refund(&self, state: State, cost: u32) -> State {
        match self {
            Self::Bucket(gcra) => State { until: gcra.refund(state.until, cost), ..state },
            Self::Window(_) => Window::refund(state, cost),
            Self::Fixed(_) => Fixed::refund(state, cost),
        }
    }

    /// Gives back `cost` units of a charge that was made at `charged`, but for
    /// what has come back by itself since. Never less strict than if they had
    /// not been charged at all.
    pub(crate) fn undo(&self, state: State, now: u64, charged: u64, cost: u32) -> State {
        match self {
            Self::Bucket(gcra) => {
                State { until: gcra.undo(state.until, now, charged, cost), ..state }
            }
            Self::Window(window) => window.undo(state, charged, cost),
            Self::Fixed(fixed) => fixed.undo(state, charged, cost),
        }
    }

    /// Charges `cost` units whatever is left, as far as debt goes.
    pub(crate) fn force(&self, state: State, now: u64, cost: u32) -> State {
        match self {
            Self::Bucket(gcra) => State { until: gcra.force(state.until, now, cost), ..state },
            Self::Window(window) => window.force(state, now, cost),
            Self::Fixed(fixed) => fixed.force(state, now, cost),
        }
    }

    /// Charges all that is left.
    pub(crate) fn drain(&self, state: State, now: u64) -> State {
        match self {
            Self::Bucket(gcra) => State { until: gcra.drain(state.until, now), ..state },
            Self::Window(window) => window.force(state, now, u32::MAX),
            Self::Fixed(fixed) => fixed.force(state, now, u32::MAX),
        }
    }

    /// The state of a key that leaves the overflow, where its TAT under
    /// `relief` was `tat`. Never less strict.
    pub(crate) fn inherit(&self, relief: Gcra, tat: u64, now: u64) -> State {
        match self {
            Self::Bucket(_) => State { until: tat, count: 0 },
            Self::Window(window) => window.force(State::default(), now, relief.used(tat, now)),
            Self::Fixed(fixed) => fixed.force(State::default(), now, relief.used(tat, now)),
        }
    }
}

#[cfg(test)]
mod tests;
