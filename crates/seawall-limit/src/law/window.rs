//! The sliding-window counter: two buckets, the older one weighted by how much
//! of it is still in the window.
//!
//! As at Cloudflare ("How we built rate limiting capable of scaling to millions
//! of domains", 2017), but in integers without rounding, and with buckets that
//! begin with a key's first unit, so that not all keys turn over at once. The
//! state is the end of the bucket after the current one, and both counts.

use super::State;
use crate::gcra::{Standing, Verdict};

/// `period >= 1`, at most half of [`MAX_CAPACITY`](crate::gcra::MAX_CAPACITY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u32,
    pub(crate) period: u64,
}

/// The state as it is now.
#[derive(Clone, Copy)]
struct Buckets {
    /// Since the current bucket began; below the period.
    elapsed: u64,
    before: u32,
    current: u32,
}

impl Window {
    #[inline]
    pub(super) fn check(self, state: State, now: u64, cost: u32) -> Verdict<State> {
        if cost > self.limit {
            return Verdict::Never;
        }
        let mut buckets = self.at(state, now);
        if self.has(buckets, cost) {
            buckets.current += cost;
            Verdict::Admit(self.state(buckets, now))
        } else {
            Verdict::Wait { nanos: self.wait(buckets, cost) }
        }
    }

    #[inline]
    pub(super) fn remaining(self, state: State, now: u64) -> u32 {
        self.left(self.at(state, now))
    }

    pub(super) fn standing(self, state: State, now: u64) -> Standing {
        let buckets = self.at(state, now);
        let remaining = self.left(buckets);
        let end = self.period - buckets.elapsed;
        let reset = match (buckets.before, buckets.current) {
            (0, 0) => 0,
            (_, 0) => end,
            _ => end + self.period,
        };
        // Full by whole units may be reached a little before the last weight is gone.
        let next = if remaining < self.limit { self.wait(buckets, remaining + 1) } else { reset };
        Standing { remaining, next, reset }
    }

    pub(super) fn heal(self, state: State, now: u64) -> State {
        State { until: state.until.min(now.saturating_add(2 * self.period)), ..state }
    }

    pub(super) fn force(self, state: State, now: u64, cost: u32) -> State {
        let mut buckets = self.at(state, now);
        buckets.current += cost.min(self.left(buckets));
        if buckets.before == 0 && buckets.current == 0 {
            State::default()
        } else {
            self.state(buckets, now)
        }
    }

    pub(super) fn refund(state: State, cost: u32) -> State {
        let (before, current) = unpack(state.count);
        let rest = cost.saturating_sub(current);
        let count = pack(before.saturating_sub(rest), current.saturating_sub(cost));
        State { count, ..state }
    }

    pub(super) fn undo(self, state: State, charged: u64, cost: u32) -> State {
        let (before, current) = unpack(state.count);
        let begun = state.until.saturating_sub(2 * self.period);
        let count = if charged >= begun {
            pack(before, current.saturating_sub(cost))
        } else if charged >= begun.saturating_sub(self.period) {
            pack(before.saturating_sub(cost), current)
        } else {
            state.count
        };
        State { count, ..state }
    }

    #[inline]
    fn at(self, state: State, now: u64) -> Buckets {
        let (before, current) = unpack(state.count);
        // The time until all is forgotten tells where in the buckets now is.
        let rest = state.until.saturating_sub(now).min(2 * self.period);
        if rest > self.period {
            Buckets { elapsed: 2 * self.period - rest, before, current }
        } else if rest > 0 {
            Buckets { elapsed: self.period - rest, before: current, current: 0 }
        } else {
            Buckets { elapsed: 0, before: 0, current: 0 }
        }
    }

    fn state(self, buckets: Buckets, now: u64) -> State {
        let until = now.saturating_add(2 * self.period - buckets.elapsed);
        State { until, count: pack(buckets.before, buckets.current) }
    }

    /// `cost <= left`, without its division.
    #[inline]
    fn has(self, buckets: Buckets, cost: u32) -> bool {
        let period = u128::from(self.period);
        let whole = (u128::from(buckets.current) + u128::from(cost)) * period;
        let weighted = u128::from(buckets.before) * u128::from(self.period - buckets.elapsed);
        cost == 0 || whole + weighted <= u128::from(self.limit) * period
    }

    /// `limit - current - before x (1 - elapsed / period)`, rounded down.
    #[inline]
    fn left(self, buckets: Buckets) -> u32 {
        let weight = u128::from(buckets.before) * u128::from(self.period - buckets.elapsed);
        let weight = weight.div_ceil(u128::from(self.period));
        let used = u128::from(buckets.current) + weight;
        u32::try_from(u128::from(self.limit).saturating_sub(used)).unwrap_or(0)
    }

    /// The least time after which `left` is at least `cost`, which is not above
    /// the limit, if nobody spends meanwhile.
    fn wait(self, buckets: Buckets, cost: u32) -> u64 {
        let Buckets { elapsed, before, current } = buckets;
        let end = self.period - elapsed;
        match current.checked_add(cost).and_then(|wanted| self.limit.checked_sub(wanted)) {
            Some(room) => self.fade(before, room).saturating_sub(elapsed),
            None => end + self.fade(current, self.limit - cost),
        }
    }

    /// How far into a bucket the one before it weighs no more than `room`.
    fn fade(self, before: u32, room: u32) -> u64 {
        if before <= room {
            return 0;
        }
        let allowed = u128::from(room) * u128::from(self.period) / u128::from(before);
        // Below the period, as room is below before.
        self.period - u64::try_from(allowed).unwrap_or(self.period)
    }
}

const fn pack(before: u32, current: u32) -> u64 {
    (before as u64) << 32 | current as u64
}

const fn unpack(count: u64) -> (u32, u32) {
    ((count >> 32) as u32, count as u32)
}
