//! An overload guard as plain data.

use std::time::Duration;

use crate::error::{Error, in_range};

/// The bounds of an [`Overload`](crate::Overload) guard. The limit itself is found, not
/// configured: none of these needs to be set.
///
/// With the feature `serde` it is read from TOML, JSON and the like; unknown fields are refused,
/// missing ones take their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[expect(clippy::exhaustive_structs, reason = "configuration that callers write down")]
pub struct OverloadConfig {
    /// The label `name` of the metrics. Default: `default`.
    pub name: String,
    /// The least number of requests at once, 1 to 1 000 000. Default: 4.
    pub min_limit: usize,
    /// The most, at least `min_limit`, up to 1 000 000. Default: 10 000.
    pub max_limit: usize,
    /// Where the search begins; held within the two. Default: 64.
    pub initial_limit: usize,
    /// How many may wait for a slot, up to 1 000 000; 0 is none. A bound on memory: what bounds
    /// the wait is time. Default: 1 024.
    pub max_queue: usize,
    /// The longest that a request waits for a slot, 1 ms to 1 h. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_wait: Duration,
    /// What users' cohorts depend on. Give all nodes the same, so that a user whom one turns away
    /// is turned away by the others as well; the hours after which cohorts change are counted from
    /// when the guard was made. Default: 0.
    pub cohort_seed: u64,
}

impl OverloadConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], naming the first field that is.
    pub fn validate(&self) -> Result<(), Error> {
        in_range("min_limit", self.min_limit as u64, 1, MOST)?;
        in_range("max_limit", self.max_limit as u64, self.min_limit as u64, MOST)?;
        in_range("initial_limit", self.initial_limit as u64, 1, MOST)?;
        in_range("max_queue", self.max_queue as u64, 0, MOST)?;
        let wait = u64::try_from(self.max_wait.as_millis()).unwrap_or(u64::MAX);
        in_range("max_wait (in ms)", wait, 1, 3_600_000)
    }
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            min_limit: 4,
            max_limit: 10_000,
            initial_limit: 64,
            max_queue: 1_024,
            max_wait: Duration::from_secs(1),
            cohort_seed: 0,
        }
    }
}

const MOST: u64 = 1_000_000;
