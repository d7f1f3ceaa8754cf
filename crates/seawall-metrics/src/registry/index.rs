//! From the key a macro holds to the cell, without building a new key.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use metrics::Key;
use parking_lot::RwLock;

/// Keys as the callers spell them. A key brings its own hash, computed when it
/// was made and the same for any order of labels; equality is by content, so
/// keys that share a hash stay apart.
pub(crate) struct Index<C> {
    shards: [CachePadded<Shard<C>>; SHARDS],
}

type Shard<C> = RwLock<HashTable<(Key, Arc<C>)>>;

impl<C> Index<C> {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| CachePadded::new(RwLock::new(HashTable::new()))) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<C>> {
        let hash = spread(key);
        let shard = self.shard(hash)?.read();
        shard.find(hash, |(known, _)| known == key).map(|(_, cell)| cell.clone())
    }

    pub(crate) fn insert(&self, key: &Key, cell: &Arc<C>) {
        let hash = spread(key);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let mut shard = shard.write();
        if shard.find(hash, |(known, _)| known == key).is_none() {
            let entry = (key.to_retained(), cell.clone());
            shard.insert_unique(hash, entry, |(known, _)| spread(known));
        }
    }

    /// Lets go of cells by their addresses.
    pub(crate) fn forget(&self, cells: &HashSet<usize>) {
        for shard in &self.shards {
            shard.write().retain(|(_, cell)| !cells.contains(&(Arc::as_ptr(cell) as usize)));
        }
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
