//! The cache: what users call.
//!
//! - This file, [`many`], [`write`], [`clear`]: the calls.
//! - [`approach`]: what a read does before it waits; [`flight`]: what it waits for.
//! - [`leader`], [`turn`], [`settle`]: one load, from the look into L2 to the entry that is kept;
//!   [`batch`]: many at once.
//! - [`look`], [`marks`]: what L2 has, and what the marks say of it.
//! - [`background`]: what is compared with L2 when no caller waits.

mod approach;
mod background;
mod batch;
mod clear;
mod flight;
mod leader;
mod loader;
mod look;
mod many;
mod marks;
mod settle;
mod turn;
mod unheard;
mod write;

use std::borrow::Borrow;
use std::error::Error as StdError;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use self::approach::First;
use self::background::Background;
use self::flight::Failure;
pub(crate) use self::flight::Progress;
use self::unheard::Unheard;
use crate::budget::{Member as _, Seat};
use crate::builder::{CacheBuilder, Parts};
use crate::codec::{Codec, Postcard};
use crate::config::CacheConfig;
use crate::error::{Error, LoadError};
use crate::key::CacheKey;
use crate::loaded::{Load, Loaded};
use crate::local::{Local, Mode, Options, Tick};
use crate::outcome::{CacheStatus, Coherence, Got};
use crate::record::Bounds;
use crate::remote::guarded::Guarded;
use crate::sources::MinSources;
use crate::staleness::Policy;
use crate::stats::{Counters, Stats};
use crate::text;
use crate::throttle::Throttle;

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
        let (look, now) = match self.inner.plain(key) {
            Ok(plain) => return Ok(Some(plain.into_got())),
            Err(looked) => *looked,
        };
        match self.inner.first(look, now) {
            First::Hit(got) | First::Early(got, _) => Ok(Some(got)),
            First::Else(look) => Box::pin(self.inner.get_slowly(key.to_owned(), look)).await,
        }
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
        let (look, now) = match inner.plain(key) {
            Ok(plain) => return Ok(plain.into_got()),
            Err(looked) => *looked,
        };
        match inner.first(look, now) {
            First::Hit(got) => Ok(got),
            First::Early(got, entry) => {
                inner.refresh_ahead(key.to_owned(), &entry, loader::erase(loader));
                Ok(got)
            }
            First::Else(look) => {
                let load = inner.load_slowly(key.to_owned(), look, loader::erase(loader));
                Box::pin(load).await.map_err(Failure::into_error)
            }
        }
    }

    /// What this cache has done since it was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot(self.inner.local.filling())
    }

    /// The capacity of L1 now: entries, or bytes if there is a weigher.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.inner.local.capacity()
    }

    /// Changes the capacity of L1, up to the one the cache was built with, which is where it stays
    /// if more is asked for. When it shrinks, entries go that were not used lately: some thousands
    /// now, the others within seconds. Reads are not held up. A cache with a
    /// [budget](CacheBuilder::budget) gets its capacity from there, about once a second.
    pub fn set_capacity(&self, capacity: u64) {
        self.inner.local.set_capacity(capacity);
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
            .field("namespace", &self.inner.namespace)
            .field("config", &self.inner.config)
            .field("remote", &self.inner.remote)
            .finish_non_exhaustive()
    }
}

/// The right to write one key of L1.
type Lease<K, V> = crate::local::Lease<K, V, Progress<V>>;

/// What the clones of a cache share.
pub(crate) struct Inner<K: Hash + Eq, V> {
    namespace: Box<str>,
    config: CacheConfig,
    /// Its place in a budget, if it shares one.
    seat: Option<Seat>,
    policy: Policy,
    bounds: Bounds,
    /// There is one if there is a remote.
    codec: Option<Arc<dyn Codec<V>>>,
    local: Arc<Local<K, V, Progress<V>>>,
    sources: MinSources<K>,
    throttle: Throttle<K>,
    remote: Option<Guarded>,
    counters: Arc<Counters>,
    background: Background<K, V>,
    asking: marks::Asking,
    unheard: Unheard,
    tidy_at: AtomicU64,
    /// Every task of ours holds a receiver, so that `shutdown` can wait for the last.
    tasks: watch::Sender<()>,
}

impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(parts: Parts<K, V>) -> Self {
        let Parts { namespace, config, remote, codec, weigher, budget, clock } = parts;
        let mut policy = Policy::new(&config);
        if remote.is_none() {
            policy.ask_nobody();
        }
        let options = Options {
            engine: config.engine,
            capacity: match (&budget, config.capacity_bytes) {
                (Some(sharing), bytes) => {
                    bytes.map_or(sharing.budget.bytes(), |bytes| bytes.min(sharing.budget.bytes()))
                }
                (None, bytes) => bytes.unwrap_or(config.capacity),
            },
            weigher: weigher.filter(|_| config.capacity_bytes.is_some() || budget.is_some()),
            remote: remote.is_some(),
            l1_ttl: config.l1_ttl.unwrap_or(config.ttl),
            max_staleness: config.max_staleness,
            refresh_beta: config.refresh_beta,
            load_timeout: config.load_timeout,
            node: remote.as_ref().map_or(0, |remote| remote.node(&text::namespace(&namespace))),
            namespace: namespace.clone(),
            clock,
        };
        let local = Arc::new(Local::new(options));
        let counters = Arc::new(Counters::new(&namespace, config.hits_alias));
        let background = Background::new(&local, &counters);
        if let Some(remote) = &remote {
            remote.expect_ttl(policy.longest());
            background.watch(&namespace, remote);
        }
        let seat = budget.map(|sharing| {
            let member: Weak<Local<_, _, _>> = Arc::downgrade(&local);
            sharing.budget.join(&namespace, sharing.weight, sharing.floor, member)
        });
        let inner = Inner {
            namespace: namespace.into(),
            seat,
            policy,
            bounds: Bounds {
                record: config.max_record_bytes,
                value: config.max_value_bytes,
                compress_above: config.compress_above,
            },
            codec,
            local,
            sources: MinSources::new(config.tombstone_ttl, MIN_SOURCES),
            throttle: Throttle::new(THROTTLED),
            counters,
            background,
            asking: marks::Asking::default(),
            unheard: Unheard::default(),
            tidy_at: AtomicU64::new(0),
            tasks: watch::Sender::new(()),
            config,
            remote,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The key's name in L2.
    fn text<Q: CacheKey + ?Sized>(&self, key: &Q) -> String {
        text::entry(&self.namespace, key)
    }

    /// Gives back the memory of what has expired, a little at a time. Called where entries come
    /// and go, so that a cache that nobody fills costs nothing.
    fn tidy(&self) {
        let now = self.local.clock().now();
        let due = Tick::from_bits(self.tidy_at.load(Ordering::Relaxed));
        if now < due {
            return;
        }
        let next = now.plus(TIDY_EVERY).to_bits();
        let mine = self.tidy_at.compare_exchange(
            due.to_bits(),
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if mine.is_ok() {
            self.local.tidy(now);
            if let Some(seat) = &self.seat {
                seat.tick(Instant::now());
            }
            self.throttle.tidy(Instant::now());
            self.counters.filling(self.local.filling());
            self.status();
        }
    }

    fn status(&self) -> CacheStatus {
        let coherence = self.local.coherence();
        let how = match coherence.mode() {
            Mode::Alone => Coherence::Alone,
            Mode::Timed => Coherence::Unwatched,
            Mode::Watched if coherence.is_interrupted() => Coherence::Interrupted,
            Mode::Watched => Coherence::Watching,
        };
        let staleness = coherence.staleness(self.local.clock().now());
        if let Some(staleness) = staleness {
            self.counters.staleness(staleness);
        }
        CacheStatus { coherence: how, staleness, remote: self.remote.as_ref().map(Guarded::status) }
    }
}

/// Removed keys whose source version is remembered one by one.
const MIN_SOURCES: usize = 65_536;

/// Keys whose loader failed that are left alone one by one.
const THROTTLED: usize = 65_536;

const TIDY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
