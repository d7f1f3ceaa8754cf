use std::fmt;
use std::str::FromStr;

use super::PolicyError;

/// By how much a rule moves: written `2` or `"50%"`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Text", try_from = "Text"))]
#[non_exhaustive]
pub enum Step {
    /// A number of instances, at least 1.
    Instances(u32),
    /// A share of the current instances, above 0 per cent: up rounds up, down
    /// rounds down, and either moves by at least 1.
    Percent(f64),
}

impl Default for Step {
    fn default() -> Self {
        Self::Instances(1)
    }
}

impl Step {
    pub(crate) fn above(self, current: u32) -> u32 {
        current.saturating_add(match self {
            Self::Instances(count) => count,
            Self::Percent(percent) => share(current, percent).ceil().max(1.0) as u32,
        })
    }

    pub(super) fn validate(self, field: &'static str) -> Result<(), PolicyError> {
        let (value, fits, bound) = match self {
            Self::Instances(count) => (f64::from(count), count > 0, "at least 1"),
            Self::Percent(percent) => {
                (percent, percent > 0.0 && percent <= 1000.0, "above 0 and at most 1000 per cent")
            }
        };
        super::number(field, value, fits, bound)
    }

    pub(crate) fn below(self, current: u32) -> u32 {
        current.saturating_sub(match self {
            Self::Instances(count) => count,
            Self::Percent(percent) => share(current, percent).floor().max(1.0) as u32,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Step {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let text = text.trim();
        match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Instances),
        }
        .ok_or(PolicyError::StepText)
    }
}

/// How far one decision may go: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct StepLimit {
    /// A number of instances.
    pub instances: u32,
    /// A share of the current instances in per cent, finite and not negative.
    /// Up rounds up, down rounds down, and above 0 either moves by at least 1.
    pub percent: f64,
}

impl StepLimit {
    pub(crate) fn highest(self, current: u32) -> u32 {
        let share = share(current, self.percent).ceil() as u32;
        current.saturating_add(self.instances.max(share).max(least(self.percent)))
    }

    pub(crate) fn lowest(self, current: u32) -> u32 {
        let share = share(current, self.percent).floor() as u32;
        current.saturating_sub(self.instances.max(share).max(least(self.percent)))
    }
}

/// What a share allows at least: one of no instances, or a tenth of five, would
/// close the direction for good.
pub(super) fn least(percent: f64) -> u32 {
    u32::from(percent > 0.0)
}

/// `percent` of `current`, free of the noise that would turn 20 % of 15 into a
/// little more than 3. NaN and negative shares count as none.
pub(super) fn share(current: u32, percent: f64) -> f64 {
    let share = f64::from(current) * percent.max(0.0) / 100.0;
    let near = share.round();
    if (share - near).abs() < 1e-6 { near } else { share }
}

/// The two ways to write a step in a file.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Text {
    Instances(u32),
    Text(String),
}

#[cfg(feature = "serde")]
impl From<Step> for Text {
    fn from(step: Step) -> Self {
        match step {
            Step::Instances(count) => Self::Instances(count),
            Step::Percent(_) => Self::Text(step.to_string()),
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Text> for Step {
    type Error = PolicyError;

    fn try_from(text: Text) -> Result<Self, PolicyError> {
        match text {
            Text::Instances(count) => Ok(Self::Instances(count)),
            Text::Text(text) => text.parse(),
        }
    }
}
