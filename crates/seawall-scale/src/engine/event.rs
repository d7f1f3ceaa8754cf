use std::time::Duration;

use tokio::time::Instant;

use crate::{Action, Reason, Trigger};

/// A change of size, as the history table `auto_scaling_events` keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was decided.
    pub at: Instant,
    /// The same since 1970, if the engine was told the time of day.
    pub unix: Option<Duration>,
    /// The policy's group.
    pub group: String,
    /// Up or down.
    pub action: Action,
    /// Instances before.
    pub previous: u32,
    /// Instances after.
    pub new: u32,
    /// The measurement behind it: metric, value, threshold.
    pub trigger: Option<Trigger>,
    /// The whole explanation.
    pub reasons: Vec<Reason>,
}

/// An [`Event`] as a row of the history table `auto_scaling_events`: its columns
/// by name, without `id`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[expect(clippy::exhaustive_structs, reason = "the columns of a table")]
pub struct EventRow {
    /// `varchar(100)`.
    pub scaling_group: String,
    /// `varchar(20)`: `scale_up` or `scale_down`.
    pub scaling_action: &'static str,
    /// `integer`; larger sizes become the largest.
    pub previous_capacity: i32,
    /// `integer`; larger sizes become the largest.
    pub new_capacity: i32,
    /// `varchar(50)`: the signal's name, cut to so many characters; `manual`
    /// without a measurement.
    pub trigger_metric: String,
    /// `decimal(10,2)`: in base units, rounded, and cut to what the column
    /// holds; 0 without a measurement.
    pub trigger_value: f64,
    /// `decimal(10,2)`, likewise.
    pub threshold_value: f64,
    /// `timestamptz`: since 1970, if the time of day is known; else the
    /// database shall set it.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::optional_duration"))]
    pub timestamp: Option<Duration>,
}

/// Takes changes of size as they are decided: a history, a chat, a test.
///
/// It is called from [`Engine::tick`](crate::Engine::tick), so it must return
/// soon: hand what takes time to a queue.
pub trait Sink: Send {
    /// A change of size was decided.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event) + Send> Sink for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

impl Event {
    /// The row of the history table.
    #[must_use]
    pub fn row(&self) -> EventRow {
        let capacity = |size: u32| i32::try_from(size).unwrap_or(i32::MAX);
        let (metric, value, threshold) = match &self.trigger {
            Some(trigger) => (&*trigger.metric, trigger.value, trigger.threshold),
            None => ("manual", 0.0, 0.0),
        };
        EventRow {
            scaling_group: self.group.chars().take(100).collect(),
            scaling_action: self.action.name(),
            previous_capacity: capacity(self.previous),
            new_capacity: capacity(self.new),
            trigger_metric: metric.chars().take(50).collect(),
            trigger_value: decimal(value),
            threshold_value: decimal(threshold),
            timestamp: self.unix,
        }
    }
}

/// As a `decimal(10,2)` holds it; what is not a number becomes 0.
fn decimal(value: f64) -> f64 {
    if value.is_nan() {
        return 0.0;
    }
    ((value.clamp(-MOST, MOST) * 100.0).round() / 100.0).clamp(-MOST, MOST)
}

const MOST: f64 = 99_999_999.99;
