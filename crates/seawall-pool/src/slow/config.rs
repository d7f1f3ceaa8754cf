//! What is kept of slow statements.

use crate::config::within;
use crate::error::Error;

/// What the pool keeps of statements that took longer than
/// [`PoolConfig::slow_query`](crate::PoolConfig::slow_query).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct SlowConfig {
    /// The most statements kept per node, the latest. Default 100, 0 to 10 000.
    pub keep: usize,
    /// The most plans asked for by the pool itself, per node and minute. Each takes a connection of
    /// its own for a moment. Default 0, none; at most 60.
    pub plans_per_minute: u32,
}

impl Default for SlowConfig {
    fn default() -> Self {
        Self { keep: 100, plans_per_minute: 0 }
    }
}

impl SlowConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        within("keep", self.keep, 0..=10_000)?;
        within("plans_per_minute", self.plans_per_minute, 0..=60)
    }
}
