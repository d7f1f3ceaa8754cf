//! What can go wrong between this node and Redis, outside of decisions.

use std::time::Duration;

use crate::error::Error;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a cluster-wide limiter could not be started, or an order not given.
///
/// Decisions never fail: see [`FailureMode`](crate::FailureMode).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The configuration or a policy is not valid.
    #[error(transparent)]
    Config(#[from] Error),
    /// The URL is not valid. The error does not show it, since it may hold a password.
    #[error("the URL of Redis is not valid")]
    Url(#[source] Cause),
    /// Redis did not answer in time. An order may have been carried out or not; giving it again
    /// is safe. A refund may have been made, and would be made twice.
    #[error("no answer from Redis within {after:?}")]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// Redis refused, or the connection ended. Giving an order again is safe, and a refund not.
    #[error("Redis did not do it")]
    Redis(#[source] Cause),
}

impl From<seawall_redis::Error> for ClusterError {
    fn from(error: seawall_redis::Error) -> Self {
        match error {
            seawall_redis::Error::Url(error) => Self::Url(error),
            seawall_redis::Error::Timeout { after } => Self::Timeout { after },
            other => Self::Redis(Box::new(other)),
        }
    }
}

impl ClusterError {
    /// Whether the same call may succeed later. It is then safe to repeat, unless it is a
    /// [refund](crate::ClusterLimiter::refund).
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Redis(_))
    }
}
