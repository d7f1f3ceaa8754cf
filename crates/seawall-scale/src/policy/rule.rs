use std::time::Duration;

use seawall_signal::{Condition, ParseError};

use super::Step;

/// A threshold and what to do about it.
///
/// ```toml
/// condition = "cpu_usage > 80"
/// action = "scale_up"
/// cooldown = 300
/// ```
///
/// Of the rules that hold, those of the highest priority in each direction
/// speak; of these the largest wish wins, and a tie keeps the first. A rule that
/// does not hold has no opinion. Priority never lets a down win over an up.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Rule {
    /// When. `for` and `clear` are honoured.
    pub condition: Condition,
    /// In which direction.
    pub action: RuleAction,
    /// By how much. Default: one instance.
    #[cfg_attr(feature = "serde", serde(default))]
    pub by: Step,
    /// In place of the policy's `cooldown_up` or `cooldown_down`. Default: the
    /// policy's.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::optional_duration"))]
    pub cooldown: Option<Duration>,
    /// Higher speaks first. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub priority: i32,
    /// With [`RuleAction::Advise`]: what to do about it. Default: none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub advice: Option<String>,
}

impl Rule {
    /// A rule that moves by one instance.
    #[must_use]
    pub fn new(condition: Condition, action: RuleAction) -> Self {
        Self { condition, action, by: Step::default(), cooldown: None, priority: 0, advice: None }
    }

    /// Adds instances while `condition` holds.
    ///
    /// # Errors
    /// The condition does not parse.
    pub fn scale_up(condition: &str) -> Result<Self, ParseError> {
        Ok(Self::new(condition.parse()?, RuleAction::ScaleUp))
    }

    /// Removes instances while `condition` holds.
    ///
    /// # Errors
    /// The condition does not parse.
    pub fn scale_down(condition: &str) -> Result<Self, ParseError> {
        Ok(Self::new(condition.parse()?, RuleAction::ScaleDown))
    }

    /// Says `advice` while `condition` holds, and changes nothing.
    ///
    /// # Errors
    /// The condition does not parse.
    pub fn advise(condition: &str, advice: impl Into<String>) -> Result<Self, ParseError> {
        let rule = Self::new(condition.parse()?, RuleAction::Advise);
        Ok(Self { advice: Some(advice.into()), ..rule })
    }

    /// Sets the step.
    #[must_use]
    pub fn by(mut self, by: Step) -> Self {
        self.by = by;
        self
    }

    /// Sets the cooldown.
    #[must_use]
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = Some(cooldown);
        self
    }
}

/// The direction of a [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RuleAction {
    /// Add instances.
    ScaleUp,
    /// Remove instances.
    ScaleDown,
    /// Change nothing, say what would help.
    Advise,
}
