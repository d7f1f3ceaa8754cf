//! Why there is no way to Redis.

use std::error::Error as StdError;
use std::time::Duration;

/// Why Redis could not be connected to. Commands fail with fred's own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of bounds. Nothing was connected to.
    #[error("{field} is {value}, must be {bound}")]
    OutOfBounds {
        /// The field.
        field: &'static str,
        /// Its value, as text.
        value: Box<str>,
        /// What the value must be.
        bound: &'static str,
    },
    /// The URL could not be read. It is not repeated: it may hold a password.
    #[error("the Redis URL is not valid")]
    Url(#[source] Box<dyn StdError + Send + Sync>),
    /// Redis did not answer within the connect timeout.
    #[error("connecting to Redis took longer than {after:?}")]
    Timeout {
        /// The timeout that passed.
        after: Duration,
    },
    /// Redis refused the connection, or does not know its masters.
    #[error("connecting to Redis failed")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Whether the same call may succeed later without a change of settings.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Connect(_))
    }
}
