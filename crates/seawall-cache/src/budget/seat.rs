//! What a cache has to do with a budget.

use std::fmt;

use tokio::time::Instant;

use super::Budget;

/// A cache, as a budget sees it. All in bytes.
pub(crate) trait Member: Send + Sync {
    fn used(&self) -> u64;

    fn capacity(&self) -> u64;

    /// The largest capacity it can have.
    fn most(&self) -> u64;

    /// May take some milliseconds.
    fn set_capacity(&self, capacity: u64);

    /// Gives back what is above its capacity: some now. Returns whether there is more.
    fn settle(&self) -> bool;
}

/// A place in a budget, for as long as it is held.
pub(crate) struct Seat {
    budget: Budget,
    id: u64,
}

impl Seat {
    pub(super) fn new(budget: Budget, id: u64) -> Self {
        Self { budget, id }
    }

    /// To be called every second or so while the member is written to.
    pub(crate) fn tick(&self, now: Instant) {
        self.budget.tick(now);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.budget.leave(self.id);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("budget", &self.budget).finish_non_exhaustive()
    }
}
