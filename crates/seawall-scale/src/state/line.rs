use std::time::Duration;

use tokio::time::Instant;

/// What is remembered of the line before something that instances share: the
/// least that waited lately, and whether growth is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Line {
    /// When the present window began.
    pub(super) since: Option<Instant>,
    /// The least of the present window.
    pub(super) least: f64,
    /// The least of the one before it.
    pub(super) before: Option<f64>,
    /// From where it grew, while growth is refused.
    pub(crate) refused: Option<f64>,
}

impl Line {
    /// After another look: whether what waits has grown within the last one to
    /// two windows, and while it has not come back to where it began.
    pub(crate) fn next(self, busy: bool, waiting: f64, window: Duration, now: Instant) -> Self {
        let mut line = self.turned(waiting, window, now);
        let floor = line.before.map_or(line.least, |before| before.min(line.least));
        let grown = |from: f64| waiting > from + from.abs() * NOISE && waiting > 0.0;
        line.refused = match line.refused {
            _ if !busy => None,
            Some(from) => grown(from).then_some(from),
            None => grown(floor).then_some(floor),
        };
        line
    }

    /// With the windows as they are now.
    fn turned(self, waiting: f64, window: Duration, now: Instant) -> Self {
        let fresh = Self { since: Some(now), least: waiting, before: None, refused: self.refused };
        let Some(since) = self.since else { return fresh };
        let age = now.saturating_duration_since(since);
        if age < window {
            Self { least: self.least.min(waiting), ..self }
        } else if age < window.saturating_mul(2) {
            Self { before: Some(self.least), ..fresh }
        } else {
            // An older one says nothing of lately.
            fresh
        }
    }
}

/// What waits moves by itself by so much.
const NOISE: f64 = 0.1;
