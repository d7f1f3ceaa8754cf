use std::time::Duration;

use super::{PolicyError, duration, number};

/// How fast one direction may go: the HPA's `scaleUp` and `scaleDown` policies.
///
/// ```toml
/// select = "max"
/// policies = [{ instances = 4, period = "60s" }, { percent = 100, period = "15s" }]
/// ```
///
/// Each counts from the size at the start of its period: now, less what was
/// added and plus what was removed within it. A change counts while it is
/// strictly younger than the period. A limit never turns a growth into a
/// shrinkage.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Rates {
    /// Which of them binds. Default: `max`.
    pub select: Select,
    /// None: no limit.
    pub policies: Vec<Rate>,
}

/// Which rate binds when there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Select {
    /// The one that allows the larger change.
    #[default]
    Max,
    /// The one that allows the smaller change.
    Min,
    /// None: the direction is closed.
    Disabled,
}

/// So much in a period: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Rate {
    /// A number of instances. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub instances: u32,
    /// A share of the size at the start of the period, in per cent. What it
    /// leaves is rounded up on the way up and down on the way down, as the HPA
    /// does; from no instances it allows one. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub percent: f64,
    /// 1 s to 1 h.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub period: Duration,
}

/// Most changes within a time: past it the group still grows, and shrinks no
/// more.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Churn {
    /// Changes of size in either direction. At least 1, at most 200.
    pub changes: u32,
    /// Within this time. 1 min to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub within: Duration,
}

impl Rate {
    /// `count` instances in a period.
    #[must_use]
    pub fn instances(count: u32, period: Duration) -> Self {
        Self { instances: count, percent: 0.0, period }
    }

    /// A share of the instances in a period, in per cent.
    #[must_use]
    pub fn percent(percent: f64, period: Duration) -> Self {
        Self { instances: 0, percent, period }
    }

    /// Most instances, from `start` at the start of the period.
    pub(crate) fn highest(self, start: u32) -> u32 {
        let share = super::step::share(start, self.percent).ceil() as u32;
        let least = super::step::least(self.percent);
        start.saturating_add(self.instances.max(share).max(least))
    }

    /// Least instances, from `start` at the start of the period.
    pub(crate) fn lowest(self, start: u32) -> u32 {
        let kept = super::step::share(start, (100.0 - self.percent).max(0.0)).floor() as u32;
        // Both tell how few may be left; the HPA truncates what remains.
        start.saturating_sub(self.instances).min(if self.percent > 0.0 { kept } else { start })
    }
}

impl Rates {
    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        for rate in &self.policies {
            let valid = rate.percent.is_finite() && rate.percent >= 0.0;
            let moves = rate.instances > 0 || rate.percent > 0.0;
            let bound = "finite and not negative, and above 0 if instances is 0";
            number("policies.percent", rate.percent, valid && moves, bound)?;
            duration("policies.period", rate.period, super::SECOND, super::HOUR)?;
        }
        Ok(())
    }
}

impl Churn {
    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        let fits = (1..=200).contains(&self.changes);
        number("churn.changes", f64::from(self.changes), fits, "1 to 200")?;
        duration("churn.within", self.within, 60 * super::SECOND, super::DAY)
    }
}
