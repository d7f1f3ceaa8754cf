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
    /// Gone once the slot was given back.
    overload: Option<Overload>,
    started: u64,
    recorded: bool,
}

impl Permit {
    pub(crate) fn new(overload: Overload, started: u64) -> Self {
        Self { overload: Some(overload), started, recorded: false }
    }

    /// Tells how it went, and gives the slot back.
    pub fn finish(mut self, outcome: Outcome) {
        if let Some(overload) = self.overload.take() {
            let now = overload.now();
            if !self.recorded {
                overload.core().record(now, self.started, outcome);
            }
            overload.core().leave(now, false);
        }
    }

    /// Tells how it went, and keeps the slot: for a response whose body is yet to be sent. The
    /// latency is the time until this, from when the slot was taken, which for one that waited is
    /// when it came free and not when its task was polled. Only the first outcome counts.
    pub fn record(&mut self, outcome: Outcome) {
        if let Some(overload) = self.overload.as_ref().filter(|_| !self.recorded) {
            self.recorded = true;
            overload.core().record(overload.now(), self.started, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(overload) = self.overload.take() {
            overload.core().leave(overload.now(), !self.recorded);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("recorded", &self.recorded).finish_non_exhaustive()
    }
}
