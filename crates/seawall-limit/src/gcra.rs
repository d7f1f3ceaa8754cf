//! The generic cell rate algorithm on one integer per key.
//!
//! A key's whole state is its *theoretical arrival time* (TAT): the instant, in
//! nanoseconds since the limiter started, at which its quota is full again.
//! Each unit moves it on by one emission interval; it may not be moved further
//! ahead of now than the capacity (burst x interval). 0 means never seen.
//!
//! Source: ITU-T I.371, annex A; the same law as the crate `governor`, which is
//! the oracle in this crate's tests. Every function is total: any `u64` may be
//! given for the state and for now.

/// The longest time that an empty quota may take to refill: 2^62 ns, 146 years.
/// Sums of two such times cannot overflow a `u64`.
pub(crate) const MAX_CAPACITY: u64 = 1 << 62;

/// A quota as the algorithm sees it. `1 <= emission <= capacity <= MAX_CAPACITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// Nanoseconds per unit.
    pub(crate) emission: u64,
    /// Nanoseconds to refill an empty quota.
    pub(crate) capacity: u64,
}

/// What one quota says to a request of some cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes; this is the state once charged.
    Admit { tat: u64 },
    /// Not before this many nanoseconds have passed. Never 0.
    Wait { nanos: u64 },
    /// The cost is above the burst: no waiting helps.
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
    /// The part of the capacity in use, in nanoseconds.
    ///
    /// Clamped, so that a state from a clock since set back cannot block a key
    /// for longer than the capacity.
    #[inline]
    fn spent(self, tat: u64, now: u64) -> u64 {
        tat.saturating_sub(now).min(self.capacity)
    }

    /// Decides on `cost` units, all or none. Changes nothing.
    #[inline]
    pub(crate) fn check(self, tat: u64, now: u64, cost: u32) -> Verdict {
        let price = self.emission.saturating_mul(u64::from(cost));
        if price > self.capacity {
            return Verdict::Never;
        }
        let wanted = self.spent(tat, now) + price;
        if wanted <= self.capacity {
            Verdict::Admit { tat: now.saturating_add(wanted) }
        } else {
            Verdict::Wait { nanos: wanted - self.capacity }
        }
    }

    /// The state as it should be kept: a state too far ahead is brought back
    /// to "exhausted now", so that it drains from here on.
    pub(crate) fn heal(self, tat: u64, now: u64) -> u64 {
        tat.min(now.saturating_add(self.capacity))
    }

    /// The state with `cost` units given back; full is the end of it.
    pub(crate) fn refund(self, tat: u64, cost: u32) -> u64 {
        tat.saturating_sub(self.emission.saturating_mul(u64::from(cost)))
    }

    /// How the quota stands.
    #[inline]
    pub(crate) fn standing(self, tat: u64, now: u64) -> Standing {
        let reset = self.spent(tat, now);
        let free = self.capacity - reset;
        let next = if reset == 0 { 0 } else { self.emission - free % self.emission };
        // capacity is burst x emission with a u32 burst.
        let remaining = u32::try_from(free / self.emission).unwrap_or(u32::MAX);
        Standing { remaining, next, reset }
    }
}

#[cfg(test)]
mod tests;
