use std::error::Error as StdError;
use std::time::Duration;

/// Why the keeper of a lease could not be asked. Asking again is always safe; an
/// [`Elector`](super::Elector) does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// No answer in time.
    #[error("the store of the lease did not answer within {after:?}")]
    Timeout {
        /// The time given.
        after: Duration,
    },
    /// It could not be reached, or failed.
    #[error("the store of the lease failed")]
    Store {
        /// What it said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl LeaseError {
    /// Whether asking again is safe: always.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Store { .. } => true,
        }
    }
}
