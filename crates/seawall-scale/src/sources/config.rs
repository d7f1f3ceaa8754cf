use std::time::Duration;

use crate::ConfigError;

/// How a [`Poller`](super::Poller) asks one probe.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct PollConfig {
    /// How often. Default 15 s, 10 ms to 1 h. The first time within a second, at a moment of chance,
    /// so that many engines do not ask together; then at that pace.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub interval: Duration,
    /// The most one answer may take. Default 5 s, 1 ms to 10 min.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub deadline: Duration,
    /// The longest pause after failures in a row; the first is the interval, and they double.
    /// Default 2 min, at least the interval, at most 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub backoff_max: Duration,
    /// The most by which a pause is shortened at random, as a share of it in per cent. Default 10,
    /// 0 to 50.
    pub jitter_percent: u8,
}

impl Default for PollConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            deadline: Duration::from_secs(5),
            backoff_max: Duration::from_secs(120),
            jitter_percent: 10,
        }
    }
}

impl PollConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        ConfigError::duration("interval", self.interval, (ms(10), s(3600)))?;
        ConfigError::duration("deadline", self.deadline, (ms(1), s(600)))?;
        ConfigError::duration("backoff_max", self.backoff_max, (self.interval, s(86_400)))?;
        ConfigError::number("jitter_percent", self.jitter_percent.into(), (0, 50))
    }
}
