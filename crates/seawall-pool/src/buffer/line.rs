//! Who waits, and whose turn it is. Knows no clock and no servers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// A line of `W`, whom to tell. One at a time has the turn, until it has a connection or has
/// given up: so they go in the order in which they came.
pub(super) struct Line<W> {
    /// When writes first met no primary, until there is one again.
    since: Option<Instant>,
    waiters: BTreeMap<u64, W>,
    next: u64,
    turn: bool,
    closed: bool,
}

/// What one who has no primary is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Go: there is a primary.
    Go,
    /// Wait, under this number, until then.
    Wait {
        number: u64,
        until: Instant,
    },
    Full {
        waiting: usize,
    },
    /// The outage has lasted too long.
    Late,
    Closed,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self { since: None, waiters: BTreeMap::new(), next: 0, turn: false, closed: false }
    }
}

impl<W> Line<W> {
    /// One comes, or with a `number` is back. `open`: there is a primary.
    pub(super) fn enter(
        &mut self,
        number: Option<u64>,
        open: bool,
        now: Instant,
        (most, wait): (usize, Duration),
        waiter: impl FnOnce() -> W,
    ) -> Entry {
        if self.closed {
            return Entry::Closed;
        }
        let full = self.waiters.len() >= most;
        // With a primary there, nobody is refused for those in front of it.
        if open && ((self.waiters.is_empty() && !self.turn) || full) {
            return Entry::Go;
        }
        let since = *self.since.get_or_insert(now);
        let until = if open { now + wait } else { since + wait };
        if now >= until {
            return Entry::Late;
        }
        if full && number.is_none() {
            return Entry::Full { waiting: self.waiters.len() };
        }
        let number = number.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.waiters.insert(number, waiter());
        Entry::Wait { number, until }
    }

    /// The next to go, who then has the turn. `open`: there is a primary.
    pub(super) fn pop(&mut self, open: bool) -> Option<(u64, W)> {
        if !open || self.turn {
            return None;
        }
        let first = self.waiters.pop_first();
        self.turn = first.is_some();
        if first.is_none() {
            self.since = None;
        }
        first
    }

    /// Whoever had the turn has it no more.
    pub(super) fn turn_over(&mut self) {
        self.turn = false;
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.waiters.remove(&number);
    }

    /// Nobody waits any more; returns those who did.
    pub(super) fn close(&mut self) -> BTreeMap<u64, W> {
        self.closed = true;
        std::mem::take(&mut self.waiters)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Whether somebody is in front of those who come now.
    pub(super) fn is_busy(&self) -> bool {
        self.turn || !self.waiters.is_empty()
    }
}

#[cfg(test)]
mod tests;
