use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Changes of size, oldest first; bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes(pub(super) VecDeque<Change>);

/// One change of size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) added: u32,
    pub(super) removed: u32,
}

impl Changes {
    pub(super) fn push(&mut self, at: Instant, from: u32, to: u32) {
        let (added, removed) = (to.saturating_sub(from), from.saturating_sub(to));
        self.0.push_back(Change { at, added, removed });
        // Past the cap the two oldest become one that counts longer.
        if self.0.len() > MAX_CHANGES
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.added = next.added.saturating_add(oldest.added);
            next.removed = next.removed.saturating_add(oldest.removed);
        }
    }

    /// The size at the start of the last `period`, by what changed since.
    pub(crate) fn start(&self, current: u32, now: Instant, period: Duration) -> u32 {
        let mut start = i64::from(current);
        for change in self.younger(now, period) {
            start = start - i64::from(change.added) + i64::from(change.removed);
        }
        u32::try_from(start.max(0)).unwrap_or(u32::MAX)
    }

    /// How many there were within `period`, and how long until there are fewer
    /// than `most` in it.
    pub(crate) fn within(&self, now: Instant, period: Duration, most: usize) -> (usize, Duration) {
        let count = self.younger(now, period).count();
        let last = self.younger(now, period).nth(count.saturating_sub(most));
        let age = last.map_or(period, |change| now.saturating_duration_since(change.at));
        (count, period.saturating_sub(age))
    }

    fn younger(&self, now: Instant, period: Duration) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| now.saturating_duration_since(change.at) < period)
    }
}

/// More than any [`Churn`](crate::Churn) counts.
pub(super) const MAX_CHANGES: usize = 256;
