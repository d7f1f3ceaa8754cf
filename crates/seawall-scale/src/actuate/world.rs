use std::fmt;

/// What a world said about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Observed {
    /// The size that the world was last asked for, by anybody. `None` for a world that keeps no
    /// such number: there [`running`](Self::running) is compared with the wish.
    pub desired: Option<u32>,
    /// Instances that exist, also those that are starting; without those that are leaving.
    pub running: u32,
    /// Instances that serve.
    pub ready: u32,
    /// What an operator should know.
    pub warning: Option<Warning>,
}

impl Observed {
    /// A world that keeps no wish of its own, and where whatever runs also serves.
    #[must_use]
    pub fn counted(running: u32) -> Self {
        Self { desired: None, running, ready: running, warning: None }
    }

    /// The size that is compared with the wish.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.desired.unwrap_or(self.running)
    }
}

/// Something in the world that works against scaling it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Warning {
    /// Another autoscaler owns the size. As long as it does, nothing is written.
    OtherAutoscaler {
        /// Its kind, such as `HorizontalPodAutoscaler`.
        kind: &'static str,
        /// Its name.
        name: Box<str>,
    },
    /// Whether another autoscaler owns the size could not be found out: the right to look is
    /// missing. Writing goes on.
    RivalsUnknown,
}

impl Warning {
    /// Whether writing would be a fight.
    #[must_use]
    pub fn forbids_writing(&self) -> bool {
        matches!(self, Self::OtherAutoscaler { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherAutoscaler { kind, name } => write!(
                f,
                "the {kind} {name} scales the same workload: nothing is written while it does"
            ),
            Self::RivalsUnknown => f.write_str(
                "whether another autoscaler scales the same workload is not known: no right to list them",
            ),
        }
    }
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The world had been asked for that size already; nothing was written.
    Unchanged,
    /// The world has taken the wish.
    Accepted {
        /// The size it had been asked for before.
        from: u32,
    },
    /// The world took a part of it: a bound, a quota, a task that could not be started.
    Partial {
        /// The size that it took.
        granted: u32,
    },
    /// Nothing was written, for another autoscaler owns the size.
    Yielded,
    /// Nothing was written, for another engine leads.
    NotLeading,
    /// Nothing was written, for this is a dry run.
    Recorded,
}

impl Outcome {
    /// The value of the label `outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Accepted { .. } => "accepted",
            Self::Partial { .. } => "partial",
            Self::Yielded => "yielded",
            Self::NotLeading => "not_leading",
            Self::Recorded => "recorded",
        }
    }
}
