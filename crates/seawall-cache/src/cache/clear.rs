//! Invalidating many entries at once: by tag, by namespace, by pattern.

use super::Cache;
use crate::error::Error;
use crate::key::CacheKey;
use crate::marks::{MarkChange, glob};
use crate::outcome::Cleared;
use crate::remote::Swept;

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
        self.inner.advance_tag(tag, MarkChange::Hard).await
    }

    /// Makes all entries that carry `tag` stale.
    pub async fn expire_tag(&self, tag: &str) -> Cleared {
        self.inner.advance_tag(tag, MarkChange::Soft).await
    }

    /// Removes all entries of this namespace.
    pub async fn clear(&self) -> Cleared {
        self.inner.advance_namespace(MarkChange::Hard).await
    }

    /// Makes all entries of this namespace stale.
    pub async fn expire_all(&self) -> Cleared {
        self.inner.advance_namespace(MarkChange::Soft).await
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
        self.inner.advance_namespace(MarkChange::Clear { pattern, hard: true }).await
    }

    /// Makes stale what [`remove_matching`](Self::remove_matching) would remove.
    pub async fn expire_matching(&self, pattern: &str) -> Cleared {
        let pattern = pattern.to_owned();
        self.inner.advance_namespace(MarkChange::Clear { pattern, hard: false }).await
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

fn starting_with(prefix: &str) -> String {
    let mut pattern = glob::escape(prefix);
    pattern.push('*');
    pattern
}
