//! What L1 says of a key.

use super::entry::Entry;

/// What L1 has of a key. Entries other than hits must not be served before what their variant
/// asks for was done, except when L2 is out of reach and the caller says so.
#[derive(Debug)]
pub(crate) enum Look<V> {
    /// Nothing, or nothing that may be served in any case.
    Miss,
    /// Fresh. L2 has told of no change, and would have.
    Hit(Entry<V>),
    /// The same, and near enough to the end of its TTL that this read may start a refresh.
    Early(Entry<V>),
    /// Fresh, but the link over which its node tells of changes is down: serve it as degraded.
    Degraded(Entry<V>),
    /// Past its soft TTL, or made stale by a mark (`marked`); else as a hit. `degraded` as above.
    Stale { entry: Entry<V>, marked: bool, degraded: bool },
    /// L1 had it for as long as it may without asking: read L2. Fresh or stale.
    Recheck(Entry<V>),
    /// Its node may have changed it untold: compare the version, and read its marks.
    Suspect(Entry<V>),
    /// Not all of its marks are known: read them.
    Unknown(Entry<V>),
}

impl<V> Look<V> {
    /// The entry, whatever must be done before it is served.
    pub(crate) fn entry(&self) -> Option<&Entry<V>> {
        match self {
            Self::Miss => None,
            Self::Hit(entry)
            | Self::Early(entry)
            | Self::Degraded(entry)
            | Self::Stale { entry, .. }
            | Self::Recheck(entry)
            | Self::Suspect(entry)
            | Self::Unknown(entry) => Some(entry),
        }
    }
}
