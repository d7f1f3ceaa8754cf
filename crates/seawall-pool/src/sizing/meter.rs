//! Measuring load without a look at the clock on the request path.
//!
//! Two numbers are counted where a lock is held anyway: callers, and connections lent. How many
//! connections are in use is looked at many times a window, at times that have nothing to do with the
//! callers; its mean is an unbiased estimate of the number in use. By Little's law (1961) that is the
//! rate at which connections are lent times how long they are out, so how long they are out follows.

use std::time::Duration;

use tokio::time::Instant;

/// The load of one node over a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// The window.
    pub span: Duration,
    /// Callers a second, also those that were refused or gave up.
    pub arrivals: f64,
    /// Connections lent a second.
    pub served: f64,
    /// Connections in use, on average.
    pub in_use: f64,
    /// Callers waiting, on average.
    pub waiting: f64,
    /// How long a connection is out, on average: by Little's law. `None` if none was lent.
    pub service_time: Option<Duration>,
    /// How long those who were served had waited, on average, those who did not wait included.
    pub wait_time: Duration,
    /// Share of the connections that may be open which were in use, 0 to 1.
    pub utilisation: f64,
}

impl Load {
    /// Connections that would be busy on average if there were enough: the offered load of queueing theory, in
    /// erlangs. Callers that wait count as connections that are missing.
    #[must_use]
    pub fn offered(&self) -> f64 {
        let service = self.service_time.map_or(0.0, |time| time.as_secs_f64());
        (self.arrivals * service).max(self.in_use) + self.waiting
    }
}

/// What a node has counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) asked: u64,
    pub(crate) lent: u64,
    /// Time that those who were served had waited.
    pub(crate) waited: Duration,
}

/// One look at a node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) counted: Counted,
    pub(crate) in_use: usize,
    pub(crate) waiting: usize,
    pub(crate) size: usize,
}

pub(crate) struct Meter {
    window: Duration,
    began: Instant,
    at_first: Counted,
    looks: u32,
    in_use: usize,
    waiting: usize,
}

impl Meter {
    pub(crate) fn new(window: Duration, now: Instant) -> Self {
        let at_first = Counted::default();
        Self { window, began: now, at_first, looks: 0, in_use: 0, waiting: 0 }
    }

    /// Takes a look in; gives the load when a window is over.
    pub(crate) fn look(&mut self, look: Look, now: Instant) -> Option<Load> {
        self.looks += 1;
        self.in_use += look.in_use;
        self.waiting += look.waiting;
        let span = now.saturating_duration_since(self.began);
        if span < self.window {
            return None;
        }
        let load = self.load(look, span);
        *self = Self { at_first: look.counted, ..Self::new(self.window, now) };
        Some(load)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    fn load(&self, look: Look, span: Duration) -> Load {
        let Counted { asked, lent, waited } = look.counted;
        let seconds = span.as_secs_f64();
        let lent = lent.saturating_sub(self.at_first.lent);
        let asked = asked.saturating_sub(self.at_first.asked);
        let waited = waited.saturating_sub(self.at_first.waited);
        let (in_use, waiting) = (
            self.in_use as f64 / f64::from(self.looks),
            self.waiting as f64 / f64::from(self.looks),
        );
        let served = lent as f64 / seconds;
        Load {
            span,
            arrivals: asked as f64 / seconds,
            served,
            in_use,
            waiting,
            service_time: (lent > 0).then(|| Duration::from_secs_f64(in_use / served)),
            wait_time: waited
                .checked_div(u32::try_from(lent).unwrap_or(u32::MAX))
                .unwrap_or_default(),
            utilisation: (in_use / look.size.max(1) as f64).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests;
