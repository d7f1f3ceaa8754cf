//! What a state under one law becomes under another.

use super::{Law, State};
use crate::heritage::Carry;

impl Law {
    /// The state under `next` of a key whose state at the time `at` is `state`
    /// under this law.
    ///
    /// The share of the quota that is spent stays, rounded up to the least unit
    /// that `next` counts in; debt in proportion, as far as `next` has it. What
    /// has no whole unit left has none afterwards. Under an equal law the state
    /// stays as it is; a window begins anew at the change. By [`Carry::Units`]
    /// as many units are spent as were, a begun one whole.
    pub(crate) fn carry(&self, state: State, next: &Self, at: u64, carry: Carry) -> State {
        if self == next {
            return state;
        }
        if carry == Carry::Units {
            let units = self.units(state, at);
            return next.force(State::default(), at, units);
        }
        let (spent, of) = self.share(state, at);
        if spent == 0 {
            return State::default();
        }
        let of_next = |whole: u64| {
            let part = (u128::from(spent) * u128::from(whole)).div_ceil(u128::from(of).max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        let units = |limit: u32| u32::try_from(of_next(limit.into())).unwrap_or(u32::MAX);
        match next {
            Self::Bucket(gcra) => {
                let ahead = of_next(gcra.capacity).min(gcra.ceiling());
                State { until: at.saturating_add(ahead), count: 0 }
            }
            Self::Window(window) => window.force(State::default(), at, units(window.limit)),
            Self::Fixed(fixed) => fixed.force(State::default(), at, units(fixed.limit)),
        }
    }

    /// Units that are spent, debt included.
    fn units(&self, state: State, at: u64) -> u32 {
        let units = match self {
            Self::Bucket(gcra) => gcra.standing(state.until, at).reset.div_ceil(gcra.emission),
            Self::Window(window) => counted(window.limit, self.remaining(state, at)).0,
            Self::Fixed(fixed) => counted(fixed.limit, self.remaining(state, at)).0,
        };
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// How much is spent, and of how much.
    fn share(&self, state: State, at: u64) -> (u64, u64) {
        let none_left = self.remaining(state, at) == 0;
        let (spent, of) = match self {
            Self::Bucket(gcra) => (gcra.standing(state.until, at).reset, gcra.capacity),
            Self::Window(window) => counted(window.limit, self.remaining(state, at)),
            Self::Fixed(fixed) => counted(fixed.limit, self.remaining(state, at)),
        };
        (if none_left { spent.max(of) } else { spent }, of)
    }
}

fn counted(limit: u32, remaining: u32) -> (u64, u64) {
    (limit.saturating_sub(remaining).into(), limit.into())
}

#[cfg(test)]
mod tests;
