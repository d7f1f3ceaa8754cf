//! Time as nanoseconds since the balancer was made.

use std::time::Duration;

use tokio::time::Instant;

/// 584 years of them fit.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { epoch: now }
    }

    /// Never 0, which other places use for never; times before the balancer are its beginning.
    #[inline]
    pub(crate) fn nanos(self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch)).saturating_add(1)
    }

    /// The instant of a number that [`nanos`](Self::nanos) gave, or a time added to one.
    pub(crate) fn instant(self, nanos: u64) -> Instant {
        let since = Duration::from_nanos(nanos.saturating_sub(1));
        // Too far to be told is far.
        self.epoch.checked_add(since).unwrap_or_else(|| self.epoch + FAR)
    }
}

/// Of what tokio takes for far: thirty years.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
