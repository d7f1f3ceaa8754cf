//! Which remote.

use super::guarded::Guarded;
use super::memory::MemoryRemote;
#[cfg(feature = "redis")]
use super::redis::{Redis, RedisConfig};
use crate::error::{ConfigError, Error};

/// Which L2 the caches of a process share. As text it is told by its `kind`:
/// `{"kind": "memory"}`, or `{"kind": "redis", "url": "redis://cache:6379"}` with the other fields
/// of [`RedisConfig`](crate::RedisConfig) beside it.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case"))]
#[cfg_attr(feature = "redis", expect(clippy::large_enum_variant, reason = "one in a process"))]
#[non_exhaustive]
pub enum RemoteConfig {
    /// One in this process. It follows the same rules, and ends with the process.
    #[default]
    Memory,
    /// Redis.
    #[cfg(feature = "redis")]
    Redis(RedisConfig),
}

impl RemoteConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Memory => Ok(()),
            #[cfg(feature = "redis")]
            Self::Redis(config) => config.validate(),
        }
    }

    /// The remote, connected: see [`Redis::connect`](crate::Redis::connect). Hand its clones to
    /// the caches.
    ///
    /// # Errors
    /// If a setting is out of bounds, or Redis does not answer within its `connect_timeout`.
    pub async fn connect(self) -> Result<Guarded, Error> {
        match self {
            Self::Memory => Ok(MemoryRemote::default().into()),
            #[cfg(feature = "redis")]
            Self::Redis(config) => Ok(Redis::connect(config).await?.into()),
        }
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn the_kind_chooses_and_memory_is_the_default() {
        assert_eq!(RemoteConfig::default(), RemoteConfig::Memory);
        let config: RemoteConfig = serde_json::from_str(r#"{"kind": "memory"}"#).expect("valid");
        assert_eq!(config, RemoteConfig::Memory);
        serde_json::from_str::<RemoteConfig>(r#"{"kind": "memcached"}"#).expect_err("no such kind");
        serde_json::from_str::<RemoteConfig>("{}").expect_err("no kind");
    }

    #[cfg(feature = "redis")]
    #[test]
    fn the_fields_of_redis_stand_beside_the_kind() {
        let text = r#"{"kind": "redis", "url": "redis://cache:6379", "command_timeout": "50ms"}"#;
        let config: RemoteConfig = serde_json::from_str(text).expect("valid");
        let RemoteConfig::Redis(redis) = &config else { panic!("redis") };
        assert_eq!(redis.command_timeout, std::time::Duration::from_millis(50));
        assert_eq!(redis.url, "redis://cache:6379");
        config.validate().expect("in bounds");
        let odd = r#"{"kind": "redis", "command_timeout": "0s"}"#;
        let config: RemoteConfig = serde_json::from_str(odd).expect("valid");
        assert_eq!(config.validate().expect_err("out of bounds").field, "command_timeout");
        let misspelt = r#"{"kind": "redis", "uri": "redis://cache"}"#;
        serde_json::from_str::<RemoteConfig>(misspelt).expect_err("no such field");
    }

    #[tokio::test]
    async fn memory_connects_to_nothing() {
        let remote = RemoteConfig::Memory.connect().await.expect("cannot fail");
        assert!(remote.read("ns:1").await.expect("in reach").bytes.is_none());
    }
}
