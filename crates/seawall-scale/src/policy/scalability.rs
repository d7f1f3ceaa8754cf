use std::time::Duration;

use seawall_signal::Condition;

use super::{DAY, HOUR, PolicyError, SECOND, duration, number};

/// Learns where more instances get less done, and does not grow past it.
///
/// ```toml
/// [scalability]
/// throughput = "rate(requests)"
/// saturated = "p95(latency) > 500ms or queue_depth > 0"
/// ```
///
/// While `saturated` holds, what the group gets done is all it can do at its
/// size. From the medians of that at different sizes the Universal Scalability
/// Law is [fitted](crate::scalability). Once it has a peak that no single size
/// could have made up, the group does not grow past it by itself; a minimum
/// still goes before it. What was measured is forgotten in time, so that the
/// peak is tried again after the service has changed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Scalability {
    /// Signal: what the group gets done in all, in any unit.
    pub throughput: String,
    /// When it gets done all it can. `for` and `clear` are not looked at.
    pub saturated: Condition,
    /// How long it must have had its size before that counts. Up to 1 h.
    /// Default: 60 s.
    #[cfg_attr(feature = "serde", serde(default = "settle", with = "crate::text::duration"))]
    pub settle: Duration,
    /// At how many sizes it must have been measured. 5 to 32. Default: 5.
    #[cfg_attr(feature = "serde", serde(default = "sizes"))]
    pub sizes: u32,
    /// How long what was measured counts. 1 min to 30 days. Default: 1 day.
    #[cfg_attr(feature = "serde", serde(default = "keep", with = "crate::text::duration"))]
    pub keep: Duration,
}

impl Scalability {
    /// Learns from `throughput` while `saturated`.
    #[must_use]
    pub fn new(throughput: impl Into<String>, saturated: Condition) -> Self {
        let (settle, sizes, keep) = (settle(), sizes(), keep());
        Self { throughput: throughput.into(), saturated, settle, sizes, keep }
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.throughput.is_empty() {
            return Err(PolicyError::EmptySignal);
        }
        duration("scalability.settle", self.settle, Duration::ZERO, HOUR)?;
        duration("scalability.keep", self.keep, 60 * SECOND, 30 * DAY)?;
        let fits = (5..=MOST_SIZES).contains(&self.sizes);
        number("scalability.sizes", f64::from(self.sizes), fits, "5 to 32")
    }
}

/// Sizes that are kept apart.
pub(crate) const MOST_SIZES: u32 = 32;

fn settle() -> Duration {
    Duration::from_secs(60)
}

fn sizes() -> u32 {
    5
}

fn keep() -> Duration {
    DAY
}
