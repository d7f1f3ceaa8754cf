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
use crate::stats::{Counters, Stats};
use crate::text;

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
    /// the same namespace and remote share their entries, also across processes.
    pub fn builder(namespace: impl Into<String>) -> CacheBuilder<K, V> {
        CacheBuilder::new(namespace.into())
    }

    pub(crate) fn new(namespace: &str, config: CacheConfig, remote: Option<Guarded>) -> Self {
        if let Some(remote) = &remote {
            remote.expect_ttl(config.ttl);
        }
        let inner = Inner {
            namespace: namespace.into(),
            local: Arc::new(Local::new(config.capacity)),
            sources: MinSources::new(config.tombstone_ttl, MIN_SOURCES),
            counters: Counters::new(namespace),
            tasks: watch::Sender::new(()),
            config,
            remote,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is cached under `key`. Runs no loader and waits for none.
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
        let inner = &self.inner;
        if let Some(got) = inner.hit(key) {
            return Ok(Some(got));
        }
        let Some(remote) = &inner.remote else {
            inner.counters.missed();
            return Ok(None);
        };
        let lease = inner.local.lease(key.to_owned());
        let min_source = inner.sources.get(lease.key(), Instant::now());
        match inner.look(remote, &inner.text(key), min_source).await {
            Looked::Hit(entry) => {
                let got = inner.keep(&lease, entry);
                inner.counters.answered(&got);
                Ok(Some(got))
            }
            Looked::Miss { .. } => {
                inner.counters.missed();
                Ok(None)
            }
            Looked::Failed(error) => Err(Error::Remote(error)),
        }
    }

    /// What is cached under `key`, or else what `loader` brings, which is then cached.
    ///
    /// However many callers miss at once, in whatever order they leave, one `loader` runs: on a
    /// task of its own, under the cache's load timeout, and its answer goes to all of them. The
    /// loaders of the others are dropped unused. A caller that arrives after a
    /// [`remove`](Self::remove) or [`set`](Self::set) of the key never joins a load from before.
    ///
    /// If L2 is out of reach, the loader runs all the same, and
    /// [`degraded`](Got::degraded) says so.
    ///
    /// Dropping the future does not stop a load that has begun: it goes on and fills the cache.
    ///
    /// # Errors
    /// If the load that this call started or joined failed, panicked, or took too long. Errors
    /// are shared by all that waited for the load, and are not cached.
    pub async fn get_or_load<Q, F, Fut, L, E>(
        &self,
        key: &Q,
        loader: F,
    ) -> Result<Got<V>, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(Load) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: StdError + Send + Sync + 'static,
    {
        let inner = &self.inner;
        if let Some(got) = inner.hit(key) {
            return Ok(got);
        }
        let mut flight = match inner.local.join(key.to_owned(), Instant::now()) {
            Join::Hit(entry) => {
                let got = entry.got(Layer::L1, Instant::now());
                inner.counters.answered(&got);
                return Ok(got);
            }
            Join::Wait(flight) => flight,
            Join::Lead(lease, sender) => load::start(inner, lease, sender, loader),
        };
        let ended = match flight.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Err(Failure::Aborted)),
            Err(_) => Err(Failure::Aborted),
        };
        match ended {
            Ok(got) => {
                inner.counters.answered(&got);
                Ok(got)
            }
            Err(failure) => {
                inner.counters.failed();
                Err(failure.into_error())
            }
        }
    }

    /// Caches `value` (or a [`Loaded`], to choose its TTL and source version) under `key`, in both
    /// layers, over whatever is there; loads in flight are not kept.
    ///
    /// A value with a source version does not replace one with a newer source version, and loads
    /// on this node are told to reach it ([`Load::min_source`]) for the tombstone TTL. A value that is [`uncached`](Loaded::uncached), or has a TTL of zero, removes the key.
    ///
    /// If L2 does not acknowledge it, L1 holds the value and the old entry in L2 is removed as
    /// soon as L2 is back: see [`L2Write::Pending`](crate::L2Write::Pending).
    ///
    /// Once polled, it runs to its end even if the future is dropped.
    pub async fn set<Q>(&self, key: &Q, value: impl Into<Loaded<V>>) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        write::detached(&self.inner, key.to_owned(), write::Write::Set(value.into())).await
    }

    /// Removes `key` from both layers. When it has returned, no read on this node answers with
    /// what was there before, and no load that began before, on any node, is kept.
    ///
    /// If L2 does not acknowledge it, this process repeats it until L2 does, and until then does
    /// not read the key from L2: see [`L2Write::Pending`](crate::L2Write::Pending).
    ///
    /// Other nodes may hold the old value in their L1 for up to their
    /// [`l1_ttl`](CacheConfig::l1_ttl).
    ///
    /// Once polled, it runs to its end even if the future is dropped.
    pub async fn remove<Q>(&self, key: &Q) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        self.remove_after(key, 0).await
    }

    /// [`remove`](Self::remove) because of a write to the source that has version `source`, such
    /// as the commit LSN of a PostgreSQL transaction. For the tombstone TTL from now on, loads of
    /// `key` are told to reach it ([`Load::min_source`]), and what is older is not cached, on any
    /// node: a lagging replica cannot bring the old value back.
    pub async fn remove_after<Q>(&self, key: &Q, source: u64) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        write::detached(&self.inner, key.to_owned(), write::Write::Remove { source }).await
    }

    /// What this cache has done since it was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot(self.inner.local.len())
    }

    /// How this cache keeps its entries.
    #[must_use]
    pub fn config(&self) -> &CacheConfig {
        &self.inner.config
    }

    /// Waits until the loads and writes in flight have ended: at most the load timeout, then a
    /// deadline of L2. The cache stays usable; the remote is shared and is shut down by itself.
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
            .field("namespace", &self.inner.namespace)
            .field("config", &self.inner.config)
            .field("remote", &self.inner.remote)
            .finish_non_exhaustive()
    }
}

/// What the clones of a cache share.
pub(crate) struct Inner<K: Hash + Eq, V> {
    namespace: Box<str>,
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
        text::entry(&self.namespace, key)
    }
}

/// Removed keys whose source version is remembered one by one.
const MIN_SOURCES: usize = 65_536;

#[cfg(test)]
mod tests;
