//! A quota with a name and a message.

use std::borrow::Cow;

use crate::error::Error;
use crate::quota::Quota;
use crate::share::Share;

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
    enforced: Share,
    candidate: Option<(Quota, Share)>,
}

impl Policy {
    /// A policy with the default message, [`DEFAULT_MESSAGE`].
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, quota: Quota) -> Self {
        Self {
            name: name.into(),
            quota,
            message: Cow::Borrowed(DEFAULT_MESSAGE),
            enforced: Share::ALL,
            candidate: None,
        }
    }

    /// Enforces the policy for this share of the keys only; the others are
    /// shadowed: see [`shadow`](Self::shadow). Default: for all.
    #[must_use]
    pub const fn enforced(mut self, share: Share) -> Self {
        self.enforced = share;
        self
    }

    /// Refuses nobody and tells nobody: the policy is only counted, to see whom
    /// it would refuse. See [`Limiter::shadow`](crate::Limiter::shadow).
    #[must_use]
    pub const fn shadow(self) -> Self {
        self.enforced(Share::NONE)
    }

    /// Tries another quota in place of the policy's own: it is in force for
    /// `share` of the keys, and for the others a shadow beside the quota that
    /// is. Keys with an [exception](crate::LimiterBuilder::exception) keep theirs.
    #[must_use]
    pub const fn candidate(mut self, quota: Quota, share: Share) -> Self {
        self.candidate = Some((quota, share));
        self
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

    /// For which keys the policy is enforced, in its own quota or its candidate.
    #[must_use]
    pub const fn share(&self) -> Share {
        self.enforced
    }

    /// The quota that is tried in place of the policy's own, and for which keys it is in force.
    #[must_use]
    pub const fn tried(&self) -> Option<(Quota, Share)> {
        self.candidate
    }

    /// Whether there is anything to try: then decisions have a twin.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.enforced != Share::ALL || self.candidate.is_some()
    }

    /// The policy as it would be.
    pub(crate) fn promoted(&self) -> Self {
        let quota = self.candidate.map_or(self.quota, |(quota, _)| quota);
        Self { quota, enforced: Share::ALL, candidate: None, ..self.clone() }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return Err(Error::PolicyName { name: self.name.as_ref().into() });
        }
        if self.enforced != Share::ALL && self.candidate.is_some() {
            return Err(Error::TwoTrials { policy: self.name.as_ref().into() });
        }
        Ok(())
    }
}

/// The message of a policy that was given none.
pub const DEFAULT_MESSAGE: &str = "Too many requests. Please try again later.";
