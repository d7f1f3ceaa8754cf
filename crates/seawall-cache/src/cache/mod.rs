//! The cache: what users call.

mod l2;
mod load;
mod write;

use std::borrow::Borrow;
use std::error::Error as StdError;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use self::l2::Looked;
use self::load::{Ended, Failure};
use crate::builder::CacheBuilder;
use crate::config::CacheConfig;
use crate::error::{Error, LoadError};
use crate::key::CacheKey;
use crate::loaded::{Load, Loaded};
use crate::local::{Join, Local};
use crate::outcome::{Got, Layer, Written};
use crate::remote::guarded::Guarded;
use crate::sources::MinSources;
use crate::staleness::Policy;
use crate::stats::{Counters, Stats};

/// A typed cache of one namespace: L1 in this process and, if it has a remote, L2 there.
///
/// Clones are cheap and share everything. Use it within a Tokio runtime. See the
/// [crate's page](crate) for an example, the consistency it gives and what it costs.
pub struct Cache<K: Hash + Eq, V> {
    inner: Arc<Inner<K, V>>,
}

impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Begins a cache of `namespace`: 1 to 64 ASCII letters, digits, `_`, `-` or `.`. Caches with
    /// the same namespace and remote share their entries, also across processes. Values are
    /// written to L2 by [`Postcard`], unless the builder is given another codec.
    pub fn builder(namespace: impl Into<String>) -> CacheBuilder<K, V> {
        CacheBuilder::new(namespace.into()).codec(Postcard)
    }
}

impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Begins a cache of `namespace` whose values need not be written anywhere: L1 only, unless
    /// the builder is given a [codec](CacheBuilder::codec) and a remote.
    pub fn local(namespace: impl Into<String>) -> CacheBuilder<K, V> {
        CacheBuilder::new(namespace.into())
    }

    /// What is cached under `key`. Runs no loader and waits for none. What is stale is returned
    /// (and says so) within [`stale_while_revalidate`](CacheConfig::stale_while_revalidate).
    ///
    /// An L1 hit takes no lock of ours, allocates nothing and does not yield. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// [`Error::Remote`] if L1 has nothing and L2 could not be asked: not the same as `None`,
    /// which says that neither has it.
    pub async fn get<Q>(&self, key: &Q) -> Result<Option<Got<V>>, Error>
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(hit) = self.inner.hit(key) {
            return Ok(Some(hit.got));
        }
        Box::pin(self.inner.get_slowly(key.to_owned())).await
    }

    /// What L1 has under `key` and may answer with: [`get`](Self::get) without L2. It does not
    /// count as a read, neither for [`stats`](Self::stats) nor for what stays in L1.
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> Option<Got<V>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.inner.peek(key)
    }

    /// What is cached under `key`, or else what `loader` brings, which is then cached.
    ///
    /// However many callers miss at once, in whatever order they leave, one `loader` runs: on a
    /// task of its own, under the cache's load timeout, and its answer goes to all of them; with
    /// an L2, one on all nodes. The loaders of the others are dropped unused. A caller that arrives
    /// after a [`remove`](Self::remove), a [`set`](Self::set) or an invalidation never joins a load
    /// from before.
    ///
    /// A stale value is served as the cache's configuration allows, and
    /// [`freshness`](Got::freshness) says so. If L2 is out of reach, the loader runs all the same,
    /// and [`degraded`](Got::degraded) says so.
    ///
    /// Dropping the future does not stop a load that has begun: it goes on and fills the cache.
    ///
    /// # Errors
    /// If the load that this call started or joined failed, panicked, or took too long, and no
    /// stale value may be served. Errors are shared by all that waited for the load, and are not
    /// cached.
    pub async fn get_or_load<Q, F, Fut, L, E>(
        &self,
        key: &Q,
        loader: F,
    ) -> Result<Got<V>, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(Load<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: StdError + Send + Sync + 'static,
    {
        let inner = &self.inner;
        if let Some(hit) = inner.hit(key) {
            if hit.early {
                inner.refresh_ahead(key.to_owned(), loader::erase(loader));
            }
            return Ok(hit.got);
        }
        let load = inner.load_slowly(key.to_owned(), loader::erase(loader));
        Box::pin(load).await.map_err(Failure::into_error)
    }

    /// What this cache has done since it was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot(self.inner.local.len())
    }

    /// How current this node's L1 is, and whether L2 is in reach.
    #[must_use]
    pub fn status(&self) -> CacheStatus {
        self.inner.status()
    }

    /// How this cache keeps its entries.
    #[must_use]
    pub fn config(&self) -> &CacheConfig {
        &self.inner.config
    }

    /// Waits until the loads and writes in flight have ended: at most twice the load timeout, then
    /// a deadline of L2. The cache stays usable; the remote is shared and is shut down by itself.
    pub async fn shutdown(&self) {
        self.inner.tasks.closed().await;
    }
}

// By hand: a derive would ask for `K: Clone, V: Clone`.
impl<K: Hash + Eq, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: Hash + Eq, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.inner.prefix.trim_end_matches(':'))
            .field("config", &self.inner.config)
            .field("remote", &self.inner.remote)
            .finish_non_exhaustive()
    }
}

/// What the clones of a cache share.
pub(crate) struct Inner<K: Hash + Eq, V> {
    /// The namespace and the separator, before every key in L2.
    prefix: String,
    policy: Policy,
    config: CacheConfig,
    local: Arc<Local<K, V, Ended<V>>>,
    sources: MinSources<K>,
    remote: Option<Guarded>,
    counters: Counters,
    /// Every task of ours holds a receiver, so that `shutdown` can wait for the last.
    tasks: watch::Sender<()>,
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn hit<Q>(&self, key: &Q) -> Option<Got<V>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let now = Instant::now();
        let got = self.local.get(key, now)?.got(Layer::L1, now);
        self.counters.answered(&got);
        Some(got)
    }

    /// The key's name in L2.
    fn text<Q: CacheKey + ?Sized>(&self, key: &Q) -> String {
        let mut text = String::with_capacity(self.prefix.len() + 24);
        text.push_str(&self.prefix);
        key.write_key(&mut text);
        text
    }
}

/// Removed keys whose source version is remembered one by one.
const MIN_SOURCES: usize = 65_536;

#[cfg(test)]
mod tests;
