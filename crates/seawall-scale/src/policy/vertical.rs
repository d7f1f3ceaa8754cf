use super::{PolicyError, number, positive};

/// Whether one instance is given the right amount of something.
///
/// ```toml
/// resource = "memory"
/// signal = "p95(instance_memory_bytes, 1d)"
/// given = 1073741824
/// ```
///
/// Advice only: it does not touch the number of instances.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Vertical {
    /// For the advice.
    pub resource: String,
    /// Signal: what one instance uses; best a high quantile over a day or more.
    pub signal: String,
    /// What one is given, in the signal's base unit. Above 0.
    pub given: f64,
    /// What to give for what is used. 1 to 10. Default: 1.15, the margin of
    /// the Kubernetes vertical autoscaler.
    #[cfg_attr(feature = "serde", serde(default = "margin"))]
    pub headroom: f64,
    /// Speaks up when the right amount is further than this share from what is
    /// given. 0 to below 1. Default: 0.3.
    #[cfg_attr(feature = "serde", serde(default = "third"))]
    pub tolerance: f64,
}

impl Vertical {
    /// Advice on `resource`.
    #[must_use]
    pub fn new(resource: impl Into<String>, signal: impl Into<String>, given: f64) -> Self {
        let (resource, signal) = (resource.into(), signal.into());
        Self { resource, signal, given, headroom: margin(), tolerance: third() }
    }

    /// The right amount for a use, if it differs enough. More at once when the
    /// use is above what is given.
    pub(crate) fn advised(&self, used: f64) -> Option<f64> {
        let right = used * self.headroom;
        let ratio = right / self.given;
        let off = used > self.given || ratio > 1.0 + self.tolerance || ratio < 1.0 - self.tolerance;
        (off && right.is_finite() && right > 0.0).then_some(right)
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.resource.is_empty() {
            return Err(PolicyError::EmptyName);
        }
        if self.signal.is_empty() {
            return Err(PolicyError::EmptySignal);
        }
        positive("given", self.given)?;
        let fits = (1.0..=10.0).contains(&self.headroom);
        number("headroom", self.headroom, fits, "1 to 10")?;
        let fits = (0.0..1.0).contains(&self.tolerance);
        number("tolerance", self.tolerance, fits, "0 to below 1")
    }
}

fn margin() -> f64 {
    1.15
}

fn third() -> f64 {
    0.3
}
