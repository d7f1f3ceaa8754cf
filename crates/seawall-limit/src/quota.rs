//! How much, how fast: a limit per period, and the burst apart from it.

use std::time::Duration;

use crate::error::{Error, in_range};
use crate::gcra::{Gcra, MAX_CAPACITY};

/// So many units per period, with a burst.
///
/// The quota is a bucket of `burst` units that refills evenly, one unit each
/// `period / limit`. It follows that any window of length `w` admits at most
/// `burst + w / (period / limit)` units: see [`max_admitted`](Self::max_admitted).
/// With the default burst (the limit itself) a key that was idle may spend
/// nearly twice the limit in its first period; a smaller burst tightens that.
///
/// The interval is kept in whole nanoseconds, rounded up: a quota is never
/// looser than written, and tighter by less than one nanosecond per unit (one
/// part in a thousand at a million units per second).
///
/// ```
/// # use std::time::Duration;
/// # use seawall_limit::Quota;
/// let quota = Quota::per(50, Duration::from_secs(60))?.with_burst(10)?;
/// assert_eq!(quota.interval(), Duration::from_millis(1_200));
/// assert_eq!(quota.max_admitted(Duration::from_secs(60)), 10 + 50);
/// # Ok::<(), seawall_limit::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    burst: u32,
    period: Duration,
    gcra: Gcra,
}

impl Quota {
    /// `limit` units per `period`, with a burst of `limit`.
    ///
    /// # Errors
    /// If the limit or the period is zero, if that is more than one unit per
    /// nanosecond, or if the period is above 146 years.
    pub fn per(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::new(limit, period, limit)
    }

    /// The same rate with another burst: the units that an idle key may spend
    /// at once. It may be below or above the limit.
    ///
    /// # Errors
    /// If the burst is zero, or takes longer than 146 years to refill.
    pub fn with_burst(self, burst: u32) -> Result<Self, Error> {
        Self::new(self.limit, self.period, burst)
    }

    /// Units per period.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The period that the limit is for.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// Units that an idle key may spend at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which one unit comes back, in whole nanoseconds.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.gcra.emission)
    }

    /// The most units that any window of this length can admit, however the
    /// requests arrive: `burst + floor(window / interval)`.
    #[must_use]
    pub fn max_admitted(&self, window: Duration) -> u64 {
        let refilled = window.as_nanos() / u128::from(self.gcra.emission);
        u64::try_from(refilled).unwrap_or(u64::MAX).saturating_add(u64::from(self.burst))
    }

    fn new(limit: u32, period: Duration, burst: u32) -> Result<Self, Error> {
        in_range("limit", limit.into(), 1, u32::MAX.into())?;
        in_range("burst", burst.into(), 1, u32::MAX.into())?;
        let nanos = period.as_nanos();
        if nanos < u128::from(limit) {
            return Err(Error::TooFast { limit, period });
        }
        let emission = nanos.div_ceil(u128::from(limit));
        let capacity = emission.saturating_mul(u128::from(burst));
        match (u64::try_from(emission), u64::try_from(capacity)) {
            (Ok(emission), Ok(capacity)) if capacity <= MAX_CAPACITY => {
                Ok(Self { limit, burst, period, gcra: Gcra { emission, capacity } })
            }
            _ => Err(Error::TooSlow { burst, limit, period }),
        }
    }

    /// A quota known to be valid when this crate is compiled: arithmetic
    /// outside the bounds does not compile.
    pub(crate) const fn known(limit: u32, period_seconds: u64) -> Self {
        let emission = (period_seconds * 1_000_000_000).div_ceil(limit as u64);
        let capacity = emission * limit as u64;
        let period = Duration::from_secs(period_seconds);
        Self { limit, burst: limit, period, gcra: Gcra { emission, capacity } }
    }

    pub(crate) const fn gcra(&self) -> Gcra {
        self.gcra
    }
}
