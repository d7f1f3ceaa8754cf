use std::time::Duration;

use tokio::time::Instant;

/// An operator's order to leave the size alone, even one out of its bounds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Freeze {
    /// When it ends by itself. `None`: when it is lifted.
    pub until: Option<Instant>,
    /// Whether only shrinking is forbidden, as during a roll-out.
    pub only_down: bool,
    /// Who, or why: for reasons.
    pub by: String,
}

/// An operator's order to have a certain size, whatever is measured.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Pin {
    /// Instances. Cut to the policy's `min` and `max`, as schedules, what
    /// instances share, the budget and sleep have narrowed them.
    pub size: u32,
    /// When it ends by itself. `None`: when it is lifted.
    pub until: Option<Instant>,
    /// Who, or why: for reasons.
    pub by: String,
}

impl Freeze {
    /// How much longer, if it is still in force; `Some(None)` without an end.
    pub(crate) fn left(&self, now: Instant) -> Option<Option<Duration>> {
        left(self.until, now)
    }
}

impl Pin {
    /// How much longer, if it is still in force; `Some(None)` without an end.
    pub(crate) fn left(&self, now: Instant) -> Option<Option<Duration>> {
        left(self.until, now)
    }
}

fn left(until: Option<Instant>, now: Instant) -> Option<Option<Duration>> {
    match until {
        None => Some(None),
        Some(until) => Some(Some(until.checked_duration_since(now)?)).filter(|_| until > now),
    }
}

/// What time of day it is at some instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wall {
    pub(crate) at: Instant,
    /// Nanoseconds after 1970.
    pub(crate) unix: i64,
}

impl Wall {
    /// Nanoseconds after 1970 at `now`.
    pub(crate) fn unix(self, now: Instant) -> i64 {
        let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        match now.checked_duration_since(self.at) {
            Some(since) => self.unix.saturating_add(nanos(since)),
            None => self.unix.saturating_sub(nanos(self.at.saturating_duration_since(now))),
        }
    }
}
