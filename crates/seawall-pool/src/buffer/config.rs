//! How many writes wait for a primary, and for how long.

use std::time::Duration;

use crate::config::within;
use crate::error::Error;

/// The writes that wait while there is no primary to send them to, which is what a promotion looks
/// like: each goes to the new primary in its turn.
///
/// Only what was not sent waits: whoever met a primary that refuses connections or is in recovery. A
/// write that may have reached the server is never kept and never sent again.
///
/// The time is that of an outage, not of a call: who comes later waits for what is left of it, and
/// once it is over writes fail at once as they do without a buffer, until a primary is there again. So
/// a primary that stays away does not slow every caller down. In effect where
/// [`failover`](crate::PoolConfig::failover) is on and there are replicas: elsewhere there is no
/// new primary to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct BufferConfig {
    /// The most writes that wait. One more is refused with
    /// [`Error::BufferFull`]. Default 1 000, 0 to 1 000 000; with 0 none
    /// waits.
    pub max_writes: usize,
    /// How long from the first write of an outage on. At most what is left of the call's
    /// [`acquire_timeout`](crate::PoolConfig::acquire_timeout). A write that after this time stands
    /// behind others at a primary that is there waits on for a connection, as all do. Default
    /// 10 s, at most an hour.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_wait: Duration,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { max_writes: 1_000, max_wait: Duration::from_secs(10) }
    }
}

impl BufferConfig {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        within("buffer.max_writes", self.max_writes, 0..=1_000_000)?;
        let hour = Duration::from_secs(60 * 60);
        within("buffer.max_wait", self.max_wait, Duration::ZERO..=hour)
    }

    pub(crate) fn is_off(&self) -> bool {
        self.max_writes == 0 || self.max_wait.is_zero()
    }
}
