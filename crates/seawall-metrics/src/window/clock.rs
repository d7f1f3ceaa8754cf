//! The ticks all series share: which ticks a window covers, which are old
//! enough to fold, which to forget. Told the time, never asks for it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::MAX_WINDOW;

pub(crate) struct Clock {
    /// When the ticks `first..` ended. Never empty: tick 0 ended when the
    /// recorder was made.
    ends: VecDeque<Instant>,
    first: u64,
    latest: Instant,
}

/// One step of the clock, handed to each series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Number of the tick that ends now.
    pub(crate) index: u64,
    /// Slots of ticks below this one are in no window any more.
    pub(crate) oldest: u64,
    /// The ticks `.0..=.1` are to become one slot.
    pub(crate) fold: Option<(u64, u64)>,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { ends: VecDeque::from([now]), first: 0, latest: now }
    }

    /// True if a tick's worth of time has passed since the last one.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.latest) >= SHORTEST_TICK
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        self.ends.push_back(now);
        self.latest = now;
        let index = self.last();
        let oldest = self.from(MAX_WINDOW, now);
        // The end of the tick before the oldest is where the longest window starts.
        while self.first + 1 < oldest && self.ends.len() > 1 {
            self.ends.pop_front();
            self.first += 1;
        }
        let fold = index
            .checked_sub(KEPT_WHOLE)
            .filter(|last| *last > 0 && last.is_multiple_of(GROUP))
            .map(|last| (last + 1 - GROUP, last));
        Tick { index, oldest, fold }
    }

    /// The first tick that belongs to the window `over` ending at `now`.
    pub(crate) fn from(&self, over: Duration, now: Instant) -> u64 {
        let outside = self.ends.partition_point(|end| now.saturating_duration_since(*end) >= over);
        let tick = (self.first + outside as u64).max(1);
        // Folded slots come whole or not at all.
        let start = (tick - 1) / GROUP * GROUP + 1;
        let folded = start + GROUP - 1 + KEPT_WHOLE <= self.last();
        if folded { start } else { tick }
    }

    /// From the start of the tick `from` to `now`.
    pub(crate) fn span(&self, from: u64, now: Instant) -> Duration {
        let before = from.saturating_sub(1).max(self.first) - self.first;
        self.ends
            .get(before as usize)
            .or(self.ends.front())
            .map_or(Duration::ZERO, |start| now.saturating_duration_since(*start))
    }

    fn last(&self) -> u64 {
        self.first + (self.ends.len() as u64).saturating_sub(1)
    }
}

/// Ticks are a second apart; a timer that fires a little early still ticks.
const SHORTEST_TICK: Duration = Duration::from_millis(900);
/// Ticks folded into one slot.
const GROUP: u64 = 5;
/// Latest ticks that are never folded. More than fit in 10 s of shortest ticks.
const KEPT_WHOLE: u64 = 15;

#[cfg(test)]
mod tests;
