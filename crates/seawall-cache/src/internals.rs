//! Parts for the workspace's own benches. Not covered by any promise.

use std::fmt;
use std::hash::Hash;

use crate::local::engine::{AnyEngine, Engine as _, EngineKind, own};

/// An engine of L1 without the cache around it.
pub struct BareEngine<K, T>(AnyEngine<K, T>);

impl<K, T> BareEngine<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Holds `capacity` entries.
    #[must_use]
    pub fn new(kind: EngineKind, capacity: u64) -> Self {
        Self(AnyEngine::new(kind, capacity, false))
    }

    /// A clone of the entry of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<T> {
        self.0.read(key, own)
    }

    /// Takes an entry.
    pub fn insert(&self, key: K, value: T) {
        self.0.insert(key, value, 1);
    }
}

impl<K, T> fmt::Debug for BareEngine<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareEngine").finish_non_exhaustive()
    }
}
