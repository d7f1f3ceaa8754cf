//! How one of several replicas is chosen.

use std::time::Duration;

use seawall_balance::{BalanceConfig, LagConfig, OutlierConfig, Policy, SlowStart};

use crate::Lag;
use crate::error::Error;

/// How reads are spread over the replicas of one rank, and which replicas are left
/// out. The balancer is `seawall-balance`.
///
/// Three reasons against a replica are kept apart. *Failure*: its monitor found it
/// dead (at once out), or its statements fail while its probes do not
/// ([`outlier`](Self::outlier)); it comes back slowly
/// ([`slow_start`](Self::slow_start)). *Lag*: as [`lag`](Self::lag) says. *Saturation*:
/// its connections are used up; it rests for [`saturated_for`](Self::saturated_for),
/// and has not failed ([`spill`](Self::spill)).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct RoutingConfig {
    /// Default [`Policy::PeakEwma`]: the cheaper of two by latency, queue and
    /// failures. [`Policy::SmoothWeighted`] keeps to the weights exactly. Policies
    /// that go by keys take them from [`Route::key`](crate::Route::key).
    pub policy: Policy,
    /// How long latencies and failures are remembered: after this time they weigh
    /// 1/e. Short, so that a replica which was slow once is soon tried again.
    /// Default 1 s, 1 ms to 1 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub decay: Duration,
    /// How long a replica rests whose connections are used up. Default 200 ms, up
    /// to 1 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub saturated_for: Duration,
    /// Where reads go while every replica that may serve them rests so. Replicas that are dead or
    /// lag do not count: then the primary serves. Default [`Spill::Wait`].
    pub spill: Spill,
    /// For [`Spill::Primary`]: the share of the primary's connections in use, statements on shared
    /// ones included, from which on it takes no such read. Default 0.5, 0 to 1.
    pub spill_below: f64,
    /// The share of the primary's connections that reads may hold at a time in a pool that has
    /// replicas: those that no replica serves, because all are down, lag, or have not what was
    /// written yet. More stand in line, as many as
    /// [`max_waiting`](crate::PoolConfig::max_waiting), so the loss of all replicas leaves writes
    /// the rest. Analytics hold no more of them than of the connections
    /// ([`analytics_share`](crate::PoolConfig::analytics_share)). At least one connection. Default
    /// 0.8, 0 to 1; 1 sets no limit.
    pub fallback_share: f64,
    /// How the share of a replica grows that was down, or drained. Default: from a
    /// tenth to all within 10 s.
    pub slow_start: SlowStart,
    /// When a replica is ejected whose statements fail though its probes are
    /// answered. What the server says about a statement is no failure. Default: after
    /// 5 failures in a row, for 30 s, the second time for 60 s, and so on.
    pub outlier: OutlierConfig,
    /// When a replica is left out for its lag.
    pub lag: LagLimits,
}

/// What becomes of a read when the connections of all replicas are used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Spill {
    /// It stands in line at the replica with the least to do, within its
    /// [`acquire_timeout`](crate::PoolConfig::acquire_timeout), and is refused if that line is full
    /// ([`Error::QueueFull`]): however many reads come, writes have the primary to themselves.
    #[default]
    Wait,
    /// It goes to the primary while nobody waits there and fewer of its connections are in
    /// use than [`spill_below`](RoutingConfig::spill_below) says; else as [`Wait`](Self::Wait). The
    /// count is not exact to the call: some that come at once may pass together.
    Primary,
    /// It is refused at once, with [`Error::NoNode`].
    Shed,
}

