//! When series were made.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Hands out the times at which series are made, in milliseconds since 1970:
/// scrapers keep no finer ones.
///
/// They are told to scrapers and compared with nothing but each other. They
/// never fall, whatever the wall clock does: a series that comes back has a
/// later one than it had before.
#[derive(Default)]
pub(super) struct Births(AtomicU64);

impl Births {
    /// For a series that is made now. Reads the wall clock.
    pub(super) fn now(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "told to scrapers, measures nothing")]
        let now = SystemTime::now();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn at(&self, now: u64) -> u64 {
        self.0.fetch_max(now, Relaxed).max(now)
    }

    /// Whatever is made from here on is made later than all before: to be called
    /// before series are removed.
    pub(super) fn part(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// As a time of the wall clock; `None` if it is not known.
pub(crate) fn born_at(millis: u64) -> Option<SystemTime> {
    if millis == 0 { None } else { UNIX_EPOCH.checked_add(Duration::from_millis(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_no_series_older_than_those_before_it() {
        let births = Births::default();
        assert_eq!(births.at(5_000), 5_000);
        assert_eq!(births.at(5_000), 5_000);
        assert_eq!(births.at(1_000), 5_000);
        births.part();
        assert_eq!(births.at(1_000), 5_001);
        assert_eq!(births.at(9_000), 9_000);
    }
}
