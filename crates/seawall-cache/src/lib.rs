//! A multi-layer read-through cache: L1 in memory on moka, L2 in Redis through fred, versioned fills.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod cache;
mod config;
mod error;
mod key;
mod loaded;
mod local;
mod outcome;
mod record;
mod remote;
mod sources;
mod stats;

pub use self::builder::CacheBuilder;
pub use self::cache::Cache;
pub use self::config::{CacheConfig, MAX_TTL};
pub use self::error::{ConfigError, Error, LoadError};
pub use self::key::CacheKey;
pub use self::loaded::{Load, Loaded};
pub use self::outcome::{Got, L2Write, Layer, Written};
pub use self::remote::guarded::{Guarded, OutageConfig, RemoteStatus};
#[cfg(feature = "redis")]
pub use self::remote::redis::{Redis, RedisConfig};
pub use self::remote::{Fetched, Fill, MemoryRemote, Put, Remote, RemoteError, RemoteFuture, Seen};
pub use self::stats::Stats;
