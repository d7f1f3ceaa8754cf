//! What the status of an HTTP answer means to an actuator.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::{ActuateError, Phase};

/// What was tried, for errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried<'a> {
    pub(super) phase: Phase,
    pub(super) action: &'static str,
    pub(super) object: &'a str,
}

impl Tried<'_> {
    /// The error of an answer that is no success. A conflict is the caller's to try again.
    pub(super) fn refused(self, status: u16, headers: &HeaderMap, said: &str) -> ActuateError {
        let Self { phase, action, object } = self;
        match status {
            401 | 403 => ActuateError::Forbidden { phase, status, action, object: object.into() },
            404 => ActuateError::NotFound { phase, object: object.into() },
            409 => ActuateError::Conflict { phase, attempts: 1 },
            408 | 429 | 500..=599 => {
                ActuateError::Busy { phase, status, retry_after: retry_after(headers) }
            }
            _ => ActuateError::Rejected { phase, status, source: Some(Box::new(Said::new(said))) },
        }
    }

    pub(super) fn unreachable(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ActuateError {
        ActuateError::Unreachable { phase: self.phase, source: source.into() }
    }

    pub(super) fn senseless(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ActuateError {
        ActuateError::Answer { phase: self.phase, source: Some(source.into()) }
    }
}

/// The other side's own words, cut to a length that a log bears.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Said {
    text: Box<str>,
}

impl Said {
    fn new(text: &str) -> Self {
        Self { text: text.chars().filter(|it| !it.is_control()).take(300).collect() }
    }
}

/// In seconds; the form with a date is not read, for the two clocks may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
