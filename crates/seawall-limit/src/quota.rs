//! How much, how fast, and what that means at the edges of a period.

use std::time::Duration;

use crate::error::{Error, in_range};
use crate::gcra::{Gcra, MAX_CAPACITY};
use crate::law::{Fixed, Law, Window};

/// So many units per period, in one of four [modes](Mode), with a burst.
///
/// "100 per minute" does not say what may happen in the two seconds around the
/// turn of a minute. The mode does; [`max_admitted`](Self::max_admitted) gives
/// the bound for any window, and is what this crate's tests hold it to.
///
/// [`per`](Self::per) is a bucket of `burst` units that refills evenly, one unit
/// each `period / limit`. With the default burst (the limit itself) a key that
/// was idle may spend nearly twice the limit in its first period; a smaller
/// burst tightens that, and [`strict`](Self::strict) rules it out.
///
/// Intervals are whole nanoseconds, rounded so that a quota is never looser
/// than written.
///
/// ```
/// # use std::time::Duration;
/// # use seawall_limit::Quota;
/// let minute = Duration::from_secs(60);
/// let quota = Quota::per(50, minute)?.with_burst(10)?;
/// assert_eq!(quota.interval(), Duration::from_millis(1_200));
/// assert_eq!(quota.max_admitted(minute), 10 + 50);
/// assert_eq!(Quota::strict(50, minute)?.max_admitted(minute), 50);
/// assert_eq!(Quota::window(50, minute)?.max_admitted(minute), 100);
/// assert_eq!(Quota::fixed(50, minute)?.max_admitted(minute), 100);
/// # Ok::<(), seawall_limit::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    mode: Mode,
    limit: u32,
    burst: u32,
    debt: u32,
    period: Duration,
    gcra: Gcra,
}

/// What a quota promises about windows that do not begin where its own do.
/// `L` is the limit, `W` the period, `B` the burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Mode {
    /// A bucket that refills evenly, `L` in `W` (the generic cell rate
    /// algorithm): `B + L` in a window of `W` at most, `L` per `W` for ever.
    #[default]
    Smooth,
    /// The same bucket, but refilled at the rate that is left when the burst is
    /// taken off: `L` in any window of `W` at most, `L - B` per `W` for ever.
    Strict,
    /// A sliding-window counter, two buckets weighted: `2 L` in a window of `W`
    /// at most, and that only by one who spends `L` at once and then as it
    /// fades; no burst of its own.
    Window,
    /// Fixed windows from the first unit, as Node's express-rate-limit and
    /// rate-limiter-flexible have them: `2 L` in no time around the turn of a
    /// window; no burst of its own.
    Fixed,
}

impl Mode {
    const fn default_burst(self, limit: u32) -> u32 {
        match self {
            Self::Strict => limit.div_ceil(5),
            Self::Smooth | Self::Window | Self::Fixed => limit,
        }
    }
}

impl Quota {
    /// [`Mode::Smooth`]: `limit` units per `period`, with a burst of `limit`.
    ///
    /// # Errors
    /// If the limit or the period is zero, if that is more than one unit per
    /// nanosecond, or if the period is above 146 years.
    pub fn per(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::new(Mode::Smooth, limit, period, limit, 0)
    }

    /// [`Mode::Strict`]: no window of `period` admits more than `limit`. The
    /// burst is a fifth of the limit, rounded up; the rest, four fifths, is what
    /// can be had per period for ever.
    ///
    /// # Errors
    /// As [`per`](Self::per).
    pub fn strict(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::new(Mode::Strict, limit, period, Mode::Strict.default_burst(limit), 0)
    }

    /// [`Mode::Window`]: `limit` units per sliding `period`, by two counters.
    ///
    /// # Errors
    /// As [`per`](Self::per), and if the period is above 73 years.
    pub fn window(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::new(Mode::Window, limit, period, limit, 0)
    }

    /// [`Mode::Fixed`]: `limit` units in each `period` from the first unit.
    ///
    /// # Errors
    /// As [`per`](Self::per), and if the period is above 73 years.
    pub fn fixed(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::new(Mode::Fixed, limit, period, limit, 0)
    }

    /// The same in another mode, with its default burst.
    ///
    /// # Errors
    /// As the functions named like the modes; and if there is a debt that the
    /// mode cannot have.
    pub fn in_mode(self, mode: Mode) -> Result<Self, Error> {
        Self::new(mode, self.limit, self.period, mode.default_burst(self.limit), self.debt)
    }

    /// The same rate with another burst: the units that an idle key may spend
    /// at once. If smooth, it may be below or above the limit; if strict, not
    /// above, and what remains of the limit is the rate.
    ///
    /// # Errors
    /// If the burst is zero, or takes longer than 146 years to refill; if it is
    /// above the limit of a strict quota, or another than the limit of a
    /// `Window` or `Fixed` one, which have none.
    pub fn with_burst(self, burst: u32) -> Result<Self, Error> {
        Self::new(self.mode, self.limit, self.period, burst, self.debt)
    }

