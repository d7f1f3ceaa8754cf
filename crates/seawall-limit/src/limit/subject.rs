//! Whom a rule charges.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;

use super::gate::Head;
use crate::client::{MAX_TIERS, Tiers};
use crate::decision::Decision;
use crate::error::{Error, in_range};
use crate::joint::Joint;
use crate::key::Key;
use crate::limiter::Limiter;
use crate::moment::Moment;
use crate::set::PolicySet;

/// Whom a rule charges its policies to.
///
/// The subjects of all rules that a request meets are decided together: all are
/// charged or none. A key is told apart from others by its value alone: charge
/// different kinds of keys to different policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// What [`key_by`](super::LimitLayerBuilder::key_by) finds, else the address.
    #[default]
    Client,
    /// The client's address, IPv6 by its prefix, whatever `key_by` says.
    Address,
    /// The client's ranges: the rule's first policy is charged to the narrowest
    /// (or the IPv4 address), the second to the next, and so on: see
    /// [`ClientIp::ipv6_tiers`](crate::ClientIp::ipv6_tiers). IPv4 clients are
    /// charged the first alone.
    Tiers,
    /// The value of a field: an API key, or a user whom an earlier layer wrote
    /// there. Without it, or if it is there more than once, [`Client`](Self::Client).
    ///
    /// If clients may choose the value, they have as many quotas as they like.
    Header(HeaderName),
    /// What stands for `{name}` in the rule's own path pattern, percent-decoded.
    Parameter(Box<str>),
    /// All together: a total.
    Everybody,
}

/// The same, for one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Client,
    Address,
    Tier(u8),
    Header(HeaderName),
    Segment(u8),
    Everybody,
}

/// A key on its way to a decision.
pub(crate) enum Owner<'a> {
    Key(Key<'a>),
    /// Had escapes in it.
    Decoded(Box<[u8]>),
}

impl Subject {
    /// Whom the policy at `position` of a rule is charged to.
    pub(crate) fn source(&self, position: usize, pattern: Option<&str>) -> Result<Source, Error> {
        Ok(match self {
            Self::Client => Source::Client,
            Self::Address => Source::Address,
            Self::Tiers => {
                in_range("policies of tiers", position as u64 + 1, 1, MAX_TIERS as u64)?;
                Source::Tier(position as u8)
            }
            Self::Header(name) => Source::Header(name.clone()),
            Self::Parameter(name) => {
                let unknown = || Error::PathParameter { name: name.clone() };
                let place = pattern.and_then(|pattern| segment(pattern, name));
                Source::Segment(place.ok_or_else(unknown)?)
            }
            Self::Everybody => Source::Everybody,
        })
    }
}

impl Source {
    /// Whether it takes the client's own key.
    #[cfg(feature = "redis")]
    pub(crate) fn is_client(&self) -> bool {
        *self == Self::Client
    }

    /// The key; `None` if this client has no such range. `client` and `group`
    /// find the client's own key, and the one of its address.
    pub(crate) fn owner<'a>(
        &self,
        head: &Head<'a>,
        client: impl FnOnce() -> Key<'a>,
        group: impl FnOnce() -> Key<'a>,
        tiers: Option<&Tiers>,
    ) -> Option<Owner<'a>> {
        Some(Owner::Key(match self {
            Self::Client => client(),
            Self::Address => group(),
            Self::Tier(index) => match (tiers, index) {
                (Some(tiers), index) => tier(tiers.get(usize::from(*index))?),
                (None, 0) => group(),
                (None, _) => return None,
            },
            Self::Header(name) => {
                let mut values = head.headers.get_all(name).iter();
                match (values.next(), values.next()) {
                    (Some(value), None) if !value.is_empty() => text(value.as_bytes()),
                    _ => client(),
                }
            }
            Self::Segment(index) => {
                let path = head.uri.path();
                let path = path.strip_prefix('/').unwrap_or(path);
                match decoded(path.split('/').nth(usize::from(*index)).unwrap_or_default()) {
                    Cow::Borrowed(bytes) => text(bytes),
                    Cow::Owned(bytes) => return Some(Owner::Decoded(bytes.into())),
                }
            }
            Self::Everybody => Key::Bytes(&[]),
        }))
    }
}

impl Owner<'_> {
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Self::Key(key) => *key,
            Self::Decoded(bytes) => text(bytes),
        }
    }
}

/// Charges one unit to every policy of every subject, or none to any, and gives
/// the decision to tell the client of.
pub(crate) fn decide<'s>(
    limiter: &Limiter,
    subjects: &[(Key<'_>, &'s PolicySet)],
    now: Moment,
) -> Option<Decision<'s>> {
    macro_rules! joint {
        ($($name:ident)+) => {
            to_tell(&limiter.check_joint([$(*$name),+], 1, now))
        };
    }
    match subjects {
        [(key, set)] => Some(limiter.check(*key, set, now)),
        [a, b] => joint!(a b),
        [a, b, c] => joint!(a b c),
        [a, b, c, d] => joint!(a b c d),
        [a, b, c, d, e] => joint!(a b c d e),
        [a, b, c, d, e, f] => joint!(a b c d e f),
        _ => None,
    }
}

/// If rejected, the one that is to be waited for longest: a client that comes
/// back then is admitted by all.
fn to_tell<'s, const N: usize>(joint: &Joint<'s, N>) -> Option<Decision<'s>> {
    let rejecting = joint.decisions().iter().filter(|decision| !decision.is_allowed());
    let last = rejecting.reduce(|one, other| {
        let longer = |decision: &Decision<'_>| (decision.is_too_large(), decision.retry_after());
        if longer(other) > longer(one) { other } else { one }
    });
    last.or_else(|| joint.named()).copied()
}

fn tier<'a>(network: &crate::client::Network) -> Key<'a> {
    match network.first() {
        // The same subject as under the rules that charge addresses.
        IpAddr::V4(_) if network.prefix() == 32 => Key::Ip(network.first()),
        _ => Key::from(*network),
    }
}

fn text(bytes: &[u8]) -> Key<'_> {
    std::str::from_utf8(bytes).map_or(Key::Bytes(bytes), Key::Text)
}

/// Where `{name}` is in a pattern.
fn segment(pattern: &str, name: &str) -> Option<u8> {
    let named = |segment: &str| {
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        inner == Some(name)
    };
    let mut segments = pattern.strip_prefix('/').unwrap_or(pattern).split('/');
    segments.position(named).and_then(|place| u8::try_from(place).ok())
}

/// Escapes undone, so that no spelling of a key is another key. What is no
/// escape stays as it is.
fn decoded(segment: &str) -> Cow<'_, [u8]> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment.as_bytes());
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut rest = segment.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(bytes)
}

/// The most different subjects that the rules of one layer can charge, each
/// tier counted.
pub(crate) const MAX_SUBJECTS: usize = 6;

#[cfg(test)]
mod tests;
