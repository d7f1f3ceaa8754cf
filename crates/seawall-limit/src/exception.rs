//! Keys that have another quota of a policy than everybody else.
//!
//! An exception is a policy of its own under the name of the one it stands in
//! for: it has its own words in a key's slot, so the table and its bounds know
//! nothing of it. What a set resolves to for such a key is worked out when the
//! set is made.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::error::Error;
use crate::key::Key;
use crate::policy::Policy;
use crate::quota::Quota;

/// As the builder collects it.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    pub(crate) policy: Box<str>,
    pub(crate) quota: Quota,
    pub(crate) keys: Keys,
}

/// Keys, which may be secrets: they are not printed.
#[derive(Clone)]
pub(crate) struct Keys(Vec<Owned>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Owned {
    Ip(IpAddr),
    Prefix(IpAddr, u8),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Number(u64),
    Unknown,
}

/// By the hash of a key, the policies it has and those that they stand in for.
pub(crate) type Exceptions<T = Vec<Swap>> = HashMap<u64, T, RandomState>;

/// One policy in place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) usual: u8,
    pub(crate) instead: u8,
}

impl Keys {
    pub(crate) fn new<'k>(keys: impl IntoIterator<Item = Key<'k>>) -> Self {
        Self(keys.into_iter().map(Owned::from).collect())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl From<Key<'_>> for Owned {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Ip(ip) => Self::Ip(ip),
            Key::Prefix(first, bits) => Self::Prefix(first, bits),
            Key::Text(text) => Self::Text(text.into()),
            Key::Bytes(bytes) => Self::Bytes(bytes.into()),
            Key::Number(number) => Self::Number(number),
            Key::Unknown => Self::Unknown,
        }
    }
}

impl Owned {
    fn key(&self) -> Key<'_> {
        match self {
            Self::Ip(ip) => Key::Ip(*ip),
            Self::Prefix(first, bits) => Key::Prefix(*first, *bits),
            Self::Text(text) => Key::Text(text),
            Self::Bytes(bytes) => Key::Bytes(bytes),
            Self::Number(number) => Key::Number(*number),
            Self::Unknown => Key::Unknown,
        }
    }
}

/// The policies that stand in for others, to be appended to `policies`.
pub(crate) fn policies(
    policies: &[Policy],
    exceptions: &[Exception],
) -> Result<Vec<Policy>, Error> {
    let mut seen = std::collections::HashSet::new();
    exceptions
        .iter()
        .map(|exception| {
            let name = &exception.policy;
            let found = policies.iter().find(|policy| *policy.name() == **name);
            let usual = found.ok_or_else(|| Error::UnknownPolicy { name: name.clone() })?;
            if exception.keys.0.is_empty() {
                return Err(Error::Empty { what: "an exception", of: "key" });
            }
            if !exception.keys.0.iter().all(|key| seen.insert((name, key))) {
                return Err(Error::DuplicateException { policy: name.clone() });
            }
            Ok(Policy::new(usual.name().to_owned(), exception.quota)
                .message(usual.text().to_owned()))
        })
        .collect()
}

/// Whom which exception is for; their policies come after those of `policies`.
pub(crate) fn by_key(
    policies: &[Policy],
    exceptions: &[Exception],
    tag: impl Fn(Key<'_>) -> u64,
) -> Exceptions {
    let mut by_key: Exceptions = HashMap::default();
    for (exception, instead) in exceptions.iter().zip(policies.len() as u8..) {
        let usual = policies.iter().position(|policy| *policy.name() == *exception.policy);
        let swap = usual.map(|usual| Swap { usual: usual as u8, instead });
        for key in &exception.keys.0 {
            by_key.entry(tag(key.key())).or_default().extend(swap);
        }
    }
    by_key
}

#[cfg(test)]
mod tests;