    /// The units that [`Limiter::charge`](crate::Limiter::charge) and
    /// [`Reservation::settle`](crate::Reservation::settle) may take beyond the
    /// quota, to be recovered at its rate before anything else is admitted.
    /// Default: 0, what is beyond is forgiven. Checks never make debt.
    ///
    /// # Errors
    /// If that takes longer than 146 years to recover, or for a `Window` or
    /// `Fixed` quota, which forgets too soon.
    pub fn with_debt(self, debt: u32) -> Result<Self, Error> {
        Self::new(self.mode, self.limit, self.period, self.burst, debt)
    }

    /// What it promises.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
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

    /// Units that it can be in debt.
    #[must_use]
    pub const fn debt(&self) -> u32 {
        self.debt
    }

    /// The time in which one unit comes back, in whole nanoseconds; on average,
    /// for `Window` and `Fixed`.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.gcra.emission)
    }

    /// The most units that checks admit in any window of this length, both its
    /// ends included, however the requests arrive:
    ///
    /// | mode | bound for a window of length w |
    /// |---|---|
    /// | `Smooth`, `Strict` | `burst + floor(w / interval)` |
    /// | `Window` | `floor(limit x (1 + w / period))` |
    /// | `Fixed` | `limit x (2 + floor((w - 1 ns) / period))`; `limit` for w = 0 |
    ///
    /// It holds for each key, in a full table and under any number of threads.
    /// Units given back by [`refund`](crate::Limiter::refund) in the window come
    /// on top, and so does debt.
    #[must_use]
    pub fn max_admitted(&self, window: Duration) -> u64 {
        let window = window.as_nanos();
        let limit = u128::from(self.limit);
        let period = self.period.as_nanos();
        let bound = match self.mode {
            Mode::Smooth | Mode::Strict => {
                u128::from(self.burst) + window / u128::from(self.gcra.emission)
            }
            Mode::Window => limit + window.saturating_mul(limit) / period,
            Mode::Fixed => match window.checked_sub(1) {
                Some(rest) => (rest / period + 2).saturating_mul(limit),
                None => limit,
            },
        };
        u64::try_from(bound).unwrap_or(u64::MAX)
    }

    fn new(mode: Mode, limit: u32, period: Duration, burst: u32, debt: u32) -> Result<Self, Error> {
        in_range("limit", limit.into(), 1, u32::MAX.into())?;
        let bucket = matches!(mode, Mode::Smooth | Mode::Strict);
        let (least, most) = match mode {
            Mode::Smooth => (1, u32::MAX),
            Mode::Strict => (1, limit),
            Mode::Window | Mode::Fixed => (limit, limit),
        };
        in_range("burst", burst.into(), least.into(), most.into())?;
        in_range("debt", debt.into(), 0, if bucket { u32::MAX.into() } else { 0 })?;
        let nanos = period.as_nanos();
        if nanos < u128::from(limit) {
            return Err(Error::TooFast { limit, period });
        }
        let emission = match mode {
            // The least interval of which no more than limit - burst fit into a period.
            Mode::Strict => nanos / u128::from(limit - burst + 1) + 1,
            _ => nanos.div_ceil(u128::from(limit)),
        };
        let too_slow = Error::TooSlow { burst, limit, period };
        let capacity = emission.saturating_mul(u128::from(burst));
        let ceiling = capacity.saturating_add(emission.saturating_mul(u128::from(debt)));
        let longest = if bucket { ceiling } else { ceiling.max(nanos.saturating_mul(2)) };
        if longest > u128::from(MAX_CAPACITY) {
            return Err(too_slow);
        }
        match (u64::try_from(emission), u64::try_from(capacity), u64::try_from(ceiling)) {
            (Ok(emission), Ok(capacity), Ok(ceiling)) => {
                let gcra = Gcra::new(emission, capacity).with_debt(ceiling - capacity);
                Ok(Self { mode, limit, burst, debt, period, gcra })
            }
            _ => Err(too_slow),
        }
    }

    /// A quota known to be valid when this crate is compiled: arithmetic
    /// outside the bounds does not compile.
    pub(crate) const fn known(limit: u32, period_seconds: u64) -> Self {
        let emission = (period_seconds * 1_000_000_000).div_ceil(limit as u64);
        let gcra = Gcra::new(emission, emission * limit as u64);
        let period = Duration::from_secs(period_seconds);
        Self { mode: Mode::Smooth, limit, burst: limit, debt: 0, period, gcra }
    }

    pub(crate) const fn default_burst(&self) -> u32 {
        self.mode.default_burst(self.limit)
    }

    /// The quota as a bucket: what it is, if smooth or strict, and what stands in
    /// for it in the overflow if not.
    pub(crate) const fn gcra(&self) -> Gcra {
        self.gcra
    }

    pub(crate) fn law(&self) -> Law {
        // Checked when it was made: it fits.
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(MAX_CAPACITY / 2);
        match self.mode {
            Mode::Smooth | Mode::Strict => Law::Bucket(self.gcra),
            Mode::Window => Law::Window(Window { limit: self.limit, period }),
            Mode::Fixed => Law::Fixed(Fixed { limit: self.limit, period }),
        }
    }
}
