//! Invalidating many entries at once: by tag, by namespace, by pattern.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Cache, Inner};
use crate::error::Error;
use crate::key::CacheKey;
use crate::local::Cell;
use crate::marks::{Mark, MarkChange, glob};
use crate::outcome::{Cleared, L2Write};
use crate::remote::{RemoteError, Swept};

/// Each of these is one command to L2, whatever the number of entries, and holds for entries that
/// this node has never seen. When it has returned, no read on this node answers with what was
/// there before, and no load that began before is kept, on any node, unless the answer is
/// [partial](Cleared::is_partial): then this node still holds to it, and repeats it to L2 until L2
/// has it. Once polled, each runs to its end even if the future is dropped.
///
/// The `remove_..`, `invalidate_..` and `clear` kinds make entries unreachable at once. The
/// `expire_..` kinds make them stale: they may then be served within the windows that the
/// configuration allows, and loaders get them as [`Load::previous`](crate::Load::previous).
impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Invalidates all entries that carry `tag`: see [`Loaded::tags`](crate::Loaded::tags).
    pub async fn invalidate_tag(&self, tag: &str) -> Cleared {
        Box::pin(self.inner.advance_tag(tag, MarkChange::Hard)).await
    }

    /// Makes all entries that carry `tag` stale.
    pub async fn expire_tag(&self, tag: &str) -> Cleared {
        Box::pin(self.inner.advance_tag(tag, MarkChange::Soft)).await
    }

    /// Removes all entries of this namespace.
    pub async fn clear(&self) -> Cleared {
        Box::pin(self.inner.advance_namespace(MarkChange::Hard)).await
    }

    /// Makes all entries of this namespace stale.
    pub async fn expire_all(&self) -> Cleared {
        Box::pin(self.inner.advance_namespace(MarkChange::Soft)).await
    }

    /// Removes all entries whose key, as [`CacheKey::write_key`] writes it, begins with `prefix`.
    ///
    /// A namespace remembers its last 64 patterns; with more at once, the oldest become a
    /// [`clear`](Self::clear). A prefix or pattern of more than 1 024 bytes is one from the start.
    pub async fn remove_prefix(&self, prefix: &str) -> Cleared {
        self.remove_matching(&starting_with(prefix)).await
    }

    /// Makes stale what [`remove_prefix`](Self::remove_prefix) would remove.
    pub async fn expire_prefix(&self, prefix: &str) -> Cleared {
        self.expire_matching(&starting_with(prefix)).await
    }

    /// Removes all entries whose key, as [`CacheKey::write_key`] writes it, matches `pattern`: a
    /// glob as Redis has it, with `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant
    /// literally. Bounds: see [`remove_prefix`](Self::remove_prefix).
    pub async fn remove_matching(&self, pattern: &str) -> Cleared {
        let pattern = pattern.to_owned();
        Box::pin(self.inner.advance_namespace(MarkChange::Clear { pattern, hard: true })).await
    }

    /// Makes stale what [`remove_matching`](Self::remove_matching) would remove.
    pub async fn expire_matching(&self, pattern: &str) -> Cleared {
        let pattern = pattern.to_owned();
        Box::pin(self.inner.advance_namespace(MarkChange::Clear { pattern, hard: false })).await
    }

    /// [`remove_matching`](Self::remove_matching), and then reclaims the memory of those entries in
    /// L2, which otherwise goes as they expire: scans the keys of each of its nodes in bounded
    /// steps, and tells `progress` after each. Entries that are written meanwhile are left alone.
    ///
    /// Dropping the future ends the scan; the removal stands.
    ///
    /// # Errors
    /// If L2 could not be asked, or stopped answering half-way. Calling again is safe.
    pub async fn sweep_matching(
        &self,
        pattern: &str,
        progress: impl Fn(Swept) + Send + Sync,
    ) -> Result<Swept, Error> {
        Box::pin(self.inner.sweep(pattern, &progress)).await
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    async fn advance_tag(self: &Arc<Self>, tag: &str, change: MarkChange) -> Cleared {
        self.counters.invalidated("tag");
        let cell = self.tag(tag);
        let advanced = self.detached(|inner| async move { inner.advance(&cell, change).await });
        Cleared { l1: 0, l2: outcome(&advanced.await) }
    }

    async fn advance_namespace(self: &Arc<Self>, change: MarkChange) -> Cleared {
        self.clear(change).await.0
    }

    /// Advances the namespace's mark and gives up what L1 had. Also returns the mark.
    async fn clear(self: &Arc<Self>, change: MarkChange) -> (Cleared, Advanced) {
        let (kind, hard) = match &change {
            MarkChange::Clear { hard, .. } => ("pattern", *hard),
            change => ("namespace", *change == MarkChange::Hard),
        };
        self.counters.invalidated(kind);
        let done = self.detached(|inner| async move {
            let cell = Arc::clone(inner.local.namespace());
            let advanced = inner.advance(&cell, change).await;
            let given_up = if hard { inner.sweep_l1().await } else { 0 };
            (given_up, advanced)
        });
        let (l1, advanced) = done.await.unwrap_or((0, Advanced::Pending(RemoteError::BreakerOpen)));
        (Cleared { l1, l2: outcome(&Some(&advanced)) }, advanced)
    }

    async fn sweep(
        self: &Arc<Self>,
        pattern: &str,
        progress: &(dyn Fn(Swept) + Send + Sync),
    ) -> Result<Swept, Error> {
        let change = MarkChange::Clear { pattern: pattern.to_owned(), hard: true };
        let (cleared, advanced) = self.clear(change).await;
        let (remote, mark) = match (&self.remote, advanced) {
            (_, Advanced::Pending(error)) => return Err(Error::Remote(error)),
            (Some(remote), Advanced::Done(Some(mark))) => (remote, mark),
            _ => return Ok(Swept { removed: cleared.l1, ..Swept::default() }),
        };
        let pattern = [&*self.namespace, ":", pattern].concat();
        let keep = self.config.tombstone_ttl;
        let swept = remote.sweep(&pattern, mark.version(), keep, progress).await;
        swept.map_err(|error| {
            self.counters.remote_error(&error);
            Error::Remote(error)
        })
    }

    /// Advances the mark of `cell`, here and in L2.
    async fn advance(self: &Arc<Self>, cell: &Arc<Cell>, change: MarkChange) -> Advanced {
        let local = &self.local;
        let now = local.clock().now();
        let Some(remote) = &self.remote else {
            local.advance_alone(cell, change, now);
            local.displace();
            return Advanced::Done(None);
        };
        let advance = local.begin_advance(cell, change.clone(), now);
        local.displace();
        match remote.advance(cell.text(), change).await {
            Ok(mark) => {
                local.advanced(cell, advance, mark.clone(), local.clock().now());
                Advanced::Done(Some(mark))
            }
            Err(error) => {
                self.counters.remote_error(&error);
                self.await_advance(Arc::clone(cell), advance);
                Advanced::Pending(error)
            }
        }
    }

    /// Gives up what marks say is gone.
    async fn sweep_l1(&self) -> u64 {
        let mut sweep = self.local.sweep(self.local.clock().now());
        let mut given_up = 0;
        while let Some(went) = sweep.step(&self.local, L1_STEP) {
            given_up += went as u64;
            tokio::task::yield_now().await;
        }
        self.tidy();
        given_up
    }
}

/// What became of an advance.
enum Advanced {
    /// The mark is this now; `None` without an L2.
    Done(Option<Mark>),
    Pending(RemoteError),
}

fn outcome(advanced: &Option<impl Borrow<Advanced>>) -> L2Write {
    match advanced.as_ref().map(Borrow::borrow) {
        Some(Advanced::Done(Some(_))) => L2Write::Done,
        Some(Advanced::Done(None)) => L2Write::NotConfigured,
        Some(Advanced::Pending(_)) | None => L2Write::Pending,
    }
}

fn starting_with(prefix: &str) -> String {
    let mut pattern = glob::escape(prefix);
    pattern.push('*');
    pattern
}

/// Entries that L1 gives up between two yields.
const L1_STEP: usize = 1_024;
