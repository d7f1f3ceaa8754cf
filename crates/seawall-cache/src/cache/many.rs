//! Many keys at once.

use std::error::Error as StdError;

use super::batch::Batch;
use super::flight::Failure;
use super::{Cache, loader};
use crate::error::{Error, LoadError};
use crate::key::CacheKey;
use crate::loaded::{LoadMany, Loaded, LoadedItem};
use crate::outcome::{Got, Written};

impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// [`get`](Self::get) of many keys, answered in their order. What L1 lacks is asked of L2
    /// together: one command or pipeline for each of its nodes and 256 keys.
    pub async fn get_many(&self, keys: &[K]) -> Vec<Result<Option<Got<V>>, Error>> {
        Box::pin(self.inner.get_many(keys)).await
    }

    /// [`get_or_load`](Self::get_or_load) of many keys, answered in their order.
    ///
    /// What neither layer has is loaded by one call of `loader`, with exactly the keys that nobody
    /// is loading, each once; loads of the others, here or on another node, are waited for.
    /// `loader` is called once more, with one key, for a key that another node was loading and
    /// then did not bring.
    ///
    /// The loader answers with pairs of a key and what it found, such as a `HashMap`. A key it
    /// leaves out is absent: see [`Loaded::absent`]. It may fail as a whole, or key by key, if the
    /// values are `Result`s: see [`LoadedItem`].
    ///
    /// Dropping the future does not stop a load that has begun: it goes on and fills the cache.
    pub async fn get_many_or_load<F, Fut, M, L, E>(
        &self,
        keys: &[K],
        loader: F,
    ) -> Vec<Result<Got<V>, LoadError<E>>>
    where
        F: Fn(Vec<K>, LoadMany<K, V>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M, E>> + Send + 'static,
        M: IntoIterator<Item = (K, L)>,
        L: LoadedItem<V, E>,
        E: StdError + Send + Sync + 'static,
    {
        let batch = Batch::new(&self.inner, keys);
        let ended = if batch.is_complete() {
            batch.into_answers()
        } else {
            Box::pin(self.inner.load_many(batch, loader::erase_many(loader))).await
        };
        ended.into_iter().map(|ended| ended.map_err(Failure::into_error)).collect()
    }

    /// [`set`](Self::set) of many keys, answered in their order. Each is a write of its own: some
    /// may be partial and others not. Of a key that stands twice, the later value is written last.
    ///
    /// Once polled, all are made even if the future is dropped.
    pub async fn set_many<L: Into<Loaded<V>>>(
        &self,
        entries: impl IntoIterator<Item = (K, L)>,
    ) -> Vec<Written> {
        let entries = entries.into_iter().map(|(key, value)| (key, value.into())).collect();
        Box::pin(self.inner.set_many(entries)).await
    }

    /// [`remove`](Self::remove) of many keys, answered in their order.
    ///
    /// Once polled, all are made even if the future is dropped.
    pub async fn remove_many(&self, keys: &[K]) -> Vec<Written> {
        Box::pin(self.inner.remove_many(keys)).await
    }
}
