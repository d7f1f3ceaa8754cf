//! The entries themselves, in the engine that decides who stays.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use super::clock::Clock;
use super::engine::{AnyEngine, Engine as _, EngineKind};
use super::entry::{Entry, Phase};
use super::table::Shelf;

/// How much of the capacity an entry takes. At least 1.
pub(crate) type Weigher<K, V> = Arc<dyn Fn(&K, Option<&V>) -> u32 + Send + Sync>;

/// The engine of one cache with its weigher.
pub(super) struct Store<K, V> {
    engine: AnyEngine<K, Arc<Entry<V>>>,
    weigher: Option<Weigher<K, V>>,
    clock: Clock,
}

impl<K, V> Store<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(
        kind: EngineKind,
        capacity: u64,
        weigher: Option<Weigher<K, V>>,
        clock: Clock,
    ) -> Self {
        Self { engine: AnyEngine::new(kind, capacity, weigher.is_some()), weigher, clock }
    }

    pub(super) fn engine(&self) -> &AnyEngine<K, Arc<Entry<V>>> {
        &self.engine
    }

    /// The entry of `key`, expired or not. The engine's policy does not learn of it.
    pub(super) fn look<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.engine.peek(key, Arc::clone)
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

    /// What is too heavy for the engine is not kept, and nothing else either.
    fn insert(&self, key: K, entry: Arc<Entry<V>>) {
        let weigh = |weigher: &Weigher<K, V>| weigher(&key, entry.value().map(AsRef::as_ref));
        let weight = self.weigher.as_ref().map_or(1, weigh).max(1);
        self.engine.insert(key, entry, weight);
    }

    fn remove(&self, key: &K) {
        self.engine.remove(key);
    }
}
