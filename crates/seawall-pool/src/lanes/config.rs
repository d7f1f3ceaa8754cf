//! What the lanes of a node are held to.

use std::time::Duration;

use crate::config::within;
use crate::error::Error;

/// The connections to each node that [`Route::shared`](crate::Route::shared) reads go
/// over, beyond [`max_size`](crate::PoolConfig::max_size). They are opened by the first
/// such read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct LaneConfig {
    /// How many there are to each node; each has one process of the server. Default 4, 0
    /// to 64; with none, shared reads run like others.
    pub lanes: usize,
    /// The most statements under way on one lane. Reads that find no room take a
    /// connection of their own. Default 64, 1 to 10 000.
    pub depth: usize,
    /// A lane on which nothing comes to an end for this long is given up: within
    /// twice the time its reads move to connections of their own, and for ten times as
    /// long no lane is opened. Default 100 ms, 1 ms
    /// to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_hold: Duration,
    /// `statement_timeout` on the lanes. Default 1 s, 1 ms to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub statement_timeout: Duration,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            lanes: 4,
            depth: 64,
            max_hold: Duration::from_millis(100),
            statement_timeout: Duration::from_secs(1),
        }
    }
}

impl LaneConfig {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let moment = Duration::from_millis(1);
        within("lanes.lanes", self.lanes, 0..=64)?;
        within("lanes.depth", self.depth, 1..=10_000)?;
        within("lanes.max_hold", self.max_hold, moment..=Duration::from_secs(60))?;
        let day = Duration::from_secs(24 * 60 * 60);
        within("lanes.statement_timeout", self.statement_timeout, moment..=day)
    }

    /// The settings of a lane's session, as a server takes them at the start, after
    /// those of `options`.
    pub(crate) fn options(&self, options: Option<&str>) -> String {
        let millis = self.statement_timeout.as_millis();
        let own = format!("-c default_transaction_read_only=on -c statement_timeout={millis}");
        options.map_or_else(|| own.clone(), |theirs| format!("{theirs} {own}"))
    }
}
