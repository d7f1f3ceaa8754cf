//! Loaders without their types, so that what runs them is compiled once for each cache.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;

use super::flight::Failure;
use crate::loaded::{Load, LoadMany, Loaded, LoadedItem};

type Running<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// The loader of one key.
pub(super) type Loader<V> = Box<dyn FnOnce(Load<V>) -> Running<Loaded<V>> + Send>;

/// The loader of a batch.
pub(super) type ManyLoader<K, V> =
    Arc<dyn Fn(Vec<K>, LoadMany<K, V>) -> Running<Answers<K, V>> + Send + Sync>;

/// What a batch's loader brought. Keys that are missing are absent.
pub(super) type Answers<K, V> = HashMap<K, Result<Loaded<V>, Failure>>;

pub(super) fn erase<V, F, Fut, L, E>(loader: F) -> Loader<V>
where
    V: Send + Sync + 'static,
    F: FnOnce(Load<V>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<L, E>> + Send + 'static,
    L: Into<Loaded<V>>,
    E: StdError + Send + Sync + 'static,
{
    // The loader is called inside, so that a panic of its synchronous part is caught too.
    Box::new(move |load| {
        Box::pin(async move { loader(load).await.map(Into::into).map_err(Failure::loader) })
    })
}

pub(super) fn erase_many<K, V, F, Fut, M, L, E>(loader: F) -> ManyLoader<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    F: Fn(Vec<K>, LoadMany<K, V>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<M, E>> + Send + 'static,
    M: IntoIterator<Item = (K, L)>,
    L: LoadedItem<V, E>,
    E: StdError + Send + Sync + 'static,
{
    let loader = Arc::new(loader);
    Arc::new(move |keys, load| {
        let loader = Arc::clone(&loader);
        Box::pin(async move {
            let answers = loader(keys, load).await.map_err(Failure::loader)?;
            let item = |(key, item): (K, L)| (key, item.into_loaded().map_err(Failure::loader));
            Ok(answers.into_iter().map(item).collect())
        })
    })
}

/// The loader of one key of a batch, for a key that cannot be loaded with the others.
pub(super) fn one_of<K, V>(many: ManyLoader<K, V>, key: K) -> Loader<V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    Box::new(move |load| {
        Box::pin(async move {
            let previous = load.previous.map(|previous| (key.clone(), previous));
            let load =
                LoadMany { min_source: load.min_source, previous: previous.into_iter().collect() };
            let mut answers = many(vec![key.clone()], load).await?;
            answers.remove(&key).unwrap_or_else(|| Ok(Loaded::absent()))
        })
    })
}
