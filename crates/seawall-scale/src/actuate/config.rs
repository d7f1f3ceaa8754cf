use std::time::Duration;

use crate::ConfigError;

/// How a [`Reconciler`](super::Reconciler) drives its world.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ReconcilerConfig {
    /// How often the world is looked at when all is well. Default 5 s, 10 ms to 1 h.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub interval: Duration,
    /// The most a look or a write may take. Default 10 s, 10 ms to 10 min.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub timeout: Duration,
    /// How long after a write the world may take until as many instances serve as were asked for;
    /// later it is reported as [`Standing::Late`](super::Standing::Late). Default 5 min, 1 s to 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub follow_within: Duration,
    /// The first wait after a failure. Default 1 s, 10 ms to 10 min.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub backoff_min: Duration,
    /// The longest wait after failures in a row. Default 1 min, 10 ms to 1 h, at least
    /// `backoff_min`. A longer wait that the other side asks for is kept, up to an hour.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub backoff_max: Duration,
    /// How long to leave the world alone after an error that waiting does not cure, such as a
    /// missing right. Default 5 min, 1 s to 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub retry_final: Duration,
    /// After so many changes by others within `foreign_window`, the reconciler only watches until
    /// [`resume`](super::Reconciler::resume). Default 3, 1 to 1000.
    pub foreign_writes: u32,
    /// See `foreign_writes`. Default 10 min, 1 s to 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub foreign_window: Duration,
}

impl Default for ReconcilerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            follow_within: Duration::from_secs(300),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            retry_final: Duration::from_secs(300),
            foreign_writes: 3,
            foreign_window: Duration::from_secs(600),
        }
    }
}

impl ReconcilerConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(10);
        let s = Duration::from_secs;
        ConfigError::duration("interval", self.interval, (ms, s(3600)))?;
        ConfigError::duration("timeout", self.timeout, (ms, s(600)))?;
        ConfigError::duration("follow_within", self.follow_within, (s(1), s(86_400)))?;
        ConfigError::duration("backoff_min", self.backoff_min, (ms, s(600)))?;
        ConfigError::duration("backoff_max", self.backoff_max, (self.backoff_min, s(3600)))?;
        ConfigError::duration("retry_final", self.retry_final, (s(1), s(86_400)))?;
        ConfigError::number("foreign_writes", self.foreign_writes.into(), (1, 1000))?;
        ConfigError::duration("foreign_window", self.foreign_window, (s(1), s(86_400)))
    }
}
