//! Errors: of building and connecting, of reads without a loader, and of loads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::remote::RemoteError;

/// What can go wrong outside a load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value is out of bounds. Nothing was built.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The Redis URL could not be read. The URL itself is not repeated: it may hold a password.
    #[error("the Redis URL is not valid")]
    Url(#[source] Box<dyn StdError + Send + Sync>),
    /// Redis did not answer within the connect timeout.
    #[error("connecting to Redis took longer than {after:?}")]
    ConnectTimeout {
        /// The timeout that passed.
        after: Duration,
    },
    /// Redis refused the connection.
    #[error("connecting to Redis failed")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// L1 has no entry and L2 could not be asked.
    #[error("the remote store could not be read")]
    Remote(#[from] RemoteError),
}

impl Error {
    /// Whether the same call may succeed later without a change of configuration.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Config(_) | Self::Url(_) => false,
            Self::ConnectTimeout { .. } | Self::Connect(_) | Self::Remote(_) => true,
        }
    }
}

/// A configuration value out of bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value, as text.
    pub value: Box<str>,
    /// What the value must be.
    pub bound: &'static str,
}

impl ConfigError {
    pub(crate) fn check(
        holds: bool,
        field: &'static str,
        value: &dyn fmt::Debug,
        bound: &'static str,
    ) -> Result<(), Self> {
        if holds {
            return Ok(());
        }
        Err(Self { field, value: format!("{value:?}").into(), bound })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, must be {}", self.field, self.value, self.bound)
    }
}

impl StdError for ConfigError {}

/// Why a load brought no value. Every caller that waited for the load gets it; it is not cached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E: StdError + Send + Sync + 'static> {
    /// The loader failed.
    #[error("the loader failed")]
    Failed(#[source] Arc<E>),
    /// The loader of another caller, with another error type, failed; this call had joined it.
    #[error("the loader of another caller failed")]
    Joined(#[source] Arc<dyn StdError + Send + Sync>),
    /// The loader panicked.
    #[error("the loader panicked")]
    Panicked,
    /// The loader took longer than the cache's load timeout, and was dropped.
    #[error("the loader took longer than {after:?}")]
    TimedOut {
        /// The timeout that passed.
        after: Duration,
    },
    /// The loader said that the previous value still holds ([`Loaded::not_modified`]), but had been
    /// given none ([`Load::previous`]).
    ///
    /// [`Loaded::not_modified`]: crate::Loaded::not_modified
    /// [`Load::previous`]: crate::Load::previous
    #[error("the loader kept a previous value that there was not")]
    NothingToKeep,
    /// The load's task ended without an answer: the runtime is shutting down, or the value's own
    /// code (its `Serialize`, its `Drop`) panicked.
    #[error("the load was aborted")]
    Aborted,
}

impl<E: StdError + Send + Sync + 'static> LoadError<E> {
    /// The loader's own error, if it failed with one of this type.
    #[must_use]
    pub fn loader_error(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether calling again runs a new load that may succeed. Loads only read, so that is always
    /// safe; it is pointless after a panic, a loader that keeps what is not there, or at shutdown.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Panicked | Self::NothingToKeep | Self::Aborted)
    }
}
