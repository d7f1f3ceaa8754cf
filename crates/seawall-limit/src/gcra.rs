//! The generic cell rate algorithm on one integer per key.
//!
//! A key's whole state is its *theoretical arrival time* (TAT): the instant, in
//! nanoseconds since the limiter started, at which its quota is full again.
//! Each unit moves it on by one emission interval; a check may not move it
//! further ahead of now than the capacity (burst x interval), and a charge by
//! force not further than the debt beyond that. 0 means never seen.
//!
//! Source: ITU-T I.371, annex A; the same law as the crate `governor`, which is
//! the oracle in this crate's tests. Every function is total: any `u64` may be
//! given for the state and for now.

/// The longest time that an empty quota, debt included, may take to refill:
/// 2^62 ns, 146 years. Sums of two such times cannot overflow a `u64`.
pub(crate) const MAX_CAPACITY: u64 = 1 << 62;

/// A quota as the algorithm sees it.
/// `1 <= emission <= capacity <= ceiling <= MAX_CAPACITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// Nanoseconds per unit.
    pub(crate) emission: u64,
    /// Nanoseconds to refill an empty quota.
    pub(crate) capacity: u64,
    /// Nanoseconds to refill a quota that is as deep in debt as it may be.
    ceiling: u64,
    /// 2^64 / emission, rounded down: see [`units`](Self::units).
    inverse: u64,
}

/// What one quota says to a request of some cost; `S` is its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict<S = u64> {
    /// Yes; this is the state once charged.
    Admit(S),
    /// Not before this many nanoseconds have passed. Never 0.
    Wait { nanos: u64 },
    /// The cost is above what an untouched quota has: no waiting helps.
    Never,
}

/// How a quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whole units that may be spent at once.
    pub(crate) remaining: u32,
    /// Nanoseconds until one unit more is there; 0 when full.
    pub(crate) next: u64,
    /// Nanoseconds until full.
    pub(crate) reset: u64,
}

impl Gcra {
    /// The caller sees to the bounds.
    pub(crate) const fn new(emission: u64, capacity: u64) -> Self {
        Self { emission, capacity, ceiling: capacity, inverse: u64::MAX / emission }
    }

    /// With so many nanoseconds of debt.
    pub(crate) const fn with_debt(self, debt: u64) -> Self {
        Self { ceiling: self.capacity + debt, ..self }
    }

    /// How far ahead of now a TAT can be.
    pub(crate) const fn ceiling(self) -> u64 {
        self.ceiling
    }

    /// The part of the capacity in use, in nanoseconds; above it if in debt.
    ///
    /// Clamped, so that a state from a clock since set back cannot block a key
    /// for longer than the ceiling.
    #[inline]
    fn spent(self, tat: u64, now: u64) -> u64 {
        tat.saturating_sub(now).min(self.ceiling)
    }

    /// How many whole units so many nanoseconds are: `nanos / emission`, by a
    /// multiplication, as a division would be a fifth of a check.
    #[inline]
    fn units(self, nanos: u64) -> u64 {
        let mut units = ((u128::from(nanos) * u128::from(self.inverse)) >> 64) as u64;
        // The inverse is short of the truth by less than 2, nanos below 2^63:
        // the estimate is short by 2 at most.
        let mut rest = nanos - units * self.emission;
        while rest >= self.emission {
            rest -= self.emission;
            units += 1;
        }
        units
    }

    /// Decides on `cost` units, all or none. Changes nothing.
    #[inline]
    pub(crate) fn check(self, tat: u64, now: u64, cost: u32) -> Verdict {
        let price = self.emission.saturating_mul(u64::from(cost));
        if price > self.capacity {
            return Verdict::Never;
        }
        let wanted = self.spent(tat, now) + price;
        // One in debt that asks for nothing gets it.
        if wanted <= self.capacity || cost == 0 {
            Verdict::Admit(now.saturating_add(wanted))
        } else {
            Verdict::Wait { nanos: wanted - self.capacity }
        }
    }

    /// The state as it should be kept: a state too far ahead is brought back
    /// to the ceiling, so that it drains from here on.
    #[inline]
    pub(crate) fn heal(self, tat: u64, now: u64) -> u64 {
        tat.min(now.saturating_add(self.ceiling))
    }

    /// The state with `cost` units given back; full is the end of it.
    pub(crate) fn refund(self, tat: u64, cost: u32) -> u64 {
        tat.saturating_sub(self.emission.saturating_mul(u64::from(cost)))
    }

    /// The state with `cost` units given back that were charged at `charged`.
    ///
    /// Without them the quota might have been full for all the time since, and
    /// that much of their price refilled in vain: it is not given back. So the
    /// state is never below what it would be without the charge.
    pub(crate) fn undo(self, tat: u64, now: u64, charged: u64, cost: u32) -> u64 {
        let price = self.emission.saturating_mul(u64::from(cost));
        tat.saturating_sub(price.saturating_sub(now.saturating_sub(charged)))
    }

    /// The state once `cost` units are charged whatever is left, down to the
    /// deepest debt.
    pub(crate) fn force(self, tat: u64, now: u64, cost: u32) -> u64 {
        let price = self.emission.saturating_mul(u64::from(cost));
        let spent = self.spent(tat, now).saturating_add(price).min(self.ceiling);
        now.saturating_add(spent)
    }

    /// The state once all that is left is charged.
    pub(crate) fn drain(self, tat: u64, now: u64) -> u64 {
        now.saturating_add(self.spent(tat, now).max(self.capacity))
    }

    /// Units that may be spent at once.
    #[inline]
    pub(crate) fn remaining(self, tat: u64, now: u64) -> u32 {
        let free = self.capacity.saturating_sub(self.spent(tat, now));
        // capacity is burst x emission with a u32 burst.
        u32::try_from(self.units(free)).unwrap_or(u32::MAX)
    }

    /// Units in use, a part of one counted as one; up to the burst.
    pub(crate) fn used(self, tat: u64, now: u64) -> u32 {
        let spent = self.spent(tat, now).min(self.capacity);
        u32::try_from(spent.div_ceil(self.emission)).unwrap_or(u32::MAX)
    }

    /// How the quota stands.
    pub(crate) fn standing(self, tat: u64, now: u64) -> Standing {
        let reset = self.spent(tat, now);
        let remaining = self.remaining(tat, now);
        let one_more = self.emission.saturating_mul(u64::from(remaining) + 1);
        let next = if reset == 0 { 0 } else { (reset + one_more).saturating_sub(self.capacity) };
        Standing { remaining, next, reset }
    }
}

#[cfg(test)]
mod tests;
