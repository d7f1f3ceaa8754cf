//! What a call did, per layer.

use std::sync::Arc;
use std::time::Duration;

use crate::remote::guarded::RemoteStatus;

/// What a read found, and where.
#[derive(Debug)]
#[non_exhaustive]
pub struct Got<V> {
    /// The value; `None` means it is known that there is none (a negative entry).
    pub value: Option<Arc<V>>,
    /// The layer that answered. Callers that joined one load all see [`Layer::Loader`].
    pub layer: Layer,
    /// How long ago the value was loaded or set. An entry read from L2 counts by Redis's clock.
    pub age: Duration,
    /// Whether it is within its TTL. A stale answer is one that the cache's configuration allows:
    /// see [`stale_while_revalidate`](crate::CacheConfig::stale_while_revalidate) and
    /// [`stale_if_error`](crate::CacheConfig::stale_if_error).
    pub freshness: Freshness,
    /// Whether a layer could not do its part: L2 could not be asked or filled, so this node cannot
    /// know of a removal elsewhere; or the loader failed and this is the value from before; or it
    /// answered from an older source than the last removal asks for, and nothing was cached. An
    /// entry loaded without L2 says so on each later hit in L1.
    pub degraded: bool,
}

impl<V> Got<V> {
    /// The value, or `None` if it is known that there is none.
    #[must_use]
    pub fn into_value(self) -> Option<Arc<V>> {
        self.value
    }

    /// Whether it is known that there is no value.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.value.is_none()
    }

    /// Whether it is past its TTL, or marked by an `expire_..` call.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.freshness == Freshness::Stale
    }
}

// By hand: a derive would ask for `V: Clone`.
impl<V> Clone for Got<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}

/// The layer that answered a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// The memory of this process.
    L1,
    /// The remote store.
    L2,
    /// The loader ran.
    Loader,
}

impl Layer {
    /// The word used in metric labels: `l1`, `l2`, `loader`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Loader => "loader",
        }
    }
}

/// Whether an answer is within its TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "before or after the TTL: there is no third")]
pub enum Freshness {
    /// Within its TTL, and no `expire_..` call has marked it.
    Fresh,
    /// Past its TTL or marked by an `expire_..` call, within the window in which it may be served.
    Stale,
}

/// What a write did in each layer.
///
/// It may be ignored: what L2 did not acknowledge is repeated in the background, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Whether L1 now does what was asked: holds the value of a `set`, or holds nothing after a
    /// removal. A `set` that a newer write overtook leaves this `false`.
    pub l1: bool,
    /// What became of it in L2.
    pub l2: L2Write,
    /// The version that L2 gave to it: with [`Cache::told`](crate::Cache::told) a node that has not
    /// heard of it yet reads nothing older. `None` where L2 has not acknowledged it, or wrote
    /// nothing.
    pub version: Option<u64>,
}

impl Written {
    /// Whether L2 does not know of this write yet. The key is not read from L2 until it does.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.l2 == L2Write::Pending
    }
}

/// What an invalidation of many entries (a tag, a namespace, a pattern) did.
///
/// It may be ignored, like [`Written`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Entries that L1 gave up at once. Others go when they are next read or evicted; none of them
    /// is served.
    pub l1: u64,
    /// What became of it in L2.
    pub l2: L2Write,
}

impl Cleared {
    /// Whether L2 does not know of it yet. This node holds to it all the same.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.l2 == L2Write::Pending
    }
}

/// What became of a write in L2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum L2Write {
    /// Acknowledged.
    Done,
    /// L2 did not acknowledge it in time. This process remembers to remove the key there, retries
    /// until L2 agrees, and until then does not read this key from L2.
    Pending,
    /// L2 holds an entry or a removal with a newer source version: nothing was written, and L1
    /// dropped the key.
    Superseded,
    /// The value cannot be stored in L2 (larger than the bound, or not encodable): the old entry
    /// there was removed, L1 holds the value.
    Unstorable,
    /// There was nothing to write, such as a [`Loaded::not_modified`](crate::Loaded::not_modified)
    /// handed to `set`.
    Skipped,
    /// This cache has no L2.
    NotConfigured,
}

/// How current this node's L1 is, and whether L2 is in reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// How this node learns of writes elsewhere.
    pub coherence: Coherence,
    /// Every write that L2 acknowledged longer ago than this has been told to this node. `None`:
    /// nothing is known yet, or nobody tells.
    pub staleness: Option<Duration>,
    /// The state of the remote; `None` without one.
    pub remote: Option<RemoteStatus>,
}

/// How a node learns of writes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coherence {
    /// No remote: there is no elsewhere.
    Alone,
    /// The remote tells this node of every write, and the link is up.
    Watching,
    /// The remote tells this node of writes, but the link to it (or to one of its servers) is down.
    /// What depends on it is answered as degraded.
    Interrupted,
    /// The remote tells nothing: L1 may be old by its [`l1_ttl`](crate::CacheConfig::l1_ttl).
    Unwatched,
}
