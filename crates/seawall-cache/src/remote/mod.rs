//! The remote store (L2): what it must do, and the two that do it.

mod config;
mod error;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod guarded;
mod memory;
pub(crate) mod per_node;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod types;
mod watcher;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

pub use self::config::RemoteConfig;
pub use self::error::RemoteError;
pub use self::memory::MemoryRemote;
pub use self::types::{Fetched, Fill, Leased, MarkRead, Put, Seen, Swept, Ticket};
pub use self::watcher::{Tracking, Watcher};
use crate::marks::{Mark, MarkChange};

/// The future a [`Remote`] answers with.
pub type RemoteFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>;

/// The future of many reads: each may fail by itself.
pub type ReadMany<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Fetched, RemoteError>>> + Send + 'a>>;

/// A store of versioned records, shared by nodes: the L2 of a cache.
///
/// It is asked by *texts*: `namespace:key` names an entry, `namespace#..` a mark. They hold no
/// braces; two texts never mean the same. Every operation is atomic and concerns one text.
///
/// Records are opaque bytes, save for the start: a magic, at bytes 8 to 16 the version that this
/// store issues, at 16 to 24 the source version, and in format 2 at 36 to 44 when the record
/// expires by the store's clock and at 52 to 60 the namespace stamp (all big-endian). Versions
/// order the writes of one text: each is greater than that of the record it replaces, and grows
/// with the store's clock (microseconds) across removals and expiry. They are below 2^53. Bytes
/// that are not a record, or claim a greater version, count as absence: version 0.
///
/// Nothing is stored without a TTL, and none is longer than [`MAX_TTL`](crate::MAX_TTL).
///
/// A remote may fail or hang as it likes. The cache reaches it through a
/// [`Guarded`](crate::Guarded), which sets a deadline, opens a breaker and remembers the removals
/// the remote did not acknowledge.
pub trait Remote: Send + Sync + 'static {
    /// Which node serves `text`: the unit of breakers and of lost messages. Stable until the
    /// topology changes. Default: 0, the only one.
    fn node(&self, text: &str) -> u32 {
        let _ = text;
        0
    }

    /// What is stored under `text`.
    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched>;

    /// Whether a [`read`](Self::read) answers within the deadline of the `Guarded` around it by itself, so
    /// that this needs no timer for each. Default: no.
    fn bounds_reads(&self) -> bool {
        false
    }

    /// As many [`read`](Self::read)s at once, in order; one command or pipeline per node. The
    /// default joins `read`s.
    fn read_many<'a>(&'a self, texts: &'a [String]) -> ReadMany<'a> {
        Box::pin(join_all(texts.iter().map(|text| self.read(text))))
    }

    /// The versions of the records under `texts`, in order, without their values; 0 where there
    /// is none. Not for marks.
    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>>;

    /// Asks for the right to load `text`, for `hold`. It is granted if the version there is still
    /// the one `seen`, and no other `token` has it. Asking again with the same token holds it for
    /// `hold` from now. A refused node is told when the lease ends, if it watches.
    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased>;

    /// Holds the lease of `text` for `hold` from now. `false`: it is not ours any more.
    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool>;

    /// Gives the lease of `text` back without a fill, so that others need not wait for its end.
    /// If it is another's by now, nothing happens.
    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()>;

    /// Stores a loader's `record` for `ttl`, if that is still right: no other has the lease of
    /// `text`, the version there is the one that the ticket's `seen` noted, no more than `keep`
    /// has passed since by the store's clock, and the record's source is no older than the one a
    /// tombstone there asks for. Unless fenced, it ends the ticket's own lease, stored or not.
    /// Should the record expire before a trace that it replaced would have, it leaves a tombstone
    /// until then, as [`put`](Self::put) does.
    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill>;

    /// Stores `record` for `ttl`, unless it names a source version and what is there has a newer
    /// one. If it stores, it ends any lease of `text`. Should the record expire before `keep` has
    /// passed, it leaves a tombstone of its version and source until then: loads from before it
    /// must find that something was written. It must not take effect once its future was
    /// dropped or has failed for longer than the deadline of the `Guarded` around it.
    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put>;

    /// Replaces what is there by a tombstone that stays for `keep` and asks fills for `source` or
    /// newer; for more, if a tombstone there asks for more, or if `source` is not 0 and what is
    /// there has a newer one. It ends any lease of `text`. Returns the tombstone's version.
    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64>;

    /// Reads marks, in order. One that is missing is made as of [`Mark::GRACE`] ago, one that is
    /// not a mark is replaced by one as of now. `since` is a moment on this node's clock: see
    /// [`MarkRead::unmoved`].
    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>>;

    /// Advances the mark under `text`, making it first if it is missing. Returns the new one.
    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark>;

    /// Replaces by tombstones, which stay for `keep`, the entries whose text matches `pattern` and
    /// whose namespace stamp is older than `before`. It does so in bounded steps and memory, one
    /// node after the other, and calls `progress` after each step. It reclaims what marks have
    /// made unreachable: entries that come or move meanwhile may be missed.
    ///
    /// `pattern` is a glob as Redis has it over `namespace:key`, the key as
    /// [`CacheKey`](crate::CacheKey) writes it.
    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept>;

    /// From now on tells `watcher` of what happens under `namespace`: texts `namespace:..` and
    /// `namespace#..`. It ends with the watcher. May call it before this returns. `false`, the
    /// default: this remote tells nothing, unless it says otherwise by
    /// [`tells`](Watcher::tells).
    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        let _ = (namespace, watcher);
        false
    }

    /// Whether [`watch`](Self::watch)ers are told at present. Default: [`Tracking::Off`].
    fn tracking(&self) -> Tracking {
        Tracking::Off
    }

    /// Ends connections. The default does nothing.
    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Debug for dyn Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}
