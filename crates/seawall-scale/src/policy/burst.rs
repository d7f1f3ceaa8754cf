use std::time::Duration;

use super::{PolicyError, duration, number, positive};

/// A calm window and a short one, as Knative's autoscaler has them.
///
/// ```toml
/// stable = "avg(concurrency, 1m)"
/// panic = "avg(concurrency, 6s)"
/// per_instance = 70
/// ```
///
/// Both signals are totals over all instances. Normally the size follows the
/// stable one. Once the short one asks for `threshold` times the instances
/// there are, starting ones included, the size follows the larger of the two
/// and never shrinks, until the short one has stayed below the threshold for
/// `calm`. Source: Knative serving, `pkg/autoscaler/scaling`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Burst {
    /// Signal: the total over the stable window.
    pub stable: String,
    /// Signal: the total over the panic window.
    pub panic: String,
    /// What one instance shall carry, in the signals' base unit. Above 0.
    pub per_instance: f64,
    /// From how many times the present size on it is a burst. Above 1, at most
    /// 10. Default: 2.
    #[cfg_attr(feature = "serde", serde(default = "twice"))]
    pub threshold: f64,
    /// How long it must be calm. 1 s to 1 h. Default: 60 s.
    #[cfg_attr(feature = "serde", serde(default = "minute", with = "crate::text::duration"))]
    pub calm: Duration,
    /// How often to look. 100 ms to 1 min. Default: 2 s.
    #[cfg_attr(feature = "serde", serde(default = "two", with = "crate::text::duration"))]
    pub every: Duration,
}

impl Burst {
    /// Knative's settings.
    #[must_use]
    pub fn new(stable: impl Into<String>, panic: impl Into<String>, per_instance: f64) -> Self {
        Self {
            stable: stable.into(),
            panic: panic.into(),
            per_instance,
            threshold: twice(),
            calm: minute(),
            every: two(),
        }
    }

    pub(crate) fn wish(&self, total: f64) -> u32 {
        super::ceil(total / self.per_instance)
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.stable.is_empty() || self.panic.is_empty() {
            return Err(PolicyError::EmptySignal);
        }
        positive("per_instance", self.per_instance)?;
        let fits = self.threshold > 1.0 && self.threshold <= 10.0;
        number("threshold", self.threshold, fits, "above 1 and at most 10")?;
        duration("calm", self.calm, super::SECOND, super::HOUR)?;
        duration("every", self.every, super::SECOND / 10, 60 * super::SECOND)
    }
}

fn twice() -> f64 {
    2.0
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn two() -> Duration {
    Duration::from_secs(2)
}