/// When a replica that lags is left out.
///
/// Whichever of time and bytes is worse counts. A replica comes back when it is below
/// [`clear`](Self::clear) times the limit.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct LagLimits {
    /// Above, a replica is left out as long as [`keep`](Self::keep) others are not.
    /// Default 1 s, more than zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub soft: Duration,
    /// Above, a replica is left out whatever happens. Default 30 s, at least `soft`,
    /// at most a day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub hard: Duration,
    /// As `soft`, in bytes of log. Default 16 MiB, at least 1.
    pub soft_bytes: u64,
    /// As `hard`, in bytes of log. Default 1 GiB, at least `soft_bytes`.
    pub hard_bytes: u64,
    /// So many replicas of a rank serve in spite of a soft limit, those that lag
    /// least. Default 1; with 0 reads go to the primary instead.
    pub keep: u32,
    /// The share of a limit below which a replica is back. Default 0.8, 0 to 1.
    pub clear: f64,
}

impl RoutingConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Routing`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let limits = &self.lag;
        super::within("lag.soft", limits.soft, Duration::from_nanos(1)..=super::DAY)?;
        super::within("lag.hard", limits.hard, limits.soft..=super::DAY)?;
        super::within("lag.soft_bytes", limits.soft_bytes, 1..=u64::MAX)?;
        super::within("lag.hard_bytes", limits.hard_bytes, limits.soft_bytes..=u64::MAX)?;
        super::within("spill_below", self.spill_below, 0.0..=1.0)?;
        super::within("fallback_share", self.fallback_share, 0.0..=1.0)?;
        self.balance("").validate().map_err(|source| Error::Routing { source })
    }

    /// For the replicas of one rank. Those known to be dead are kept out by the pool, so
    /// "panic" only brings back those that were ejected, when no other is left.
    pub(crate) fn balance(&self, name: &str) -> BalanceConfig {
        BalanceConfig {
            policy: self.policy,
            decay: self.decay,
            saturated_for: self.saturated_for,
            panic_share: 0.0,
            slow_start: self.slow_start.clone(),
            outlier: self.outlier.clone(),
            lag: LagConfig {
                soft: self.lag.soft,
                hard: self.lag.hard,
                keep: self.lag.keep,
                clear: self.lag.clear,
            },
            ..BalanceConfig::new(name, self.policy)
        }
    }
}

impl LagLimits {
    /// One measure for time and bytes, as a time: bytes count in proportion to their
    /// limits, so that either measure reaches a limit, and is back below it, at the
    /// same value.
    pub(crate) fn measure(&self, lag: Lag) -> Duration {
        let (soft, hard) = (self.soft.as_secs_f64(), self.hard.as_secs_f64());
        let (bytes, soft_bytes) = (number(lag.bytes), number(self.soft_bytes));
        let hard_bytes = number(self.hard_bytes);
        let seconds = if bytes <= soft_bytes {
            soft * (bytes / soft_bytes)
        } else if bytes <= hard_bytes {
            soft + (hard - soft) * ((bytes - soft_bytes) / (hard_bytes - soft_bytes))
        } else {
            hard * (bytes / hard_bytes)
        };
        let bytes = Duration::try_from_secs_f64(seconds).unwrap_or(super::DAY);
        // Rounding must not hide that a limit was passed.
        let bytes = if lag.bytes > self.hard_bytes {
            bytes.max(self.hard + Duration::from_nanos(1))
        } else if lag.bytes > self.soft_bytes {
            bytes.max(self.soft + Duration::from_nanos(1))
        } else {
            bytes.min(self.soft)
        };
        lag.time.max(bytes)
    }
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            policy: Policy::PeakEwma,
            decay: Duration::from_secs(1),
            saturated_for: Duration::from_millis(200),
            spill: Spill::Wait,
            spill_below: 0.5,
            fallback_share: 0.8,
            slow_start: SlowStart::default(),
            outlier: OutlierConfig::default(),
            lag: LagLimits::default(),
        }
    }
}

impl Default for LagLimits {
    fn default() -> Self {
        Self {
            soft: Duration::from_secs(1),
            hard: Duration::from_secs(30),
            soft_bytes: 16 << 20,
            hard_bytes: 1 << 30,
            keep: 1,
            clear: 0.8,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "limits are not exact to the byte")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
