//! What a rule's policies count.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, StatusCode};

use crate::error::{Error, in_range};

/// What a rule's policies count.
///
/// All but [`Requests`](Self::Requests) are known with the response only. Such a
/// request is let in if one unit is left, which is not charged, and settled then
/// ([`Limiter::admit`](crate::Limiter::admit)): requests under way do not count,
/// and as many as are under way at once may overrun the quota together. Give it a
/// [debt](crate::Quota::with_debt), and what they overran is recovered before
/// another is let in; without one it is forgiven. That is for the local policies;
/// cluster-wide ones have no debt, and each request asks Redis.
///
/// ```
/// use http::StatusCode;
/// use seawall_limit::{Count, Rule};
///
/// // Only wrong passwords count.
/// let attempts = Rule::path("/login").policy("attempts").count(Count::statuses([StatusCode::UNAUTHORIZED]));
/// // A unit is a KiB that the client was sent.
/// let volume = Rule::any().policy("kib").count(Count::Bytes { unit: 1_024 });
/// # let _ = (attempts, volume);
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Count {
    /// Requests: one unit each, charged when it arrives.
    #[default]
    Requests,
    /// Responses with one of these statuses: one unit each. A service that fails
    /// without a response, and a response that nobody waited for, count as well:
    /// hanging up early hides no attempt.
    Statuses(Arc<[StatusCode]>),
    /// Bytes of the response's body that were handed on, in units of `unit` bytes,
    /// at least 1; a unit that was begun counts. Also of a body that is not read to its end.
    Bytes {
        /// Bytes.
        unit: u32,
    },
    /// So many units as the closure says of a response. Without one: one unit.
    By(Arc<CountFn>),
}

/// See [`Count::By`].
pub type CountFn = dyn Fn(&Answered<'_>) -> u32 + Send + Sync;

/// A response without its body.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Answered<'a> {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What the service attached.
    pub extensions: &'a Extensions,
}

impl Count {
    /// Responses with one of these statuses.
    pub fn statuses(statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        Self::Statuses(statuses.into_iter().collect())
    }

    /// So many units as the closure says.
    pub fn by(count: impl Fn(&Answered<'_>) -> u32 + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(count))
    }

    pub(crate) const fn is_settled(&self) -> bool {
        !matches!(self, Self::Requests)
    }

    /// Units, if the head of the response tells.
    pub(crate) fn of(&self, answered: &Answered<'_>) -> Option<u32> {
        match self {
            Self::Requests => Some(0),
            Self::Statuses(statuses) => Some(statuses.contains(&answered.status).into()),
            Self::By(count) => Some(count(answered)),
            Self::Bytes { .. } => None,
        }
    }

    /// Units of a request that was never answered.
    pub(crate) const fn unanswered(&self) -> u32 {
        match self {
            Self::Requests | Self::Bytes { .. } => 0,
            Self::Statuses(_) | Self::By(_) => 1,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Bytes { unit } => in_range("bytes", u64::from(*unit), 1, u32::MAX.into()),
            Self::Statuses(statuses) if statuses.is_empty() => {
                Err(Error::Empty { what: "a rule that counts responses", of: "status" })
            }
            _ => Ok(()),
        }
    }
}

impl PartialEq for Count {
    /// Closures are equal if they are one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Requests, Self::Requests) => true,
            (Self::Statuses(one), Self::Statuses(other)) => one == other,
            (Self::Bytes { unit }, Self::Bytes { unit: other }) => unit == other,
            (Self::By(one), Self::By(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("Requests"),
            Self::Statuses(statuses) => f.debug_tuple("Statuses").field(statuses).finish(),
            Self::Bytes { unit } => f.debug_struct("Bytes").field("unit", unit).finish(),
            Self::By(_) => f.debug_tuple("By").finish_non_exhaustive(),
        }
    }
}
