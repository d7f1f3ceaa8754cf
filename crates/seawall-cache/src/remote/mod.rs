//! The remote store (L2): what it must do, and the two that do it.

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod guarded;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use self::memory::MemoryRemote;

/// The future a [`Remote`] answers with.
pub type RemoteFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>;

/// A store of versioned records, shared by nodes: the L2 of a cache.
///
/// Records are opaque bytes, save for their first 24: a magic, and at bytes 8 to 16 the version
/// that this store issues, at 16 to 24 the source version (both big-endian). Every operation is
/// atomic, concerns one key, and orders itself by versions the store issues: each write's version
/// is greater than that of the record it replaces, and grows with the store's clock across
/// removals and expiry. Bytes that are not a record count as absence, version 0.
///
/// A remote may fail or hang as it likes. The cache reaches it through a
/// [`Guarded`](crate::Guarded), which sets a deadline, opens a breaker and remembers the removals
/// the remote did not acknowledge.
pub trait Remote: Send + Sync + 'static {
    /// Which node serves `text`: the unit of breakers and of lost messages. Stable between topology changes.
    fn node(&self, _text: &str) -> u32 {
        0
    }

    /// What is stored under `key`.
    fn read<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Fetched>;

    /// Stores a loader's `record` for `ttl`, if that is still right: the version under `key` is
    /// the one that `seen` noted, no more than `keep` has passed since by the store's clock, and
    /// the record's source is no older than the one a tombstone there asks for.
    fn fill<'a>(
        &'a self,
        key: &'a str,
        seen: Seen,
        keep: Duration,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill>;

    /// Stores `record` for `ttl`, unless it names a source version and what is there has a newer
    /// one. It must not take effect once its future was dropped or has failed for longer than the
    /// deadline of the `Guarded` around it.
    fn put<'a>(&'a self, key: &'a str, record: Bytes, ttl: Duration) -> RemoteFuture<'a, Put>;

    /// Replaces what is there by a tombstone that stays for `keep` and asks fills for `source` or
    /// newer; for more, if a tombstone there asks for more, or if `source` is not 0 and what is
    /// there has a newer one.
    fn remove<'a>(&'a self, key: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, ()>;

    /// Ends connections. The default does nothing.
    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What a [`Remote`] read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct Fetched {
    /// The bytes under the key, if any.
    pub bytes: Option<Bytes>,
    /// How long they still live.
    pub remaining: Duration,
    /// The store's clock, in microseconds.
    pub now: u64,
}

/// What a load saw in the store when it began: the token its fill must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote read it")]
pub struct Seen {
    /// The version there, 0 for none.
    pub version: u64,
    /// The store's clock then, in microseconds.
    pub at: u64,
}

/// What became of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote build it")]
pub enum Fill {
    /// Stored under this version.
    Stored(u64),
    /// Something was written or removed there since the load began.
    Moved,
    /// The load began too long ago to be sure.
    Late,
    /// A tombstone there asks for a newer source.
    OldSource,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote build it")]
pub enum Put {
    /// Stored under this version.
    Stored(u64),
    /// What is there has a newer source version. Nothing was stored.
    Superseded,
}

/// Why the remote store did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No answer within the deadline. A write may or may not have taken effect.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The deadline.
        after: Duration,
    },
    /// There is no connection, or it broke.
    #[error("no connection")]
    Disconnected(#[source] Box<dyn StdError + Send + Sync>),
    /// The store answered with an error.
    #[error("the store refused")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// The breaker is open after repeated failures; the store was not asked.
    #[error("the breaker is open")]
    BreakerOpen,
    /// A removal that the store has not acknowledged yet stands in the way of reading this key.
    #[error("a removal of this key is still to be acknowledged")]
    RemovalPending,
}

impl RemoteError {
    /// The word used in metric labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::Disconnected(_) => "disconnected",
            Self::Refused(_) => "refused",
            Self::BreakerOpen => "breaker_open",
            Self::RemovalPending => "removal_pending",
        }
    }

    /// Whether it says that the store is out of reach, rather than displeased with one command.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Disconnected(_))
    }
}

impl fmt::Debug for dyn Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}
