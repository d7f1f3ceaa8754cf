use std::fmt;
use std::time::Duration;

use crate::state::Memory;
use crate::{Mix, Reason};

/// What to do now, and why.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct Decision {
    /// How many instances there should be.
    pub target: u32,
    /// Whether that is more, fewer, or as many as now.
    pub action: Action,
    /// What asked for it, then what held it back.
    pub reasons: Vec<Reason>,
    /// The measurement behind a change. `None` on [`Action::Hold`], and when a
    /// rule holds only because signals are absent.
    pub trigger: Option<Trigger>,
    /// When to decide again at the latest: the policy's interval, or sooner if
    /// a cooldown, window or hold ends before.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub next_evaluation: Duration,
    /// Of which kinds the target is made, on a change of size, if the policy
    /// has kinds.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mix: Option<Mix>,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) memory: Memory,
}

impl Decision {
    /// The reasons as one line.
    #[must_use]
    pub fn explain(&self) -> String {
        let reasons: Vec<_> = self.reasons.iter().map(ToString::to_string).collect();
        reasons.join("; ")
    }

    /// The whole decision as a sentence, for a group that had `previous`
    /// instances: `auction scaled up from 3 to 4 instances: ...`.
    #[must_use]
    pub fn tell(&self, group: &str, previous: u32) -> String {
        let (target, why) = (self.target, self.explain());
        let s = if target == 1 { "" } else { "s" };
        match self.action {
            Action::Up => {
                format!("{group} scaled up from {previous} to {target} instance{s}: {why}.")
            }
            Action::Down => {
                format!("{group} scaled down from {previous} to {target} instance{s}: {why}.")
            }
            Action::Hold => format!("{group} stays at {target} instance{s}: {why}."),
        }
    }

    /// Whether it is the same in all that can be written down: all but what it
    /// leaves in the state.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        (self.target, self.action, self.next_evaluation)
            == (other.target, other.action, other.next_evaluation)
            && self.reasons == other.reasons
            && self.trigger == other.trigger
            && self.mix == other.mix
    }
}

/// The direction of a [`Decision`].
#[expect(clippy::exhaustive_enums, reason = "a size grows, shrinks or stays")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Action {
    /// More instances.
    Up,
    /// Fewer instances.
    Down,
    /// As many as now.
    Hold,
}

impl Action {
    /// As metrics and history name it: `scale_up`, `scale_down`, `hold`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "scale_up",
            Self::Down => "scale_down",
            Self::Hold => "hold",
        }
    }

    pub(crate) fn between(current: u32, target: u32) -> Self {
        match target.cmp(&current) {
            std::cmp::Ordering::Greater => Self::Up,
            std::cmp::Ordering::Less => Self::Down,
            std::cmp::Ordering::Equal => Self::Hold,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The measurement behind a change, for the history.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trigger {
    /// Canonical name of the signal; `max` or `min` when a bound was crossed.
    pub metric: String,
    /// What it was, in base units.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub value: f64,
    /// What it was compared with, in base units.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub threshold: f64,
}
