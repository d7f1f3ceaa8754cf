//! The wall clock, where the outside counts by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, for dates in header fields, which are in the sender's time.
#[expect(
    clippy::disallowed_methods,
    reason = "dates in fields, and tokens that outlive a process, are in wall-clock time; nothing is ordered by it"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970; a clock set before that reads 0.
pub(crate) fn seconds() -> u64 {
    now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
