//! The entries themselves, in the engine that decides who stays.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use super::clock::Clock;
use super::engine::{AnyEngine, Engine as _, EngineKind, own};
use super::entry::{Entry, Phase};
use super::table::Shelf;

/// How much of the capacity an entry takes. At least 1.
pub(crate) type Weigher<K, V> = Arc<dyn Fn(&K, Option<&V>) -> u32 + Send + Sync>;

/// The engine of one cache with its weigher.
pub(super) struct Store<K, V> {
    engine: AnyEngine<K, Entry<V>>,
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

    pub(super) fn engine(&self) -> &AnyEngine<K, Entry<V>> {
        &self.engine
    }

    /// A snapshot of the entry of `key`, expired or not. The engine's policy does not learn of it.
    pub(super) fn look<Q>(&self, key: &Q) -> Option<Entry<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.engine.peek(key, own)
    }
}

impl<K, V> Shelf<K> for Store<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Item = Entry<V>;

    fn peek<T>(&self, key: &K, look: impl FnOnce(&Entry<V>) -> T) -> Option<T> {
        let now = self.clock.now();
        let live = |entry: &Entry<V>| entry.phase(now, 0) != Phase::Expired;
        self.engine.reach(key, |entry| live(entry).then(|| look(entry))).flatten()
    }

    fn peek_any<T>(&self, key: &K, look: impl FnOnce(&Entry<V>) -> T) -> Option<T> {
        self.engine.reach(key, look)
    }

    /// What is too heavy for the engine is not kept, and nothing else either.
    fn insert(&self, key: K, entry: Entry<V>) {
        let weigh = |weigher: &Weigher<K, V>| weigher(&key, entry.value().map(AsRef::as_ref));
        let weight = self.weigher.as_ref().map_or(1, weigh).max(1);
        self.engine.insert(key, entry, weight);
    }

    fn remove(&self, key: &K) {
        self.engine.remove(key);
    }
}
