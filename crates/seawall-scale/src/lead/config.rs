use std::time::Duration;

use crate::ConfigError;

/// How long a lease lasts.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LeaseConfig {
    /// How long the store keeps it without renewal: the longest time without a leader after one
    /// died. It is renewed every quarter of it. Default 15 s, 100 ms to 10 min.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub ttl: Duration,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(15) }
    }
}

impl LeaseConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bounds = (Duration::from_millis(100), Duration::from_secs(600));
        ConfigError::duration("ttl", self.ttl, bounds)
    }
}
