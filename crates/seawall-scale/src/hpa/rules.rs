//! How fast and how far one direction may go: the rules of `behavior`.

use std::borrow::Cow;
use std::time::Duration;

use super::{Moment, ScaleEvent, change_in_period};

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum Direction {
    /// More replicas.
    Up,
    /// Fewer.
    Down,
}

/// The rules of one direction as a manifest has them: what is left out has a default.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "autoscaling/v2 has these fields")]
pub struct Rules {
    /// The stabilisation window. Default: up none, down the controller's.
    pub window: Option<Duration>,
    /// Which policy counts. Default: the one that allows most.
    pub select: Option<Select>,
    /// Limits per period. Default, also if empty: up 4 pods or 100 % per 15 s, down 100 % per 15 s.
    pub policies: Vec<RatePolicy>,
    /// As a share of the target (KEP-4951). Default: the controller's.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "autoscaling/v2 has these")]
pub enum Select {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest.
    Min,
    /// None: the direction is off.
    Disabled,
}

/// A limit on change per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "autoscaling/v2 has these")]
pub enum RatePolicy {
    /// So many pods.
    Pods {
        /// How many.
        value: i32,
        /// In how long.
        period: Duration,
    },
    /// So many per cent of the size at the start of the period.
    Percent {
        /// How many.
        value: i32,
        /// In how long.
        period: Duration,
    },
}

/// Rules with nothing left out.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "as Rules")]
pub struct FilledRules<'a> {
    /// For which direction.
    pub direction: Direction,
    /// `None`: the controller's window.
    pub window: Option<Duration>,
    /// Which policy counts.
    pub select: Select,
    /// Limits per period.
    pub policies: Cow<'a, [RatePolicy]>,
}

impl Rules {
    /// Fills in the defaults of `direction`; of no rules, all of them.
    #[must_use]
    pub fn filled(rules: Option<&Self>, direction: Direction) -> FilledRules<'_> {
        let defaults: &[RatePolicy] = match direction {
            Direction::Up => &[
                RatePolicy::Pods { value: 4, period: DEFAULT_PERIOD },
                RatePolicy::Percent { value: 100, period: DEFAULT_PERIOD },
            ],
            Direction::Down => &[RatePolicy::Percent { value: 100, period: DEFAULT_PERIOD }],
        };
        let own = rules.map(|rules| &*rules.policies).filter(|own| !own.is_empty());
        let window = rules.and_then(|rules| rules.window);
        FilledRules {
            direction,
            window: match direction {
                Direction::Up => Some(window.unwrap_or_default()),
                Direction::Down => window,
            },
            select: rules.and_then(|rules| rules.select).unwrap_or(Select::Max),
            policies: Cow::Borrowed(own.unwrap_or(defaults)),
        }
    }
}

impl FilledRules<'_> {
    /// How far from `current` they let the group go. It may lie on the other side of `current`, if
    /// more was done in a period than they allow.
    #[must_use]
    pub fn limit(
        &self,
        current: i32,
        ups: &[ScaleEvent],
        downs: &[ScaleEvent],
        now: Moment,
    ) -> i32 {
        let limits = self.policies.iter().map(|policy| {
            let added = change_in_period(ups, policy.period(), now);
            let removed = change_in_period(downs, policy.period(), now);
            let at_start = current.saturating_sub(added).saturating_add(removed);
            policy.limit(self.direction, at_start)
        });
        match (self.select, self.direction) {
            (Select::Disabled, _) => current,
            (Select::Max, Direction::Up) | (Select::Min, Direction::Down) => {
                limits.max().unwrap_or(current)
            }
            (Select::Min, Direction::Up) | (Select::Max, Direction::Down) => {
                limits.min().unwrap_or(current)
            }
        }
    }

    /// The longest period of a policy: events older than that are forgotten.
    pub(super) fn longest_period(&self) -> Duration {
        self.policies.iter().map(|policy| policy.period()).max().unwrap_or_default()
    }
}

impl RatePolicy {
    fn period(self) -> Duration {
        match self {
            Self::Pods { period, .. } | Self::Percent { period, .. } => period,
        }
    }

    fn limit(self, direction: Direction, at_start: i32) -> i32 {
        match (self, direction) {
            (Self::Pods { value, .. }, Direction::Up) => at_start.saturating_add(value),
            (Self::Pods { value, .. }, Direction::Down) => at_start.saturating_sub(value),
            // Rounded up, or a few per cent of a small group would never let it grow.
            (Self::Percent { value, .. }, Direction::Up) => {
                cut((f64::from(at_start) * (1.0 + f64::from(value) / 100.0)).ceil())
            }
            (Self::Percent { value, .. }, Direction::Down) => {
                cut(f64::from(at_start) * (1.0 - f64::from(value) / 100.0))
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "towards zero, as the controller does")]
fn cut(value: f64) -> i32 {
    value as i32
}

const DEFAULT_PERIOD: Duration = Duration::from_secs(15);
