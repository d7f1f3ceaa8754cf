use std::time::Duration;

use super::Moment;

/// A change of size that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from their history")]
pub struct ScaleEvent {
    /// By how many replicas, up or down.
    pub change: i32,
    /// When.
    pub at: Moment,
}

/// What `events` younger than `period` changed in all. One as old as the period is not counted.
#[must_use]
pub fn change_in_period(events: &[ScaleEvent], period: Duration, now: Moment) -> i32 {
    let recent = events.iter().filter(|event| event.at.saturating_add(period) > now);
    recent.map(|event| event.change).fold(0, i32::saturating_add)
}
