//! Moments of this process in eight bytes.

use std::time::Duration;

use tokio::time::Instant;

/// A moment, in nanoseconds on the [`Clock`] it comes from. Moments before that clock began count
/// too: an entry read from L2 may have been loaded days ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(u64);

impl Tick {
    /// No later than any moment.
    pub(crate) const FIRST: Self = Self(0);

    /// Later than any moment.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// `self` and `duration` later; at most [`NEVER`](Self::NEVER).
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// `self` and `duration` earlier.
    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` it is; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// [`since`](Self::since) in nanoseconds.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// For atomics.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// Back from [`to_bits`](Self::to_bits).
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Where ticks are counted from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// Reads the clock: the one time that a hit does.
    pub(crate) fn now(&self) -> Tick {
        self.tick(Instant::now())
    }

    /// `at` on this clock.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        match at.checked_duration_since(self.began) {
            Some(after) => Tick(BEGAN + nanos(after).min(u64::MAX - BEGAN - 1)),
            None => Tick(BEGAN.saturating_sub(nanos(self.began.duration_since(at)))),
        }
    }
}

/// Saturating: 584 years.
fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

/// The tick of the beginning: 146 years of past.
const BEGAN: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_past_has_ticks_too() {
        let clock = Clock::new();
        let day = Duration::from_secs(86_400);
        let began = clock.tick(clock.began);
        let before = clock.tick(clock.began - day);
        assert!(before < began);
        assert_eq!(began.since(before), day);
        assert_eq!(before.since(began), Duration::ZERO);
        assert_eq!(before.plus(day), began);
        assert_eq!(began.plus(Duration::MAX), Tick::NEVER);
    }
}
