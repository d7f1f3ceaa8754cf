//! A quota with a name and a message.

use std::borrow::Cow;

use crate::error::Error;
use crate::quota::Quota;

/// A named quota: what rules refer to, and what clients are told.
///
/// The name goes to clients in the `RateLimit` fields and to operators as the
/// label `policy`, so it is short and plain: 1 to 64 ASCII letters, digits,
/// `_`, `-` or `.`. It is checked when the limiter is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    name: Cow<'static, str>,
    quota: Quota,
    message: Cow<'static, str>,
}

impl Policy {
    /// A policy with the default message, [`DEFAULT_MESSAGE`].
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, quota: Quota) -> Self {
        Self { name: name.into(), quota, message: Cow::Borrowed(DEFAULT_MESSAGE) }
    }

    /// What a rejected client reads: the `detail` of the problem document.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// The message for rejected clients.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.message
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if (1..=64).contains(&self.name.len()) && self.name.bytes().all(plain) {
            Ok(())
        } else {
            Err(Error::PolicyName { name: self.name.as_ref().into() })
        }
    }
}

/// The message of a policy that was given none.
pub const DEFAULT_MESSAGE: &str = "Too many requests. Please try again later.";
