use std::time::Duration;

use super::{PolicyError, duration, positive};

/// Workers for a queue: enough for what arrives, and to work off what waits
/// within `drain`.
///
/// ```toml
/// backlog = "queue_depth"
/// arrivals = "rate(jobs_enqueued)"
/// per_worker = 100          # jobs a second
/// drain = "60s"
/// ```
///
/// Wish: `ceil((arrivals + backlog / drain) / per_worker)`. Unlike a ratio of
/// the depth, which grows for as long as the queue has not shrunk yet, it
/// converges. For a plain number of jobs for each worker use
/// [`Goal::PerInstance`](crate::Goal::PerInstance).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Queue {
    /// Signal: jobs that wait.
    pub backlog: String,
    /// Signal: jobs that arrive each second. Default: none, only the backlog
    /// counts.
    #[cfg_attr(feature = "serde", serde(default))]
    pub arrivals: Option<String>,
    /// Jobs that one worker finishes each second when always busy. Above 0.
    pub per_worker: f64,
    /// How soon the backlog shall be gone. 1 s to 1 day. Default: 60 s.
    #[cfg_attr(feature = "serde", serde(default = "minute", with = "crate::text::duration"))]
    pub drain: Duration,
}

impl Queue {
    /// A queue whose workers finish `per_worker` jobs a second each; drained
    /// within 60 s.
    #[must_use]
    pub fn new(backlog: impl Into<String>, per_worker: f64) -> Self {
        Self { backlog: backlog.into(), arrivals: None, per_worker, drain: minute() }
    }

    /// Sets the signal of the arrivals.
    #[must_use]
    pub fn arrivals(mut self, signal: impl Into<String>) -> Self {
        self.arrivals = Some(signal.into());
        self
    }

    pub(crate) fn wish(&self, backlog: f64, arrivals: f64) -> u32 {
        let waiting = backlog / self.drain.as_secs_f64().max(1e-3);
        super::ceil((arrivals + waiting) / self.per_worker)
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.backlog.is_empty() || self.arrivals.as_ref().is_some_and(String::is_empty) {
            return Err(PolicyError::EmptySignal);
        }
        positive("per_worker", self.per_worker)?;
        duration("drain", self.drain, super::SECOND, super::DAY)
    }
}

fn minute() -> Duration {
    Duration::from_secs(60)
}
