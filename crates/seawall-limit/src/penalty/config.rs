//! When a client moves up, and when down.

use std::time::Duration;

use crate::error::{Error, in_range};

/// Thresholds, windows and times of [`Penalties`](super::Penalties).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct PenaltyConfig {
    /// Violations within `challenge_window` that move a client from ok to
    /// challenge. Default: 10; at least 1.
    pub challenge_after: u32,
    /// Default: 1 min; 1 ms to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub challenge_window: Duration,
    /// Further violations within `block_window` that move a challenged client to
    /// blocked. Default: 20; at least 1.
    pub block_after: u32,
    /// Default: 5 min; 1 ms to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub block_window: Duration,
    /// How long a block lasts; then the client is challenged. Default: 5 min;
    /// 1 ms to 30 days.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub block_for: Duration,
    /// The time without a violation that moves a challenged client back to ok.
    /// Default: 10 min; 1 ms to 30 days.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub calm: Duration,
    /// About how many clients are remembered at once, at 48 bytes each, allocated
    /// once; only those that violated something of late are. Default: 65 536; 16
    /// to 2^24.
    pub max_keys: usize,
}

impl PenaltyConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// On the first that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let millis = |field, value: Duration, most: u64| {
            in_range(field, u64::try_from(value.as_millis()).unwrap_or(u64::MAX), 1, most)
        };
        in_range("challenge_after", self.challenge_after.into(), 1, u32::MAX.into())?;
        millis("challenge_window", self.challenge_window, DAY)?;
        in_range("block_after", self.block_after.into(), 1, u32::MAX.into())?;
        millis("block_window", self.block_window, DAY)?;
        millis("block_for", self.block_for, 30 * DAY)?;
        millis("calm", self.calm, 30 * DAY)?;
        in_range("max_keys", self.max_keys as u64, 16, 1 << 24)
    }
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self {
            challenge_after: 10,
            challenge_window: Duration::from_secs(60),
            block_after: 20,
            block_window: Duration::from_secs(300),
            block_for: Duration::from_secs(300),
            calm: Duration::from_secs(600),
            max_keys: 65_536,
        }
    }
}

/// In milliseconds.
const DAY: u64 = 86_400_000;
