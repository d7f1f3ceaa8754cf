//! Why a remote did not do what it was asked.

use std::error::Error as StdError;
use std::time::Duration;

/// Why the remote store did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No answer within the deadline. A write may or may not have taken effect.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The deadline.
        after: Duration,
    },
    /// There is no connection, or it broke.
    #[error("no connection")]
    Disconnected(#[source] Box<dyn StdError + Send + Sync>),
    /// The store answered with an error.
    #[error("the store refused")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// The breaker is open after repeated failures; the store was not asked.
    #[error("the breaker is open")]
    BreakerOpen,
    /// A removal that the store has not acknowledged yet stands in the way of reading this key.
    #[error("a removal of this key is still to be acknowledged")]
    RemovalPending,
}

impl RemoteError {
    /// The word used in metric labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::Disconnected(_) => "disconnected",
            Self::Refused(_) => "refused",
            Self::BreakerOpen => "breaker_open",
            Self::RemovalPending => "removal_pending",
        }
    }

    /// Whether it says that the store is out of reach, rather than displeased with one command.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Disconnected(_))
    }

    /// The same for another caller of a call that was shared.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::TimedOut { after } => Self::TimedOut { after: *after },
            Self::Disconnected(error) => Self::Disconnected(error.to_string().into()),
            Self::Refused(error) => Self::Refused(error.to_string().into()),
            Self::BreakerOpen => Self::BreakerOpen,
            Self::RemovalPending => Self::RemovalPending,
        }
    }
}
