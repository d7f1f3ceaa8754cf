//! What can be wrong with a limiter's configuration.

use std::time::Duration;

/// Why a quota, a limiter, a policy set or a layer could not be built.
///
/// All of these come from configuration, before the first request. Deciding
/// never fails: [`Limiter::check`](crate::Limiter::check) has no error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number is outside the range that the named field takes.
    #[error("{field} is {value}, but must be within {min}..={max}")]
    OutOfRange {
        /// The field, as it is called in code and in configuration files.
        field: &'static str,
        /// The value given.
        value: u64,
        /// The least value taken.
        min: u64,
        /// The greatest value taken.
        max: u64,
    },
    /// The quota asks for more than one unit per nanosecond.
    #[error("{limit} per {period:?} is more than one per nanosecond")]
    TooFast {
        /// Units per period.
        limit: u32,
        /// The period.
        period: Duration,
    },
    /// An empty quota takes longer to refill than can be counted (146 years).
    #[error("a burst of {burst} at {limit} per {period:?} takes more than 146 years to refill")]
    TooSlow {
        /// Units that may be spent at once.
        burst: u32,
        /// Units per period.
        limit: u32,
        /// The period.
        period: Duration,
    },
    /// A policy name is empty, longer than 64 bytes, or has other characters
    /// than ASCII letters, digits, `_`, `-` and `.`.
    #[error("policy name {name:?} must be 1 to 64 ASCII letters, digits, '_', '-' or '.'")]
    PolicyName {
        /// The name given.
        name: Box<str>,
    },
    /// Two policies of one limiter have the same name.
    #[error("policy {name:?} is defined twice")]
    DuplicatePolicy {
        /// The name.
        name: Box<str>,
    },
    /// A set or a rule names a policy that the limiter does not have.
    #[error("no policy is named {name:?}")]
    UnknownPolicy {
        /// The name.
        name: Box<str>,
    },
    /// A policy has a candidate and is enforced for a share of the keys only: which keys are to
    /// have the candidate is told with the candidate.
    #[error("policy {policy:?} has a candidate, so enforced must be 100")]
    TwoTrials {
        /// The policy.
        policy: Box<str>,
    },
    /// A key has two exceptions from one policy. The key may be a secret, and is not told.
    #[error("a key has two exceptions from policy {policy:?}")]
    DuplicateException {
        /// The policy.
        policy: Box<str>,
    },
    /// The quota's mode cannot be used here.
    #[error(
        "a quota in mode {mode:?} needs the table of a Limiter; only Smooth and Strict do without"
    )]
    Mode {
        /// The mode given.
        mode: crate::quota::Mode,
    },
    /// A limiter, a policy set, a layer or a rule would do nothing.
    #[error("{what} must name at least one {of}")]
    Empty {
        /// What is empty.
        what: &'static str,
        /// What it should have had.
        of: &'static str,
    },
    /// Text that should be an address or a network in CIDR form is neither.
    #[error("{text:?} is not an address or a network such as 10.0.0.0/8")]
    Network {
        /// The text given.
        text: Box<str>,
    },
    /// A prefix of keys in Redis has braces, which would decide where a cluster keeps them.
    #[error("key prefix {prefix:?} must not have braces")]
    KeyPrefix {
        /// The prefix given.
        prefix: Box<str>,
    },
    /// A line of an allow or deny list is neither empty nor an address or network.
    #[error("line {line}: {text:?} is not an address or a network such as 10.0.0.0/8")]
    ListLine {
        /// The line, from 1.
        line: usize,
        /// What stands there, cut after 64 characters.
        text: Box<str>,
    },
    /// Text that should be a country is not two ASCII letters.
    #[error("{text:?} is not a country of two letters such as DE")]
    Country {
        /// The text given, cut after 16 characters.
        text: Box<str>,
    },
    /// A field of text cannot be what it is.
    #[error("{field} is {text:?}, but must be {expected}")]
    Text {
        /// The field.
        field: &'static str,
        /// The text given, cut after 64 characters.
        text: Box<str>,
        /// What it must be.
        expected: &'static str,
    },
    /// Something in a list of the configuration is wrong.
    #[error("{list}[{index}]: {source}")]
    At {
        /// The list.
        list: &'static str,
        /// The place in it, from 0.
        index: usize,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The configuration has a trap that is refused.
    #[cfg(feature = "tower")]
    #[error("{0}")]
    Trap(Box<crate::limit::Finding>),
    /// A rule charges a path parameter that its own path does not have.
    #[error("the rule's path has no segment {{{name}}}")]
    PathParameter {
        /// The parameter.
        name: Box<str>,
    },
    /// A rule charges a cluster-wide policy to another subject than the client.
    #[error("cluster-wide policy {policy:?} can be charged to the client only")]
    ClusterSubject {
        /// The policy.
        policy: Box<str>,
    },
    /// Two rules of a layer let one policy count different things.
    #[error("policy {policy:?} counts different things in two rules")]
    TwoCounts {
        /// The policy.
        policy: Box<str>,
    },
    /// A path pattern does not start with `/`, or its braces are wrong.
    #[error(
        "path pattern {pattern:?} must start with '/' and have {{name}} or a last {{*name}} as whole segments"
    )]
    PathPattern {
        /// The pattern given.
        pattern: Box<str>,
    },
}

impl Error {
    /// Whether the same call may succeed later. Never: each of these says that
    /// the configuration must change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }

    #[cfg(feature = "tower")]
    pub(crate) fn at(self, list: &'static str, index: usize) -> Self {
        Self::At { list, index, source: Box::new(self) }
    }
}

/// Checks a number against its bounds.
pub(crate) fn in_range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(Error::OutOfRange { field, value, min, max })
    }
}
