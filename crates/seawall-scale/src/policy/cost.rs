use std::time::Duration;

use super::{PolicyError, duration, number, positive};

/// A kind of instance that the group can be made of.
///
/// ```toml
/// name = "large"
/// capacity = 20
/// cost = 1.7
/// start = "180s"
/// ```
///
/// With kinds the policy's sizes (`min`, `max`, wishes, the target) count units
/// of capacity.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Kind {
    /// For the answer.
    pub name: String,
    /// Units that one of it carries. 1 to 10 000.
    pub capacity: u32,
    /// What one costs an hour, in any currency. Above 0.
    pub cost: f64,
    /// How long one takes to be ready. Default: 0 s.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::duration"))]
    pub start: Duration,
    /// Whether it can be taken away at any time. Default: no.
    #[cfg_attr(feature = "serde", serde(default))]
    pub spot: bool,
    /// Most of it there may be. Default: no limit.
    #[cfg_attr(feature = "serde", serde(default))]
    pub most: Option<u32>,
    /// Where it runs, for [`Policy::spread`](crate::Policy::spread). Default:
    /// none, a zone of its own.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub zone: Option<String>,
}

/// Most that the group may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Budget {
    /// An hour. Above 0. The minimum goes before it.
    pub per_hour: f64,
    /// What one instance, or one unit of capacity, costs an hour. Above 0.
    /// Not needed with kinds: then the cheapest for a unit counts. Default: 1.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub each: f64,
}

impl Kind {
    /// A kind that is ready at once.
    #[must_use]
    pub fn new(name: impl Into<String>, capacity: u32, cost: f64) -> Self {
        let (name, start) = (name.into(), Duration::ZERO);
        Self { name, capacity, cost, start, spot: false, most: None, zone: None }
    }

    /// Sets how long one takes to be ready.
    #[must_use]
    pub fn start(mut self, start: Duration) -> Self {
        self.start = start;
        self
    }

    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if self.name.is_empty() || self.zone.as_ref().is_some_and(String::is_empty) {
            return Err(PolicyError::EmptyName);
        }
        let fits = (1..=10_000).contains(&self.capacity);
        number("capacity", f64::from(self.capacity), fits, "1 to 10000")?;
        positive("cost", self.cost)?;
        duration("start", self.start, Duration::ZERO, super::DAY)
    }
}

impl Budget {
    /// So much an hour, where one instance costs 1.
    #[must_use]
    pub fn new(per_hour: f64) -> Self {
        Self { per_hour, each: one() }
    }

    /// Most instances (units) for the money, where one costs `each`.
    pub(crate) fn most(self, each: f64) -> u32 {
        // As for a wish: 0.3 / 0.1 must pay for three.
        let most = self.per_hour / each;
        (most + most.abs().max(1.0) * super::NOISE).floor().max(0.0) as u32
    }

    pub(super) fn validate(self) -> Result<(), PolicyError> {
        positive("budget.per_hour", self.per_hour)?;
        positive("budget.each", self.each)
    }
}

fn one() -> f64 {
    1.0
}
