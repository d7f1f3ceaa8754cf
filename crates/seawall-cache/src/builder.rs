//! Building a cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::cache::Cache;
use crate::codec::Codec;
use crate::config::CacheConfig;
use crate::error::{ConfigError, Error};
use crate::key::CacheKey;
use crate::local::engine::EngineKind;
use crate::local::{Clock, Weigher};
use crate::remote::guarded::Guarded;

/// Builds a [`Cache`]. Metrics go to the recorder that is installed when [`build`](Self::build)
/// is called.
#[must_use = "a builder does nothing until `.build()`"]
pub struct CacheBuilder<K, V> {
    namespace: String,
    config: CacheConfig,
    remote: Option<Guarded>,
    codec: Option<Arc<dyn Codec<V>>>,
    weigher: Option<Weigher<K, V>>,
    budget: Option<Sharing>,
}

/// The part a cache takes in a budget.
pub(crate) struct Sharing {
    pub(crate) budget: Budget,
    pub(crate) weight: u32,
    pub(crate) floor: u64,
}

/// What a cache is made of, checked.
pub(crate) struct Parts<K, V> {
    pub(crate) namespace: String,
    pub(crate) config: CacheConfig,
    pub(crate) remote: Option<Guarded>,
    pub(crate) codec: Option<Arc<dyn Codec<V>>>,
    pub(crate) weigher: Option<Weigher<K, V>>,
    pub(crate) budget: Option<Sharing>,
    pub(crate) clock: Clock,
}

