//! When a node counts as up: a state machine fed by the monitor's probes.

use std::time::Duration;

/// What one probe of a node showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It answered.
    Answered,
    /// It answered that it has no connection to spare: alive, but nothing new
    /// is known. Saturation is not failure.
    Full,
    /// Nothing came within the time limit.
    Silent,
    /// A connection that worked broke.
    Lost,
    /// It could not be reached, or said that it cannot serve.
    Refused,
}

/// Whether a node is in rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In rotation.
    Up,
    /// Out of rotation until the next probe; work in flight goes on.
    Suspect,
    /// Out of rotation; reads in flight are given up and run elsewhere.
    Down,
}

/// What to do after a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The new state, or `None` to leave it as it is.
    pub(crate) verdict: Option<Verdict>,
    /// How long to wait before the next probe.
    pub(crate) wait: Duration,
}

/// The memory of a node's monitor.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    interval: Duration,
    /// Probes in a row that were not answered.
    misses: u32,
}

impl Health {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, misses: 0 }
    }

    /// Takes in the result of a probe.
    pub(crate) fn step(&mut self, evidence: Evidence) -> Step {
        let (verdict, wait) = match evidence {
            Evidence::Answered => {
                self.misses = 0;
                (Some(Verdict::Up), self.interval)
            }
            Evidence::Full => (None, self.interval),
            Evidence::Lost | Evidence::Silent if self.misses == 0 => {
                self.misses = 1;
                (Some(Verdict::Suspect), Duration::ZERO)
            }
            Evidence::Silent | Evidence::Lost | Evidence::Refused => {
                self.misses = self.misses.saturating_add(1);
                (Some(Verdict::Down), self.back_off())
            }
        };
        Step { verdict, wait }
    }

    /// Doubles from 100 ms to one second, so that a dead node costs little and
    /// one that comes back is seen within about a second.
    fn back_off(&self) -> Duration {
        let doublings = self.misses.saturating_sub(1).min(4);
        (FIRST_BACK_OFF * 2u32.pow(doublings)).min(LONGEST_BACK_OFF)
    }
}

const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
