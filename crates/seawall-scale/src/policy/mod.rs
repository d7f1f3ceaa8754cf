//! What the operator wants: bounds, targets, rules, and how cautious to be.

mod error;
mod rule;
mod step;
mod target;
mod validate;

use std::time::Duration;

use seawall_signal::{Lint, Units};

pub use error::PolicyError;
pub use rule::{Rule, RuleAction};
pub use step::{Step, StepLimit};
pub(crate) use target::NOISE;
pub use target::{Goal, Target};

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
    /// An older sample counts as missing. 1 s to 1 day. Default: 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub max_signal_age: Duration,
    /// Most instances one decision adds. Default: no limit but `max`.
    pub limit_up: Option<StepLimit>,
    /// Most instances one decision removes, so that one wrong signal cannot
    /// take the fleet. Default: half of them, and at least 1.
    pub limit_down: Option<StepLimit>,
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
            cooldown_up: Duration::from_secs(300),
            cooldown_down: Duration::from_secs(600),
            window_up: Duration::ZERO,
            window_down: Duration::from_secs(300),
            tolerance: 0.1,
            max_signal_age: Duration::from_secs(60),
            limit_up: None,
            limit_down: Some(StepLimit { instances: 1, percent: 50.0 }),
            evaluate_every: Duration::from_secs(15),
        }
    }
}

impl Policy {
    /// The names of all signals it reads, each once, sorted.
    #[must_use]
    pub fn signals(&self) -> Vec<&str> {
        let targets = self.targets.iter().map(|target| &*target.signal);
        let rules = self.rules.iter().flat_map(|rule| rule.condition.signals());
        let mut names: Vec<_> = targets.chain(rules).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What looks wrong when the signals have these units: unknown names, units
    /// that cannot match, bare numbers. For start-up checks.
    #[must_use]
    pub fn lint(&self, units: &Units) -> Vec<Lint> {
        let targets = self
            .targets
            .iter()
            .filter(|target| !units.contains_key(&target.signal))
            .map(|target| Lint::UnknownSignal { signal: target.signal.clone() });
        let rules = self.rules.iter().flat_map(|rule| rule.condition.lint(units));
        targets.chain(rules).collect()
    }

    /// `instances` within the bounds. Total even if they contradict: `max`
    /// wins.
    #[must_use]
    pub fn within_bounds(&self, instances: u32) -> u32 {
        instances.max(self.min).min(self.max)
    }
}

#[cfg(test)]
mod tests;
