use std::time::Duration;

use crate::error::Error;

/// Settings of [`Active`](super::Active).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct ActiveConfig {
    /// Who was seen within this counts, 1 s to 1 day. Default: 5 min.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub window: Duration,
    /// Steps by which the window slides, 1 to 60. Default: 6.
    pub steps: u32,
    /// Each sketch has 2^precision registers of a byte, 4 to 16; the standard
    /// error is 1.04 / sqrt(2^precision). Default: 12, 1.6 %.
    pub precision: u8,
}

impl Default for ActiveConfig {
    fn default() -> Self {
        Self { window: Duration::from_secs(300), steps: 6, precision: 12 }
    }
}

impl ActiveConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&self.window) {
            return Err(Error::config("window", self.window.as_secs_f64(), "1 s to 1 day"));
        }
        if !(1..=60).contains(&self.steps) {
            return Err(Error::config("steps", f64::from(self.steps), "1 to 60"));
        }
        if !(4..=16).contains(&self.precision) {
            return Err(Error::config("precision", f64::from(self.precision), "4 to 16"));
        }
        Ok(())
    }
}
