use std::error::Error as StdError;
use std::time::Duration;

/// Why a source could not be read. Reading changes nothing, so trying again is always safe; a
/// [`Poller`](super::Poller) does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No answer in time.
    #[error("no answer within {after:?}")]
    Timeout {
        /// The time given.
        after: Duration,
    },
    /// It could not be reached, or went away.
    #[error("the source cannot be reached")]
    Unreachable {
        /// What the connection said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It refused the question.
    #[error("the source refused (status {status})")]
    Refused {
        /// The status of its answer.
        status: u16,
    },
    /// It failed the question.
    #[error("the source could not answer")]
    Failed {
        /// What it said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer cannot be understood.
    #[error("the answer cannot be understood")]
    Answer {
        /// What is wrong with it.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The answer holds no number.
    #[error("{signal} has no value there")]
    Empty {
        /// The signal.
        signal: Box<str>,
    },
    /// One number is wanted, and the answer holds more.
    #[error("{signal} has {found} values there, not one")]
    Ambiguous {
        /// The signal.
        signal: Box<str>,
        /// How many.
        found: usize,
    },
    /// What stands there is no finite number.
    #[error("{signal} is no finite number there")]
    NotANumber {
        /// The signal.
        signal: Box<str>,
    },
}

impl SourceError {
    /// Whether asking again may help with nothing else changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Failed { .. }
            | Self::Empty { .. }
            | Self::NotANumber { .. } => true,
            Self::Refused { status } => matches!(status, 408 | 429 | 500..=599),
            Self::Answer { .. } | Self::Ambiguous { .. } => false,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Answer { .. } => "answer",
            Self::Empty { .. } => "empty",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NotANumber { .. } => "not_a_number",
        }
    }
}
