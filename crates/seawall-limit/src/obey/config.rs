//! How long to wait, and how much to remember.

use std::time::Duration;

use crate::error::{Error, in_range};

/// Bounds of an [`ObeyLayer`](super::ObeyLayer).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ObeyConfig {
    /// How long one request waits at the most; if it would have to wait longer,
    /// it fails at once. Zero: it never waits. Default: 30 s; to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_wait: Duration,
    /// How long a server is believed at the most, whatever it says. Default:
    /// 1 hour; 1 s to 7 days.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_block: Duration,
    /// Percent of a wait that is added at random, so that not all clients come
    /// back at once. It may pass `max_wait`. Default: 10; to 100.
    pub jitter_percent: u8,
    /// Hosts remembered at once. With more, those are forgotten first that are
    /// not blocked; if all are, further hosts are not limited. Default: 1 024;
    /// at least 1.
    pub max_hosts: usize,
}

impl ObeyConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// On the first that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        in_range("max_wait", self.max_wait.as_secs(), 0, 86_400)?;
        in_range("max_block", self.max_block.as_secs(), 1, 604_800)?;
        in_range("jitter_percent", self.jitter_percent.into(), 0, 100)?;
        in_range("max_hosts", self.max_hosts as u64, 1, u64::MAX)
    }
}

impl Default for ObeyConfig {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(30),
            max_block: Duration::from_secs(3_600),
            jitter_percent: 10,
            max_hosts: 1_024,
        }
    }
}
