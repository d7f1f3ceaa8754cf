/// A signal to hold at a level.
///
/// ```toml
/// signal = "cpu_usage"
/// goal = { utilisation = 0.7 }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Target {
    /// Canonical name of the signal.
    pub signal: String,
    /// What the signal measures, and the level wanted.
    pub goal: Goal,
}

/// A level in the signal's base unit, finite and above 0.
///
/// The three are the Kubernetes HPA's target types `Utilization`,
/// `AverageValue` and `Value`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Goal {
    /// The signal is the mean use per instance as a ratio; hold it here (0.7 is
    /// 70 %; at most 10). Wish: `ceil(current * use / level)`.
    Utilisation(f64),
    /// The signal is the total over all instances; hold each one's share here.
    /// Wish: `ceil(total / level)`. Works from zero instances.
    PerInstance(f64),
    /// The signal is one number that falls as instances are added; hold it
    /// here. Wish: `ceil(current * value / level)`.
    Total(f64),
}

impl Target {
    /// Holds the mean use per instance at `level` (0.7 is 70 %).
    #[must_use]
    pub fn utilisation(signal: impl Into<String>, level: f64) -> Self {
        Self { signal: signal.into(), goal: Goal::Utilisation(level) }
    }

    /// Holds each instance's share of a total at `level`.
    #[must_use]
    pub fn per_instance(signal: impl Into<String>, level: f64) -> Self {
        Self { signal: signal.into(), goal: Goal::PerInstance(level) }
    }

    /// Holds a value that falls as instances are added at `level`.
    #[must_use]
    pub fn total(signal: impl Into<String>, level: f64) -> Self {
        Self { signal: signal.into(), goal: Goal::Total(level) }
    }
}

impl Goal {
    /// The level wanted, in the signal's base unit.
    #[must_use]
    pub fn level(self) -> f64 {
        match self {
            Self::Utilisation(level) | Self::PerInstance(level) | Self::Total(level) => level,
        }
    }

    /// What is compared with the level if `current` instances gave `value` and
    /// `instances` carried the same load.
    pub(crate) fn measured(self, value: f64, current: u32, instances: u32) -> f64 {
        match self {
            // Nobody measures the use of no instances.
            Self::Utilisation(_) if instances == 0 => 0.0,
            Self::Utilisation(_) => value * f64::from(current) / f64::from(instances),
            Self::PerInstance(_) => value / f64::from(instances.max(1)),
            Self::Total(_) => value,
        }
    }

    /// Instances that would bring the value to the level. Saturates.
    pub(crate) fn wish(self, value: f64, current: u32) -> u32 {
        let needed = match self {
            Self::Utilisation(level) | Self::Total(level) => f64::from(current) * (value / level),
            Self::PerInstance(level) => value / level,
        };
        ceil(needed)
    }
}

/// `needed` instances, rounded up; saturates. 7 instances at exactly their
/// level must not need an eighth because 0.7 is not exact in binary.
pub(crate) fn ceil(needed: f64) -> u32 {
    if needed == f64::INFINITY {
        // Less its noise it would be no number, and that would be 0.
        return u32::MAX;
    }
    (needed - needed.abs().max(1.0) * NOISE).ceil().max(0.0) as u32
}

/// Relative error that float arithmetic may have added.
pub(crate) const NOISE: f64 = 1e-9;
