//! When the advisor speaks up.

use std::time::Duration;

use crate::config::within;
use crate::error::Error;

/// Thresholds of the advisor and limits on its own work.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AdvisorConfig {
    /// Limit on each question to a node, and on connecting to it. Default 3 s, 10 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub timeout: Duration,
    /// Limit on each wait for a lock, or for an older transaction, when a suggestion is applied. Nothing that
    /// is applied makes readers or writers wait meanwhile. Default 10 s, 1 ms to 1 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub lock_timeout: Duration,
    /// Limit on applying one suggestion: making an index of a large table takes its time. Default
    /// 30 min, 1 s to 24 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub apply_timeout: Duration,
    /// An index is called unused only if every node has kept statistics for so long. Default
    /// 7 days, at most 366 days: long enough for what runs once a week.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub min_statistics_age: Duration,
    /// The most statements looked at, those that took the most time. Default 50, 1 to 1 000.
    pub statements: usize,
    /// The most tables looked at, the largest. Default 1 000, 1 to 100 000.
    pub tables: usize,
    /// Statements that ran less often lead to no index. Default 20, at least 1.
    pub min_calls: u64,
    /// Nor do statements that take less on average. Default 1 ms, at most 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub min_mean: Duration,
    /// Smaller tables get no index and no other advice. Default 5 000, at least 1.
    pub min_rows: u64,
    /// A larger table that is read row by row again and again is reported. Default 100 000.
    pub large_rows: u64,
    /// The most columns of an index that is suggested. Default 3, 1 to 8.
    pub max_columns: usize,
    /// An index is suggested only if it brings a statement's cost below this share of what it
    /// was. Default 0.5, 0.01 to 0.99.
    pub max_cost_share: f64,
    /// Statistics of a table are called stale when this share of its rows has changed since.
    /// Default 0.25, 0.01 to 10.
    pub stale_share: f64,
    /// A table is called bloated when this share of its row versions is dead. Default 0.25,
    /// 0.01 to 1.
    pub dead_share: f64,
}

impl Default for AdvisorConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(10),
            apply_timeout: Duration::from_secs(30 * 60),
            min_statistics_age: 7 * DAY,
            statements: 50,
            tables: 1_000,
            min_calls: 20,
            min_mean: Duration::from_millis(1),
            min_rows: 5_000,
            large_rows: 100_000,
            max_columns: 3,
            max_cost_share: 0.5,
            stale_share: 0.25,
            dead_share: 0.25,
        }
    }
}

impl AdvisorConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let minute = Duration::from_secs(60);
        let moment = Duration::from_millis(1);
        within("timeout", self.timeout, 10 * moment..=minute)?;
        within("lock_timeout", self.lock_timeout, moment..=60 * minute)?;
        within("apply_timeout", self.apply_timeout, Duration::from_secs(1)..=DAY)?;
        within("min_statistics_age", self.min_statistics_age, Duration::ZERO..=366 * DAY)?;
        within("statements", self.statements, 1..=1_000)?;
        within("tables", self.tables, 1..=100_000)?;
        within("min_calls", self.min_calls, 1..=u64::MAX)?;
        within("min_mean", self.min_mean, Duration::ZERO..=minute)?;
        within("min_rows", self.min_rows, 1..=u64::MAX)?;
        within("max_columns", self.max_columns, 1..=8)?;
        within("max_cost_share", self.max_cost_share, 0.01..=0.99)?;
        within("stale_share", self.stale_share, 0.01..=10.0)?;
        within("dead_share", self.dead_share, 0.01..=1.0)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
