use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Why a world could not be seen or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActuateError {
    /// No answer in time. While applying, the world may have taken the wish.
    #[error("{phase}: no answer within {after:?}")]
    Timeout {
        /// When.
        phase: Phase,
        /// The time given.
        after: Duration,
    },
    /// The world could not be reached, or went away. While applying, it may have taken the wish.
    #[error("{phase}: the other side cannot be reached")]
    Unreachable {
        /// When.
        phase: Phase,
        /// What the connection said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Somebody else changed the world at the same time, each time it was tried.
    #[error("{phase}: changed by somebody else at the same time, {attempts} times in a row")]
    Conflict {
        /// When.
        phase: Phase,
        /// How often it was tried with a fresh look.
        attempts: u32,
    },
    /// The other side is overloaded and asks for patience.
    #[error("{phase}: the other side is overloaded (status {status})")]
    Busy {
        /// When.
        phase: Phase,
        /// The status of its answer.
        status: u16,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The right to do it is missing. Waiting does not cure it.
    #[error("{phase}: not allowed to {action} {object} (status {status})")]
    Forbidden {
        /// When.
        phase: Phase,
        /// The status of the answer.
        status: u16,
        /// What was tried, as the other side names it: `patch`.
        action: &'static str,
        /// On what.
        object: Box<str>,
    },
    /// What is to be scaled does not exist.
    #[error("{phase}: {object} does not exist")]
    NotFound {
        /// When.
        phase: Phase,
        /// What was looked for.
        object: Box<str>,
    },
    /// It exists, but has no size that could be set.
    #[error("{phase}: {object} has no number of instances")]
    NotScalable {
        /// When.
        phase: Phase,
        /// What it is.
        object: Box<str>,
    },
    /// The other side refuses this size, or this kind of object.
    #[error("{phase}: refused (status {status})")]
    Rejected {
        /// When.
        phase: Phase,
        /// The status of its answer.
        status: u16,
        /// What it said.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The answer cannot be understood. While applying, the world may have taken the wish.
    #[error("{phase}: the answer cannot be understood")]
    Answer {
        /// When.
        phase: Phase,
        /// What is wrong with it.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The actuator was shut down.
    #[error("{phase}: shut down")]
    ShutDown {
        /// When.
        phase: Phase,
    },
}

impl ActuateError {
    /// When it happened.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Timeout { phase, .. }
            | Self::Unreachable { phase, .. }
            | Self::Conflict { phase, .. }
            | Self::Busy { phase, .. }
            | Self::Forbidden { phase, .. }
            | Self::NotFound { phase, .. }
            | Self::NotScalable { phase, .. }
            | Self::Rejected { phase, .. }
            | Self::Answer { phase, .. }
            | Self::ShutDown { phase } => *phase,
        }
    }

    /// Whether the same call may succeed later with nothing else changed. It is always safe to
    /// repeat: both calls of an [`Actuator`](super::Actuator) are idempotent.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Conflict { .. }
            | Self::Busy { .. }
            | Self::Answer { .. } => true,
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::NotScalable { .. }
            | Self::Rejected { .. }
            | Self::ShutDown { .. } => false,
        }
    }

    /// Whether the world may have taken the wish nevertheless. An answer of 500 and above is such
    /// a case: it may come from something on the way, after the wish went by.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.phase() == Phase::Apply
            && matches!(
                self,
                Self::Timeout { .. }
                    | Self::Unreachable { .. }
                    | Self::Answer { .. }
                    | Self::Busy { status: 500.., .. }
            )
    }

    /// How long the other side asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The value of the label `outcome`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::Conflict { .. } => "conflict",
            Self::Busy { .. } => "busy",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::NotScalable { .. } => "not_scalable",
            Self::Rejected { .. } => "rejected",
            Self::Answer { .. } => "answer",
            Self::ShutDown { .. } => "shut_down",
        }
    }
}

/// Which of an actuator's two calls.
#[expect(clippy::exhaustive_enums, reason = "an actuator has two calls")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Looking.
    Observe,
    /// Writing.
    Apply,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observing",
            Self::Apply => "applying",
        })
    }
}
