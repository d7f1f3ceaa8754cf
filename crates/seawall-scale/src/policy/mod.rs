//! What the operator wants: bounds, targets, rules, and how cautious to be.

mod bands;
mod burst;
mod cost;
mod dependency;
mod error;
mod fleet;
mod forecast;
mod ping_pong;
mod queue;
mod rates;
mod rule;
mod scalability;
mod signals;
mod step;
mod target;
mod validate;
mod vertical;
mod zero;

use std::time::Duration;

pub use bands::{Band, Bands, Change};
pub use burst::Burst;
pub use cost::{Budget, Kind};
pub use dependency::{Busy, Dependency};
pub use error::PolicyError;
pub use fleet::Fleet;
pub use forecast::{Forecast, Outlook, Skill};
pub use ping_pong::PingPong;
pub use queue::Queue;
pub use rates::{Churn, Rate, Rates, Select};
pub use rule::{Rule, RuleAction};
pub(crate) use scalability::MOST_SIZES;
pub use scalability::Scalability;
pub use step::{Step, StepLimit};
pub use target::{Goal, Target};
pub(crate) use target::{NOISE, ceil};
#[cfg(feature = "schedules")]
pub(crate) use validate::{DAY, duration};
#[cfg(not(feature = "schedules"))]
use validate::{DAY, duration};
use validate::{HOUR, SECOND, finite, number, positive};
pub use vertical::Vertical;
pub use zero::{Activation, Zero};

/// How one group of instances is sized.
///
/// Every field has a default; check with [`validate`](Self::validate). In
/// configuration files durations are whole seconds (`300`) or text (`"5m"`).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Policy {
    /// Name of the group, 1 to 100 bytes. Default: `default`.
    pub group: String,
    /// Fewest instances. 0 allows scaling to zero. Default: 1.
    pub min: u32,
    /// Most instances, at least 1 and at least `min`. Default: 10.
    pub max: u32,
    /// Quantities to hold at a level. Each always has an opinion; the largest
    /// wish wins. Default: none.
    pub targets: Vec<Target>,
    /// Thresholds that add or remove a step. Default: none.
    pub rules: Vec<Rule>,
    /// Actions by the band that a signal lies in. Default: none.
    pub bands: Vec<Bands>,
    /// Queues to keep short. Default: none.
    pub queues: Vec<Queue>,
    /// Loads that may burst. Default: none.
    pub bursts: Vec<Burst>,
    /// What is foreseen. Default: none.
    pub forecasts: Vec<Forecast>,
    /// Windows by the clock. Need the time of day:
    /// [`State::set_clock`](crate::State::set_clock). Default: none.
    #[cfg(feature = "schedules")]
    pub schedules: Vec<crate::schedule::Schedule>,
    /// What all instances share. Default: none.
    pub dependencies: Vec<Dependency>,
    /// Where more instances get less done. Default: not looked for.
    pub scalability: Option<Scalability>,
    /// Advice on the size of one instance. Default: none.
    pub vertical: Vec<Vertical>,
    /// When to have no instance at all. Default: as the targets say.
    pub zero: Option<Zero>,
    /// How many instances a mean does not speak for. Default: none.
    pub fleet: Fleet,
    /// Kinds of instances to choose from. Default: none, all are alike.
    pub kinds: Vec<Kind>,
    /// Most of the capacity that kinds of spot may make up, 0 to 1. Default:
    /// 0.5.
    pub max_spot: f64,
    /// Kinds that take longer to start are not chosen if others do. Up to 1
    /// day. Default: none, any will do.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::optional_duration"))]
    pub ready_within: Option<Duration>,
    /// In how many zones the kinds must lie at least, or in as many as there are.
    /// 1 to 10. Default: 1.
    pub spread: u32,
    /// Most that the group may cost. Default: no limit.
    pub budget: Option<Budget>,
    /// How long an instance takes to be ready, until enough starts were
    /// [told](crate::State::started): schedules raise their minimum so much
    /// ahead. Up to 1 day. Default: 0 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub start_delay: Duration,
    /// How long added instances count as not yet working: until then what is
    /// measured is still the work of those before them, so wishes start from
    /// that size, and only a wish beyond the present size adds more. The same
    /// load is not answered twice, yet a growing one is answered. Rules may
    /// override it. Default: 300 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub cooldown_up: Duration,
    /// Least time between two scale-downs; it never blocks a scale-up, and a
    /// scale-up ends it. Rules may override it. Default: 600 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub cooldown_down: Duration,
    /// Up only to the smallest wish of this window. Default: 0 s, at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub window_up: Duration,
    /// Down only to the largest wish of this window (the HPA's stabilisation
    /// window). Default: 300 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub window_down: Duration,
    /// A target within this share of its level asks for nothing, both ends
    /// included. 0 to below 1. Default: 0.1.
    pub tolerance: f64,
    /// In place of `tolerance` below a level. Default: the same.
    pub tolerance_down: Option<f64>,
    /// An older sample counts as missing. 1 s to 1 day. Default: 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub max_signal_age: Duration,
    /// Most instances one decision adds. Default: no limit but `max`.
    pub limit_up: Option<StepLimit>,
    /// Most instances one decision removes, so that one wrong signal cannot
    /// take the fleet. Default: half of them, and at least 1.
    pub limit_down: Option<StepLimit>,
    /// How fast it may grow. Default: no limit but `limit_up`.
    pub rates_up: Rates,
    /// How fast it may shrink. Default: no limit but `limit_down`.
    pub rates_down: Rates,
    /// How often it may change before it stops shrinking. Default: no limit.
    pub churn: Option<Churn>,
    /// How often to decide when nothing is due sooner. 100 ms to 1 h.
    /// Default: 15 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub evaluate_every: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            group: "default".to_owned(),
            min: 1,
            max: 10,
            targets: Vec::new(),
            rules: Vec::new(),
            bands: Vec::new(),
            queues: Vec::new(),
            bursts: Vec::new(),
            forecasts: Vec::new(),
            #[cfg(feature = "schedules")]
            schedules: Vec::new(),
            dependencies: Vec::new(),
            scalability: None,
            vertical: Vec::new(),
            zero: None,
            fleet: Fleet::default(),
            kinds: Vec::new(),
            max_spot: 0.5,
            spread: 1,
            ready_within: None,
            budget: None,
            start_delay: Duration::ZERO,
            cooldown_up: Duration::from_secs(300),
            cooldown_down: Duration::from_secs(600),
            window_up: Duration::ZERO,
            window_down: Duration::from_secs(300),
            tolerance: 0.1,
            tolerance_down: None,
            max_signal_age: Duration::from_secs(60),
            limit_up: None,
            limit_down: Some(StepLimit { instances: 1, percent: 50.0 }),
            rates_up: Rates::default(),
            rates_down: Rates::default(),
            churn: None,
            evaluate_every: Duration::from_secs(15),
        }
    }
}

impl Policy {
    /// `instances` within the bounds. Total even if they contradict: `max`
    /// wins.
    #[must_use]
    pub fn within_bounds(&self, instances: u32) -> u32 {
        instances.max(self.min).min(self.max)
    }
}

#[cfg(test)]
mod tests;
