//! The entries themselves, in the engine that decides who stays.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::clock::Clock;
use super::entry::{Entry, Phase};
use super::table::Shelf;

/// How much of the capacity an entry takes.
pub(crate) type Weigher<K, V> = Arc<dyn Fn(&K, Option<&V>) -> u32 + Send + Sync>;

/// The engine of one cache with its weigher.
pub(super) struct Store<K, V> {
    engine: moka::sync::Cache<K, Arc<Entry<V>>, RandomState>,
    clock: Clock,
}

impl<K, V> Store<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(
        capacity: u64,
        weigher: Option<Weigher<K, V>>,
        hasher: RandomState,
        clock: Clock,
    ) -> Self {
        let mut engine = moka::sync::Cache::builder().max_capacity(capacity);
        if let Some(weigher) = weigher {
            engine = engine.weigher(move |key, entry: &Arc<Entry<V>>| {
                weigher(key, entry.value().map(AsRef::as_ref))
            });
        }
        Self { engine: engine.build_with_hasher(hasher), clock }
    }

    /// The entry of `key`, expired or not. Feeds the engine's policy.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.engine.get(key)
    }

    /// [`get`](Self::get) that feeds nothing.
    pub(super) fn look<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.engine.get(key)
    }

    pub(super) fn len(&self) -> u64 {
        self.engine.entry_count()
    }

    pub(super) fn for_each(&self, visit: &mut dyn FnMut(&K, &Arc<Entry<V>>)) {
        for (key, entry) in &self.engine {
            visit(&key, &entry);
        }
    }
}

impl<K, V> Shelf<K> for Store<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Item = Arc<Entry<V>>;

    fn peek(&self, key: &K) -> Option<Arc<Entry<V>>> {
        let now = self.clock.now();
        self.look(key).filter(|entry| entry.phase(now, 0) != Phase::Expired)
    }

    fn peek_any(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.look(key)
    }

    fn insert(&self, key: K, entry: Arc<Entry<V>>) {
        self.engine.insert(key, entry);
    }

    fn remove(&self, key: &K) {
        self.engine.invalidate(key);
    }
}

impl<K, V> fmt::Debug for Store<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
