//! The marks of tags and of the namespace, as reads and loads need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::Inner;
use crate::key::CacheKey;
use crate::local::Cell;
use crate::remote::guarded::Guarded;
use crate::remote::{MarkRead, RemoteError};
use crate::text;

/// Cells with the stamps of their marks.
pub(super) type Stamped = Vec<(Arc<Cell>, u64)>;

/// Lets one read of the namespace's mark stand for all that want it.
#[derive(Debug, Default)]
pub(super) struct Asking {
    gate: tokio::sync::Mutex<()>,
    failures: AtomicU64,
}

/// The stamps of an entry's tags.
pub(super) enum Stamps {
    /// What the marks were when the load began, or before.
    Known(Stamped),
    /// L2 could not say: what was known last.
    Guessed(Stamped),
    /// A tag was invalidated while the load ran, or that cannot be ruled out.
    Moved,
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The cell of `tag`.
    pub(super) fn tag(&self, tag: &str) -> Arc<Cell> {
        let text = text::tag(&self.namespace, tag);
        let node = self.remote.as_ref().map_or(0, |remote| remote.node(&text));
        self.local.tag(&text, node)
    }

    /// Reads the marks of `cells` from L2 and tells the cells. `since`: see [`MarkRead::unmoved`].
    pub(super) async fn read_marks(
        &self,
        remote: &Guarded,
        cells: &[Arc<Cell>],
        since: Instant,
    ) -> Result<Vec<MarkRead>, RemoteError> {
        let clock = self.local.clock();
        let mut all = Vec::with_capacity(cells.len());
        for cells in cells.chunks(AT_ONCE) {
            let texts: Vec<_> = cells.iter().map(|cell| cell.text().to_owned()).collect();
            cells.iter().for_each(|cell| cell.place(remote.node(cell.text())));
            let ask = self.local.ask(clock.now());
            let reads = match remote.marks(&texts, since).await {
                Ok(reads) if reads.len() == cells.len() => reads,
                Ok(_) => return Err(RemoteError::Refused("not one answer for each mark".into())),
                Err(error) => {
                    self.counters.remote_error(&error);
                    return Err(error);
                }
            };
            let now = clock.now();
            for (cell, read) in cells.iter().zip(&reads) {
                let held = if read.unmoved { clock.tick(since).min(now) } else { now };
                self.local.learn(cell, ask, read.mark.clone(), held);
            }
            all.extend(reads);
        }
        Ok(all)
    }

    /// Reads the namespace's mark, if this node does not know it.
    pub(super) async fn know_namespace(&self) {
        let _ = self.namespace_stamp().await;
    }

    /// The stamp of the namespace for a load that begins after this, or for a write. `Err`: L2
    /// could not say, and this is what was known last. However many ask at once, L2 is asked once.
    pub(super) async fn namespace_stamp(&self) -> Result<u64, u64> {
        let cell = self.local.namespace();
        let known = || self.local.stamp(cell, self.local.clock().now());
        if let Some(stamp) = known() {
            return Ok(stamp);
        }
        let unknown = Err(cell.last_known().unwrap_or_default());
        let Some(remote) = &self.remote else { return unknown };
        let failures = self.asking.failures.load(Ordering::Acquire);
        let _one_at_a_time = self.asking.gate.lock().await;
        if let Some(stamp) = known() {
            return Ok(stamp);
        }
        if self.asking.failures.load(Ordering::Acquire) != failures {
            // Whom this waited for had no answer.
            return unknown;
        }
        match self.read_marks(remote, std::slice::from_ref(cell), Instant::now()).await {
            Ok(reads) => reads.first().map_or(unknown, |read| Ok(read.mark.version())),
            Err(_) => {
                self.asking.failures.fetch_add(1, Ordering::Release);
                unknown
            }
        }
    }

    /// What was known last of the namespace's mark, for a load that begins while L2 is out of reach.
    pub(super) fn last_namespace_stamp(&self) -> Result<u64, u64> {
        let cell = self.local.namespace();
        let known = self.local.stamp(cell, self.local.clock().now());
        known.ok_or_else(|| cell.last_known().unwrap_or_default())
    }

    /// The stamps of `tags` for a load that began at `began`. L2 is asked only if it is in reach.
    pub(super) async fn tag_stamps(
        &self,
        tags: &[Box<str>],
        began: Instant,
        in_reach: bool,
    ) -> Stamps {
        self.stamps(tags, began, self.remote.as_ref().filter(|_| in_reach), true).await
    }

    /// The stamps of `tags` for a write: what the marks are now.
    pub(super) async fn tag_stamps_now(&self, tags: &[Box<str>]) -> Stamps {
        self.stamps(tags, Instant::now(), self.remote.as_ref(), false).await
    }

    async fn stamps(
        &self,
        tags: &[Box<str>],
        began: Instant,
        remote: Option<&Guarded>,
        unmoved: bool,
    ) -> Stamps {
        if tags.is_empty() {
            return Stamps::Known(Vec::new());
        }
        let cells: Vec<_> = tags.iter().map(|tag| self.tag(tag)).collect();
        let began_at = self.local.clock().tick(began);
        let mut stamps: Vec<_> =
            cells.iter().map(|cell| self.local.stamp(cell, began_at)).collect();
        let unknown: Vec<_> = (0..cells.len()).filter(|index| stamps[*index].is_none()).collect();
        if !unknown.is_empty() {
            if self.remote.is_none() {
                return Stamps::Moved;
            }
            let asked: Vec<_> = unknown.iter().map(|index| Arc::clone(&cells[*index])).collect();
            let reads = match remote {
                Some(remote) => self.read_marks(remote, &asked, began).await.ok(),
                None => None,
            };
            let Some(reads) = reads else {
                let last: Option<_> = cells
                    .into_iter()
                    .map(|cell| {
                        let stamp = self.local.guess(&cell, began_at)?;
                        Some((cell, stamp))
                    })
                    .collect();
                return last.map_or(Stamps::Moved, Stamps::Guessed);
            };
            for (index, read) in unknown.into_iter().zip(reads) {
                if unmoved && !read.unmoved {
                    return Stamps::Moved;
                }
                stamps[index] = Some(read.mark.version());
            }
        }
        let stamps = stamps.into_iter().map(Option::unwrap_or_default);
        Stamps::Known(cells.into_iter().zip(stamps).collect())
    }
}

/// Marks read with one command.
const AT_ONCE: usize = 256;
