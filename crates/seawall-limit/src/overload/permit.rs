//! The right to run one request.

use std::fmt;

use super::engine::Outcome;
use super::handle::Overload;

/// A slot, given back when dropped, whether the work ended, failed, panicked or was cancelled.
///
/// A permit that is dropped without an outcome counts as work that was given up: it is no
/// latency, and while nothing else gets done, it is a sign of overload.
#[must_use = "dropping it gives the slot back"]
pub struct Permit {
    overload: Overload,
    started: u64,
    recorded: bool,
}

impl Permit {
    pub(crate) fn new(overload: Overload, started: u64) -> Self {
        Self { overload, started, recorded: false }
    }

    /// Tells how it went, and gives the slot back.
    pub fn finish(mut self, outcome: Outcome) {
        self.record(outcome);
    }

    /// Tells how it went, and keeps the slot: for a response whose body is yet to be sent. The
    /// latency is the time until this. Only the first outcome counts.
    pub fn record(&mut self, outcome: Outcome) {
        if !self.recorded {
            self.recorded = true;
            self.overload.core().record(self.overload.now(), self.started, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.overload.core().leave(self.overload.now(), !self.recorded);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("recorded", &self.recorded).finish_non_exhaustive()
    }
}
