use std::fmt;

use crate::Truth;

/// What an unknown answer counts as: `cpu_usage > 80% missing true`.
///
/// It applies to the answer of the whole condition, after Kleene's logic: an
/// unknown part that does not matter stays without effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MissingData {
    /// `missing unknown`: the caller is told. The default.
    #[default]
    Unknown,
    /// `missing true`: no news is bad news.
    True,
    /// `missing false`: no news is good news.
    False,
    /// `missing keep`: the answer stays what it was; see [`Hold`](crate::Hold).
    /// Without memory, unknown.
    Keep,
}

impl MissingData {
    /// The policy named so.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Unknown, Self::True, Self::False, Self::Keep]
            .into_iter()
            .find(|it| it.name() == name)
    }

    pub(super) fn settle(self, answer: Truth) -> Truth {
        match (answer, self) {
            (Truth::Unknown, Self::True) => Truth::True,
            (Truth::Unknown, Self::False) => Truth::False,
            _ => answer,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::True => "true",
            Self::False => "false",
            Self::Keep => "keep",
        }
    }
}

impl fmt::Display for MissingData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
