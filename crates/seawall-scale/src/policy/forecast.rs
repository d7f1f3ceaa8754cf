use super::{PolicyError, finite, positive};

/// A number that somebody foresees: a load at some quantile, or a number of
/// instances.
///
/// ```toml
/// signal = "forecast(requests, p95)"
/// per_instance = 70
/// skill = { signal = "skill(requests)", at_least = 0.1 }
/// ```
///
/// The forecaster publishes it as a signal like any other, so that a log of
/// decisions holds all that a decision was made of. Unless `may_shrink` is set
/// it only raises: alone it never makes the group smaller.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Forecast {
    /// Signal: what is foreseen for when instances started now are ready.
    pub signal: String,
    /// What one instance can carry of it; above 0. Default: none, the signal
    /// is a number of instances already.
    #[cfg_attr(feature = "serde", serde(default))]
    pub per_instance: Option<f64>,
    /// Whether it is an opinion on the whole size, such as a
    /// [`Planner`](crate::capacity::Planner)'s, and not only a floor. Default:
    /// no.
    #[cfg_attr(feature = "serde", serde(default))]
    pub may_shrink: bool,
    /// Leaves it out while it is no better than a naive one. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub skill: Option<Skill>,
    /// Leaves it out while it is missing, in place of not shrinking. Default:
    /// no.
    #[cfg_attr(feature = "serde", serde(default))]
    pub ignore_missing: bool,
    /// What else the forecaster publishes, to be told with the reason. Default:
    /// none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub outlook: Option<Outlook>,
}

/// Signals about a forecast. They change no decision: what is missing of them is
/// not told.
///
/// ```toml
/// horizon = "horizon(requests)"
/// low = "forecast(requests, p5)"
/// high = "forecast(requests, p95)"
/// error = "error(requests)"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Outlook {
    /// Signal: how far ahead, in seconds. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub horizon: Option<String>,
    /// Signal: the lower end of the interval. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub low: Option<String>,
    /// Signal: the upper end. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub high: Option<String>,
    /// Signal: how far off the forecast has been so far, as a share. Default:
    /// none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub error: Option<String>,
    /// Signal: how often so far more came than `high`, as a share. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub missed: Option<String>,
}

impl Outlook {
    /// What a [`PlanFeed`](crate::PlanFeed) publishes beside its plan: `signal` with `_horizon`,
    /// `_low`, `_high` and `_missed` after it.
    #[must_use]
    pub fn of(signal: &str) -> Self {
        let beside = |what: &str| Some(format!("{signal}_{what}"));
        Self {
            horizon: beside("horizon"),
            low: beside("low"),
            high: beside("high"),
            error: None,
            missed: beside("missed"),
        }
    }

    pub(crate) fn signals(&self) -> impl Iterator<Item = &String> {
        [&self.horizon, &self.low, &self.high, &self.error, &self.missed].into_iter().flatten()
    }
}

/// How good a forecast must be to count.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Skill {
    /// Signal: 1 less the forecast's loss as a share of a naive forecast's; 0
    /// is no better, 1 is perfect.
    pub signal: String,
    /// Least skill.
    pub at_least: f64,
}

impl Forecast {
    /// A floor of load, of which one instance carries `per_instance`.
    #[must_use]
    pub fn of_load(signal: impl Into<String>, per_instance: f64) -> Self {
        Self { per_instance: Some(per_instance), ..Self::of_instances(signal) }
    }

    /// A floor of instances.
    #[must_use]
    pub fn of_instances(signal: impl Into<String>) -> Self {
        Self {
            signal: signal.into(),
            per_instance: None,
            may_shrink: false,
            skill: None,
            ignore_missing: false,
            outlook: None,
        }
    }

    /// An opinion on the whole size, in instances, with the outlook of [`Outlook::of`].
    #[must_use]
    pub fn plan(signal: impl Into<String>) -> Self {
        let signal = signal.into();
        let outlook = Some(Outlook::of(&signal));
        Self { may_shrink: true, outlook, ..Self::of_instances(signal) }
    }

    pub(crate) fn wish(&self, value: f64) -> u32 {
        super::ceil(value / self.per_instance.unwrap_or(1.0))
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        let skill = self.skill.as_ref();
        let mut outlook = self.outlook.iter().flat_map(Outlook::signals);
        if outlook.any(String::is_empty) {
            return Err(PolicyError::EmptySignal);
        }
        if self.signal.is_empty() || skill.is_some_and(|skill| skill.signal.is_empty()) {
            return Err(PolicyError::EmptySignal);
        }
        positive("per_instance", self.per_instance.unwrap_or(1.0))?;
        finite("skill.at_least", skill.map_or(0.0, |skill| skill.at_least))
    }
}
