//! Allow and deny lists, and a handle through which they change at once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::table::PrefixTable;
use crate::client::Network;
use crate::error::Error;

/// What a list says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Access {
    /// Let in, whatever the country.
    Allow,
    /// Turned away.
    Deny,
}

/// Networks that are allowed and networks that are denied. The longest prefix
/// wins; a network that is in both is denied.
///
/// ```
/// use seawall_limit::{Access, AccessList};
///
/// let list = AccessList::builder()
///     .deny_text("# a bad neighbourhood\n198.51.100.0/24\n2001:db8::/32 # and another\n")?
///     .allow_text("198.51.100.7\n")?
///     .build();
/// assert_eq!(list.get("198.51.100.8".parse()?), Some(Access::Deny));
/// assert_eq!(list.get("198.51.100.7".parse()?), Some(Access::Allow));
/// assert_eq!(list.get("192.0.2.1".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AccessList {
    table: PrefixTable<Access>,
}

impl AccessList {
    /// Starts a list.
    pub fn builder() -> AccessListBuilder {
        AccessListBuilder::default()
    }

    /// What the list says of an address, if anything. See [`PrefixTable`] for
    /// the cost.
    #[must_use]
    #[inline]
    pub fn get(&self, address: IpAddr) -> Option<Access> {
        self.table.get(address)
    }

    /// How many networks it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

/// Networks for an [`AccessList`].
#[derive(Debug, Default)]
#[must_use = "build() makes the list"]
pub struct AccessListBuilder {
    allowed: Vec<Network>,
    denied: Vec<Network>,
}

impl AccessListBuilder {
    /// Allows networks.
    pub fn allow(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.allowed.extend(networks);
        self
    }

    /// Denies networks.
    pub fn deny(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.denied.extend(networks);
        self
    }

    /// Allows the networks of a text: one a line; what follows `#` or `;` is a
    /// comment; empty lines are skipped.
    ///
    /// # Errors
    /// On the first line that is no network; the error has its number.
    pub fn allow_text(mut self, text: &str) -> Result<Self, Error> {
        read(text, &mut self.allowed)?;
        Ok(self)
    }

    /// Denies the networks of a text, as [`allow_text`](Self::allow_text) reads it.
    ///
    /// # Errors
    /// On the first line that is no network; the error has its number.
    pub fn deny_text(mut self, text: &str) -> Result<Self, Error> {
        read(text, &mut self.denied)?;
        Ok(self)
    }

    /// Makes the list. See [`PrefixTable::new`] for the cost.
    #[must_use]
    pub fn build(self) -> AccessList {
        let allowed = self.allowed.into_iter().map(|network| (network, Access::Allow));
        let denied = self.denied.into_iter().map(|network| (network, Access::Deny));
        // Of equal networks the later counts, so denying comes last.
        AccessList { table: allowed.chain(denied).collect() }
    }
}

/// A list that can be replaced while requests are decided by it. Clones share it.
///
/// Replacing is one pointer: a request is decided by the old list or by the
/// new one, never by a mixture, and none waits. The old one is freed when the
/// last request that looked at it is done.
#[derive(Clone)]
pub struct SharedAccessList {
    current: Arc<ArcSwap<AccessList>>,
}

impl SharedAccessList {
    /// Shares a list.
    #[must_use]
    pub fn new(list: AccessList) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(list)) }
    }

    /// Puts another list in its place. Build it before, where no request waits.
    pub fn replace(&self, list: AccessList) {
        self.current.store(Arc::new(list));
    }

    /// What the list of now says of an address.
    #[must_use]
    #[inline]
    pub fn get(&self, address: IpAddr) -> Option<Access> {
        self.current.load().get(address)
    }

    /// The list of now.
    #[must_use]
    pub fn load(&self) -> Arc<AccessList> {
        self.current.load_full()
    }
}

impl fmt::Debug for SharedAccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedAccessList").field(&self.current.load()).finish()
    }
}

fn read(text: &str, networks: &mut Vec<Network>) -> Result<(), Error> {
    for (index, line) in text.lines().enumerate() {
        let content = line.split(['#', ';']).next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        networks.push(content.parse().map_err(|_| Error::ListLine {
            line: index + 1,
            text: content.chars().take(64).collect(),
        })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
