use std::time::Duration;

use super::{PolicyError, duration, finite};

/// When a group may sleep, and what wakes it. Needs `min = 0`.
///
/// ```toml
/// idle = "5m"
/// activate = [{ signal = "queue_depth" }, { signal = "rate(requests)", above = 0.1 }]
/// ```
///
/// Active is who has any of the signals strictly above its threshold. An active
/// group has at least one instance, at once, whatever its cooldowns; one that
/// is not, and was not within `idle`, has none. A signal that is missing keeps
/// a group awake, and does not wake one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Zero {
    /// How long it must have been inactive before it sleeps. Up to 1 day.
    /// Default: 5 min.
    #[cfg_attr(feature = "serde", serde(default = "five", with = "crate::text::duration"))]
    pub idle: Duration,
    /// At least one.
    pub activate: Vec<Activation>,
}

/// A signal that makes a group active.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Activation {
    /// Canonical name of the signal.
    pub signal: String,
    /// Active when strictly above, in base units. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub above: f64,
}

impl Zero {
    /// Awake while `signal` is above 0, and 5 minutes longer.
    #[must_use]
    pub fn on(signal: impl Into<String>) -> Self {
        Self { idle: five(), activate: vec![Activation { signal: signal.into(), above: 0.0 }] }
    }

    pub(super) fn validate(&self, min: u32) -> Result<(), PolicyError> {
        if min > 0 {
            return Err(PolicyError::ZeroNeedsMinZero { min });
        }
        if self.activate.is_empty() || self.activate.iter().any(|each| each.signal.is_empty()) {
            return Err(PolicyError::EmptySignal);
        }
        for each in &self.activate {
            finite("zero.activate.above", each.above)?;
        }
        duration("zero.idle", self.idle, Duration::ZERO, super::DAY)
    }
}

fn five() -> Duration {
    Duration::from_secs(300)
}
