//! Building a cache.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::config::CacheConfig;
use crate::error::{ConfigError, Error};
use crate::key::CacheKey;
use crate::remote::guarded::Guarded;

/// Builds a [`Cache`]. Metrics go to the recorder that is installed when [`build`](Self::build)
/// is called.
#[must_use = "a builder does nothing until `.build()`"]
pub struct CacheBuilder<K, V> {
    namespace: String,
    config: CacheConfig,
    remote: Option<Guarded>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> CacheBuilder<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new(namespace: String) -> Self {
        Self { namespace, config: CacheConfig::default(), remote: None, types: PhantomData }
    }

    /// Takes all settings from `config`, replacing what was set before.
    pub fn config(mut self, config: CacheConfig) -> Self {
        self.config = config;
        self
    }

    /// How long an entry lives: see [`CacheConfig::ttl`]. Default: 5 minutes.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = ttl;
        self
    }

    /// The longest an entry stays in L1: see [`CacheConfig::l1_ttl`]. Default: its TTL.
    pub fn l1_ttl(mut self, ttl: Duration) -> Self {
        self.config.l1_ttl = Some(ttl);
        self
    }

    /// How long absence is kept: see [`CacheConfig::negative_ttl`]. Default: 30 seconds.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.config.negative_ttl = ttl;
        self
    }

    /// Entries in L1: see [`CacheConfig::capacity`]. Default: 1 000.
    pub fn capacity(mut self, entries: u64) -> Self {
        self.config.capacity = entries;
        self
    }

    /// How long a loader may run: see [`CacheConfig::load_timeout`]. Default: 30 seconds.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.config.load_timeout = timeout;
        self
    }

    /// How long a removal is remembered: see [`CacheConfig::tombstone_ttl`]. Default: 60 seconds.
    pub fn tombstone_ttl(mut self, ttl: Duration) -> Self {
        self.config.tombstone_ttl = ttl;
        self
    }

    /// The largest record in L2: see [`CacheConfig::max_record_bytes`]. Default: 1 MiB.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.config.max_record_bytes = bytes;
        self
    }

    /// The version of the value's type: see [`CacheConfig::schema`]. Default: 0.
    pub fn schema(mut self, schema: u16) -> Self {
        self.config.schema = schema;
        self
    }

    /// The L2: a [`Redis`](crate::Redis), a [`Guarded`], or any [`Remote`](crate::Remote), which is
    /// then guarded with a deadline of 100 ms. Default: none; the cache is L1 only.
    pub fn remote(mut self, remote: impl Into<Guarded>) -> Self {
        self.remote = Some(remote.into());
        self
    }

    /// The cache.
    ///
    /// # Errors
    /// If the namespace or a setting is out of bounds.
    pub fn build(self) -> Result<Cache<K, V>, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        ConfigError::check(
            (1..=64).contains(&self.namespace.len()) && self.namespace.bytes().all(plain),
            "namespace",
            &self.namespace,
            "1 to 64 ASCII letters, digits, '_', '-' or '.'",
        )?;
        self.config.validate()?;
        Ok(Cache::new(&self.namespace, self.config, self.remote))
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
