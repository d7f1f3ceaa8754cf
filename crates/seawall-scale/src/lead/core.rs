//! Whether one may believe to lead, without IO or clock.

use std::time::Duration;

use tokio::time::Instant;

/// What one believes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Belief {
    term: Option<(u64, Instant)>,
}

impl Belief {
    /// The store answered a question that was asked at `asked_at`. The lease began after that, so
    /// who counts from there ends before the store does; the fifth is for clocks that do not run
    /// alike.
    pub(super) fn answered(term: Option<u64>, asked_at: Instant, ttl: Duration) -> Self {
        Self { term: term.map(|term| (term, asked_at + ttl / 5 * 4)) }
    }

    pub(super) fn leads(self, now: Instant) -> Option<u64> {
        self.term.filter(|(_, until)| now < *until).map(|(term, _)| term)
    }

    pub(super) fn until(self) -> Option<Instant> {
        self.term.map(|(_, until)| until)
    }
}
