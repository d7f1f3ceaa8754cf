//! When a read is sent a second time, and how often that may be.

use std::time::Duration;

use crate::config::within;
use crate::error::Error;

/// Hedged reads: one that has no answer after a while is sent to another replica too, and the
/// first answer counts. It trades a few more statements for a shorter tail; see Dean and
/// Barroso, "The Tail at Scale" (2013).
///
/// Only reads of [`Pool::read`](crate::Pool::read) that run by themselves: no write, no analytics, no
/// [`Route::get`](crate::Route::get), no [`Route::query_each`](crate::Route::query_each), no text that names
/// something lasting such as an advisory lock. The second attempt goes to another replica that
/// fits the call as the first did (tag, position), and never to the primary. What is still under way
/// for the other attempt is cancelled on the server, but for a statement on a shared connection
/// ([`Route::shared`](crate::Route::shared)), which runs to its end there. Both attempts together have the time that one
/// has.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct HedgeConfig {
    /// Whether reads are hedged that do not say so themselves with
    /// [`Route::hedged`](crate::Route::hedged). Default false.
    pub enabled: bool,
    /// The most second attempts, as a share of the reads that may have one: there are never
    /// more than this times the reads so far. Default 0.05, 0 to 1.
    pub budget: f64,
    /// The most second attempts that may be saved up, and so follow one another at once.
    /// Default 100, 1 to 1 000 000.
    pub burst: u32,
    /// A second attempt starts after this time, whatever was measured. Default none:
    /// [`quantile`](Self::quantile) counts. 100 us to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub delay: Option<Duration>,
    /// A second attempt starts when this share of the reads before it had their answers, as
    /// measured over the last few thousand to within a quarter; none before a hundred
    /// were measured. Waiting for a connection counts. Default 0.95, 0.5 to 0.9999.
    pub quantile: f64,
    /// The least such time, so that fast reads are not sent twice for nothing. Default
    /// 2 ms, 100 us to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub min_delay: Duration,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            budget: 0.05,
            burst: 100,
            delay: None,
            quantile: 0.95,
            min_delay: Duration::from_millis(2),
        }
    }
}

impl HedgeConfig {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let delays = Duration::from_micros(100)..=Duration::from_secs(60);
        within("hedge.budget", self.budget, 0.0..=1.0)?;
        within("hedge.burst", self.burst, 1..=1_000_000)?;
        within("hedge.delay", self.delay.unwrap_or(*delays.start()), delays.clone())?;
        within("hedge.quantile", self.quantile, 0.5..=0.9999)?;
        within("hedge.min_delay", self.min_delay, delays)
    }
}
