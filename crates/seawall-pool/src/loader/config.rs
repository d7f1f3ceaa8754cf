//! What a loader is held to.

use std::time::Duration;

use crate::config::within;
use crate::error::Error;
use crate::loader::gather::Bounds;

/// The bounds of a [`Loader`](crate::Loader).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct LoaderConfig {
    /// The most keys of one query. Default 256, 1 to 10 000.
    pub max_batch: usize,
    /// The most callers that wait for a query to be sent. One more is refused at
    /// once with [`Error::LoaderFull`]. Default 10 000, 1 to 1 000 000.
    pub max_waiting: usize,
    /// While this many queries are under way, keys gather for the next. Default 2,
    /// so that a server works while answers are dealt out; 1 to 64.
    pub queries: usize,
    /// A query that takes longer does not hold back the next any more. Default
    /// 10 ms, at most 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_wait: Duration,
    /// The most queries under way at a time, slow ones included. Default 8,
    /// `queries` to 1 000.
    pub max_queries: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            max_batch: 256,
            max_waiting: 10_000,
            queries: 2,
            max_wait: Duration::from_millis(10),
            max_queries: 8,
        }
    }
}

impl LoaderConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        within("max_batch", self.max_batch, 1..=10_000)?;
        within("max_waiting", self.max_waiting, 1..=1_000_000)?;
        within("queries", self.queries, 1..=64)?;
        within("max_wait", self.max_wait, Duration::ZERO..=Duration::from_secs(60))?;
        within("max_queries", self.max_queries, self.queries..=1_000)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            batch: self.max_batch,
            waiting: self.max_waiting,
            prompt: self.queries,
            queries: self.max_queries,
        }
    }
}
