use std::time::Duration;

use crate::error::Error;

/// How often resources are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct ResourcesConfig {
    /// Between samples of this process, 200 ms to 1 day. Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub process_interval: Duration,
    /// Between samples of the host, 200 ms to 1 day: CPU use over a shorter
    /// time means nothing. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub system_interval: Duration,
}

impl ResourcesConfig {
    /// Both intervals the same.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { process_interval: interval, system_interval: interval }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first interval that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, interval) in
            [("process_interval", self.process_interval), ("system_interval", self.system_interval)]
        {
            if !(SHORTEST..=LONGEST).contains(&interval) {
                return Err(Error::config(field, interval.as_secs_f64(), "0.2 seconds to 1 day"));
            }
        }
        Ok(())
    }
}

impl Default for ResourcesConfig {
    fn default() -> Self {
        Self { process_interval: Duration::from_secs(10), system_interval: Duration::from_secs(30) }
    }
}

/// The kernel's CPU accounting is too coarse below this.
const SHORTEST: Duration = Duration::from_millis(200);
/// What is added to the time must stay a time.
const LONGEST: Duration = Duration::from_secs(86_400);
