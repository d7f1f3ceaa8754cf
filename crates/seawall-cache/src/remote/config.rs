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
