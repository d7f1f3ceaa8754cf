//! When: nanoseconds on one line for the whole process.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// A point in time, as decisions take it: any `tokio::time::Instant`, or
/// [`Moment::now`].
///
/// All limiters of a process count from the same beginning, a day before the
/// first was built; what lies before that is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The time by the quickest clock there is.
    ///
    /// With the feature `quanta` this is the processor's time-stamp counter: 11 ns
    /// to read instead of 19, where that was measured. It is compared with the
    /// system's clock once, so the two drift apart slowly: for one limiter, use
    /// one or the other. It does not stop when tokio's clock is paused.
    ///
    /// Without the feature it is `Instant::now()`.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        #[cfg(feature = "quanta")]
        {
            let beginning = beginning();
            let raw = beginning.clock.raw();
            Self(beginning.offset + beginning.clock.delta_as_nanos(beginning.raw, raw))
        }
        #[cfg(not(feature = "quanta"))]
        Instant::now().into()
    }

    #[inline]
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }
}

impl From<Instant> for Moment {
    #[inline]
    fn from(instant: Instant) -> Self {
        let since = instant.saturating_duration_since(beginning().instant);
        // Enough for 584 years. Not as_nanos: 128 bits cost more.
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        Self(seconds.saturating_add(since.subsec_nanos().into()))
    }
}

/// What both clocks showed at the same time.
struct Beginning {
    instant: Instant,
    #[cfg(feature = "quanta")]
    clock: quanta::Clock,
    #[cfg(feature = "quanta")]
    raw: u64,
    /// Nanoseconds from `instant` to then.
    #[cfg(feature = "quanta")]
    offset: u64,
}

#[inline]
fn beginning() -> &'static Beginning {
    BEGINNING.get_or_init(Beginning::here)
}

impl Beginning {
    #[cold]
    fn here() -> Self {
        #[cfg(feature = "quanta")]
        let clock = quanta::Clock::new();
        #[cfg(feature = "quanta")]
        let raw = clock.raw();
        let now = Instant::now();
        let instant = now.checked_sub(DAY).unwrap_or(now);
        Self {
            instant,
            #[cfg(feature = "quanta")]
            offset: u64::try_from((now - instant).as_nanos()).unwrap_or(0),
            #[cfg(feature = "quanta")]
            clock,
            #[cfg(feature = "quanta")]
            raw,
        }
    }
}

static BEGINNING: OnceLock<Beginning> = OnceLock::new();
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_clocks_agree_when_read_one_after_the_other() {
        let _ = Moment::now();
        let before = Moment::from(Instant::now());
        let between = Moment::now();
        let after = Moment::from(Instant::now());
        // Long, as a test may lose its processor anywhere; an offset that is wrong is a day.
        let slack = 10_000_000_000;
        assert!(between.nanos() + slack >= before.nanos(), "{between:?} is before {before:?}");
        assert!(after.nanos() + slack >= between.nanos(), "{between:?} is after {after:?}");
        assert!(Moment::now() >= between);
    }

    #[test]
    fn an_instant_from_before_the_first_limiter_is_told_apart_from_a_later_one() {
        let now = Instant::now();
        let _ = Moment::now();
        let hour = Duration::from_secs(3_600);
        if let Some(earlier) = now.checked_sub(hour) {
            let gap = Moment::from(now).nanos() - Moment::from(earlier).nanos();
            assert_eq!(u128::from(gap), hour.as_nanos());
        }
    }
}
