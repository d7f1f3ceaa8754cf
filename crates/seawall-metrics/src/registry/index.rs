//! From the key a macro holds to the cell, without a new key and without a copy
//! of the old one.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use metrics::Key;
use parking_lot::RwLock;

use super::line::Line;

/// Series by the hash of the keys they were looked up with: a key brings its
/// own, computed when it was made and the same for any order of labels. Whether
/// a series is the one is seen from its name and labels, so keys that share a
/// hash stay apart. Keys of one series that are spelt differently (`a.b`, `a_b`)
/// have an entry each, of 16 bytes.
pub(crate) struct Index<C> {
    histograms: bool,
    shards: [CachePadded<Shard<C>>; SHARDS],
}

type Shard<C> = RwLock<HashTable<(u64, Arc<Line<C>>)>>;

impl<C> Index<C> {
    pub(crate) fn new(histograms: bool) -> Self {
        let shards = std::array::from_fn(|_| CachePadded::new(RwLock::new(HashTable::new())));
        Self { histograms, shards }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Line<C>>> {
        let hash = spread(key);
        let shard = self.shard(hash)?.read();
        self.find(&shard, hash, key).cloned()
    }

    pub(crate) fn insert(&self, key: &Key, cell: &Arc<Line<C>>) {
        let hash = spread(key);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let mut shard = shard.write();
        if self.find(&shard, hash, key).is_none() {
            shard.insert_unique(hash, (hash, cell.clone()), |(known, _)| *known);
        }
    }

    /// Lets go of cells by their addresses.
    pub(crate) fn forget(&self, cells: &HashSet<usize>) {
        for shard in &self.shards {
            shard.write().retain(|(_, cell)| !cells.contains(&(Arc::as_ptr(cell) as usize)));
        }
    }

    fn find<'a>(
        &self,
        shard: &'a HashTable<(u64, Arc<Line<C>>)>,
        hash: u64,
        key: &Key,
    ) -> Option<&'a Arc<Line<C>>> {
        let is =
            |(known, line): &(u64, Arc<Line<C>>)| *known == hash && line.is(key, self.histograms);
        shard.find(hash, is).map(|(_, line)| line)
    }

    fn shard(&self, hash: u64) -> Option<&Shard<C>> {
        self.shards.get((hash >> 32) as usize % SHARDS).map(|shard| &**shard)
    }
}

/// The hash of a key is not mixed to the last bit; the table uses the top ones.
#[inline]
pub(super) fn spread(key: &Key) -> u64 {
    let mixed = u128::from(key.get_hash()) * 0x9E37_79B9_7F4A_7C15_u128;
    (mixed >> 64) as u64 ^ mixed as u64
}

const SHARDS: usize = 16;
