use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{PolicyError, Step, finite};

/// Step scaling: which band a signal lies in says what to do.
///
/// ```toml
/// signal = "queue_depth"
/// bands = [
///     { to = 100, change = "-1" },
///     { from = 100, to = 1000, change = "0" },
///     { from = 1000, change = "+50%" },
/// ]
/// ```
///
/// Bands are in the signal's base unit, in ascending order and without gaps or
/// overlaps. A value outside all of them has no opinion.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Bands {
    /// Canonical name of the signal.
    pub signal: String,
    /// At least one.
    pub bands: Vec<Band>,
    /// In place of the policy's `cooldown_up` or `cooldown_down`. Default: the
    /// policy's.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::optional_duration"))]
    pub cooldown: Option<Duration>,
}

/// What to do while the signal is at least `from` and less than `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Band {
    /// Least value, inclusive. Default: no lower end.
    #[cfg_attr(feature = "serde", serde(default))]
    pub from: Option<f64>,
    /// Most value, exclusive. Default: no upper end.
    #[cfg_attr(feature = "serde", serde(default))]
    pub to: Option<f64>,
    /// What to do.
    pub change: Change,
}

/// A change of size, written `+2`, `+50%`, `-1`, `-20%`, `=10` or `0`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
#[non_exhaustive]
pub enum Change {
    /// More, counted without the instances that are still in their cooldown.
    Add(Step),
    /// Fewer.
    Remove(Step),
    /// Exactly so many.
    Exactly(u32),
    /// As many as now, which also keeps others from shrinking the group.
    Stay,
}

impl Bands {
    /// The band that `value` lies in.
    #[must_use]
    pub fn find(&self, value: f64) -> Option<&Band> {
        self.bands.iter().find(|band| band.holds(value))
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.signal.is_empty() {
            return Err(PolicyError::EmptySignal);
        }
        if self.bands.is_empty() {
            return Err(PolicyError::NoBands);
        }
        for (index, band) in self.bands.iter().enumerate() {
            for (field, end) in [("bands.from", band.from), ("bands.to", band.to)] {
                finite(field, end.unwrap_or_default())?;
            }
            let from = band.from.unwrap_or(f64::NEG_INFINITY);
            if from >= band.to.unwrap_or(f64::INFINITY) {
                return Err(PolicyError::EmptyBand { index });
            }
            let next = self.bands.get(index + 1);
            if let Some(next) = next
                && (band.to.is_none() || band.to != next.from)
            {
                return Err(PolicyError::BandsDoNotMeet { index });
            }
            if let Change::Add(step) | Change::Remove(step) = band.change {
                step.validate("change")?;
            }
        }
        Ok(())
    }
}

impl Band {
    pub(super) fn holds(&self, value: f64) -> bool {
        self.from.is_none_or(|from| value >= from) && self.to.is_none_or(|to| value < to)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(step) => write!(f, "+{step}"),
            Self::Remove(step) => write!(f, "-{step}"),
            Self::Exactly(size) => write!(f, "={size}"),
            Self::Stay => f.write_str("0"),
        }
    }
}

impl FromStr for Change {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let text = text.trim();
        let step = |rest: &str| rest.parse().map_err(|_| PolicyError::ChangeText);
        if let Some(rest) = text.strip_prefix('+') {
            step(rest).map(Self::Add)
        } else if let Some(rest) = text.strip_prefix('-') {
            step(rest).map(Self::Remove)
        } else if let Some(rest) = text.strip_prefix('=') {
            rest.trim().parse().map(Self::Exactly).map_err(|_| PolicyError::ChangeText)
        } else if text == "0" {
            Ok(Self::Stay)
        } else {
            Err(PolicyError::ChangeText)
        }
    }
}

impl From<Change> for String {
    fn from(change: Change) -> Self {
        change.to_string()
    }
}

impl TryFrom<String> for Change {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}