impl<K, V> CacheBuilder<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(namespace: String) -> Self {
        let config = CacheConfig::default();
        Self { namespace, config, remote: None, codec: None, weigher: None, budget: None }
    }

    /// Takes all settings from `config`, replacing what was set before.
    pub fn config(mut self, config: CacheConfig) -> Self {
        self.config = config;
        self
    }

    /// How long an entry is fresh; 5 minutes unless set: see [`CacheConfig::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = ttl;
        self
    }

    /// The fraction of its TTL by which each entry's own is cut at random; 0 unless set: see [`CacheConfig::ttl_jitter`].
    pub fn ttl_jitter(mut self, ttl_jitter: f64) -> Self {
        self.config.ttl_jitter = ttl_jitter;
        self
    }

    /// The longest an entry stays in L1 unasked; its TTL unless set: see [`CacheConfig::l1_ttl`].
    pub fn l1_ttl(mut self, l1_ttl: Duration) -> Self {
        self.config.l1_ttl = Some(l1_ttl);
        self
    }

    /// How long absence is kept; 30 seconds unless set: see [`CacheConfig::negative_ttl`].
    pub fn negative_ttl(mut self, negative_ttl: Duration) -> Self {
        self.config.negative_ttl = negative_ttl;
        self
    }

    /// How long past its TTL a value is served while it is refreshed; 0 unless set: see [`CacheConfig::stale_while_revalidate`].
    pub fn stale_while_revalidate(mut self, stale_while_revalidate: Duration) -> Self {
        self.config.stale_while_revalidate = stale_while_revalidate;
        self
    }

    /// How long past its TTL a value is served when its loader fails; 0 unless set: see [`CacheConfig::stale_if_error`].
    pub fn stale_if_error(mut self, stale_if_error: Duration) -> Self {
        self.config.stale_if_error = stale_if_error;
        self
    }

    /// How long a loader that failed is left alone; 10 seconds unless set: see [`CacheConfig::error_throttle`].
    pub fn error_throttle(mut self, error_throttle: Duration) -> Self {
        self.config.error_throttle = error_throttle;
        self
    }

    /// How eagerly reads refresh ahead of the TTL; 1 unless set, 0 for never: see [`CacheConfig::refresh_beta`].
    pub fn refresh_beta(mut self, refresh_beta: f64) -> Self {
        self.config.refresh_beta = refresh_beta;
        self
    }

    /// How long a loader may run; 30 seconds unless set: see [`CacheConfig::load_timeout`].
    pub fn load_timeout(mut self, load_timeout: Duration) -> Self {
        self.config.load_timeout = load_timeout;
        self
    }

    /// How long callers that may get a stale value wait for a loader; no limit unless set: see [`CacheConfig::load_soft_timeout`].
    pub fn load_soft_timeout(mut self, load_soft_timeout: Duration) -> Self {
        self.config.load_soft_timeout = Some(load_soft_timeout);
        self
    }

    /// How long callers that may get a stale value wait for L2; its deadline unless set: see [`CacheConfig::l2_soft_timeout`].
    pub fn l2_soft_timeout(mut self, l2_soft_timeout: Duration) -> Self {
        self.config.l2_soft_timeout = Some(l2_soft_timeout);
        self
    }

    /// How long the right to load a key outlives its holder; 3 seconds unless set: see [`CacheConfig::lease_ttl`].
    pub fn lease_ttl(mut self, lease_ttl: Duration) -> Self {
        self.config.lease_ttl = lease_ttl;
        self
    }

    /// How long unproven an L1 may be and still answer unasked; no limit unless set: see [`CacheConfig::max_staleness`].
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.config.max_staleness = Some(max_staleness);
        self
    }

    /// Entries in L1; 1 000 unless set: see [`CacheConfig::capacity`].
    pub fn capacity(mut self, capacity: u64) -> Self {
        self.config.capacity = capacity;
        self
    }

    /// The size of L1 in bytes, as `weigher` counts an entry's key and value (`None`: absent).
    /// See [`CacheConfig::capacity_bytes`]. It runs at each insertion, and must be quick.
    pub fn capacity_bytes(
        mut self,
        bytes: u64,
        weigher: impl Fn(&K, Option<&V>) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.config.capacity_bytes = Some(bytes);
        self.weigher(weigher)
    }

    /// Counts the bytes of an entry's key and value (`None`: absent), where the configuration sets
    /// [`capacity_bytes`](CacheConfig::capacity_bytes).
    pub fn weigher(
        mut self,
        weigher: impl Fn(&K, Option<&V>) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.weigher = Some(Arc::new(weigher));
        self
    }

    /// Takes the memory of L1 from `budget`, together with other caches. Needs a
    /// [`weigher`](Self::weigher). `weight`, at least 1: its part where there is not enough for
    /// all, in proportion to the weights of the others. `floor`: the bytes it keeps in any case, at
    /// most the budget. It never holds more than
    /// [`capacity_bytes`](CacheConfig::capacity_bytes), if that is set.
    pub fn budget(mut self, budget: &Budget, weight: u32, floor: u64) -> Self {
        self.budget = Some(Sharing { budget: budget.clone(), weight, floor });
        self
    }

    /// What decides which entries stay in L1; moka unless set: see [`CacheConfig::engine`].
    pub fn engine(mut self, engine: EngineKind) -> Self {
        self.config.engine = engine;
        self
    }

    /// How long a removal is remembered; 60 seconds unless set: see [`CacheConfig::tombstone_ttl`].
    pub fn tombstone_ttl(mut self, tombstone_ttl: Duration) -> Self {
        self.config.tombstone_ttl = tombstone_ttl;
        self
    }

    /// From how many bytes on values are compressed in L2; 4 KiB unless set: see [`CacheConfig::compress_above`].
    pub fn compress_above(mut self, compress_above: usize) -> Self {
        self.config.compress_above = compress_above;
        self
    }

    /// The largest record in L2; 1 MiB unless set: see [`CacheConfig::max_record_bytes`].
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.config.max_record_bytes = max_record_bytes;
        self
    }

    /// The largest value accepted from L2; 16 MiB unless set: see [`CacheConfig::max_value_bytes`].
    pub fn max_value_bytes(mut self, max_value_bytes: usize) -> Self {
        self.config.max_value_bytes = max_value_bytes;
        self
    }

    /// The version of the value's type; 0 unless set: see [`CacheConfig::schema`].
    pub fn schema(mut self, schema: u16) -> Self {
        self.config.schema = schema;
        self
    }

    /// Has every hit read the exact time: see [`CacheConfig::exact_clock`].
    pub fn exact_clock(mut self) -> Self {
        self.config.exact_clock = true;
        self
    }

    /// Also counts hits as `cache_hits_total{level,key_type}`: see [`CacheConfig::hits_alias`].
    pub fn hits_alias(mut self) -> Self {
        self.config.hits_alias = true;
        self
    }

    /// The L2: a [`Redis`](crate::Redis), a [`Guarded`], or any [`Remote`](crate::Remote), which is
    /// then guarded with a deadline of 100 ms. Default: none; the cache is L1 only.
    pub fn remote(mut self, remote: impl Into<Guarded>) -> Self {
        self.remote = Some(remote.into());
        self
    }

    /// How values are written to L2: [`Postcard`](crate::Postcard), unless the builder comes from
    /// [`Cache::local`].
    pub fn codec(mut self, codec: impl Codec<V>) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// The cache.
    ///
    /// # Errors
    /// If the namespace or a setting is out of bounds, a capacity in bytes comes without a
    /// weigher, or a remote without a codec.
    pub fn build(self) -> Result<Cache<K, V>, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        ConfigError::check(
            (1..=64).contains(&self.namespace.len()) && self.namespace.bytes().all(plain),
            "namespace",
            &self.namespace,
            "1 to 64 ASCII letters, digits, '_', '-' or '.'",
        )?;
        self.config.validate()?;
        ConfigError::check(
            self.config.capacity_bytes.is_none() || self.weigher.is_some(),
            "capacity_bytes",
            &self.config.capacity_bytes,
            "set together with a weigher",
        )?;
        ConfigError::check(
            self.remote.is_none() || self.codec.is_some(),
            "codec",
            &None::<()>,
            "set where there is a remote",
        )?;
        if let Some(Sharing { budget, weight, floor }) = &self.budget {
            ConfigError::check(self.weigher.is_some(), "budget", budget, "set with a weigher")?;
            ConfigError::check(*weight >= 1, "weight", weight, "at least 1")?;
            ConfigError::check(*floor <= budget.bytes(), "floor", floor, "at most the budget")?;
        }
        let Self { namespace, config, remote, codec, weigher, budget } = self;
        let clock = Clock::for_hits(config.exact_clock);
        Ok(Cache::new(Parts { namespace, config, remote, codec, weigher, budget, clock }))
    }
}

impl<K, V> fmt::Debug for CacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("namespace", &self.namespace)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
