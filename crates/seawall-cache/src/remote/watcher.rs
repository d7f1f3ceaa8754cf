//! Who is told of what happens in the remote store.

use tokio::time::Instant;

/// Told what happens under a namespace of a [`Remote`](super::Remote).
///
/// It is called synchronously, by the remote's own task or by whoever caused the event, with no
/// lock of the remote held. It must be quick and never block. Events of one text may come in
/// another order than they happened; each comes after its effect can be read.
pub trait Watcher: Send + Sync {
    /// `text` was written, removed or, with some stores, expired or evicted. `version` is what it
    /// has then, if the store says so: [`MemoryRemote`](super::MemoryRemote) does, Redis's
    /// tracking does not. The text of a mark comes here too. A node hears of its own writes.
    fn changed(&self, text: &str, version: Option<u64>);

    /// The lease of `text` ended before its time (by a fill, a put, a removal, a release) while
    /// someone was waiting for it: look again.
    fn landed(&self, text: &str);

    /// Messages of `node` may have been missed until now: a reconnect, lag, a flush, slots that
    /// moved. Called after listening has begun again. `None`: of all nodes.
    fn lost(&self, node: Option<u32>);

    /// The link to `node` is up, and it is listened to, or it is down.
    fn link(&self, node: u32, up: bool);

    /// Everything the store acknowledged before `at`, by this node's clock, has been told.
    fn proved(&self, at: Instant);

    /// Whether writes are told at all: `false` when no node of the store will have it any more,
    /// `true` when one does again, before its link is up. What came in before was not covered.
    /// Watchers that are not told follow what [`Remote::watch`](super::Remote::watch) returned.
    /// By default it does nothing.
    fn tells(&self, tells: bool) {
        let _ = tells;
    }
}

/// Whether a [`Remote`](super::Remote) tells of writes by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Tracking {
    /// It has no such thing, or was told not to.
    Off,
    /// The server, a proxy before it or its ACL does not allow it. Caches rely on their L1 TTL.
    Refused,
    /// Some node does not answer, or is being connected to.
    Down,
    /// Every node tells of writes.
    Up,
}
