//! A multi-layer read-through cache: typed entries in memory (L1), bytes in Redis (L2), and fills
//! that never bring back what was removed.
//!
//! ```
//! use std::time::Duration;
//! use seawall_cache::Cache;
//!
//! # #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
//! # struct Auction { title: String }
//! # async fn select(_id: u64) -> Result<Option<Auction>, std::io::Error> {
//! #     Ok(Some(Auction { title: "a lamp".into() }))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let auctions: Cache<u64, Auction> = Cache::builder("auction")
//!     .ttl(Duration::from_secs(60))
//!     .capacity(10_000)
//!     // .remote(Redis::connect(config).await?)
//!     .build()?;
//!
//! let got = auctions.get_or_load(&42, |_load| select(42)).await?;
//! match &got.value {
//!     Some(auction) => println!("{} from {:?}", auction.title, got.layer),
//!     None => println!("404"),
//! }
//! auctions.remove(&42).await;
//! # assert!(auctions.get(&42).await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it, when not
//! For values that are read far more often than they change, cost a query or a call to make, and
//! may be up to an L1 TTL old on nodes other than the one that changed them. Not for values that
//! must never be old anywhere, such as a balance that is about to be spent: read those from their
//! source. Not as a store: any entry may go at any time.
//!
//! # How it works
//! A read asks L1, then L2, then the loader, and keeps what it found in the layers above.
//!
//! - **L1** is a moka cache of `Arc<V>`: a hit decodes nothing.
//! - **L2** is a [`Remote`]: [`Redis`], [`MemoryRemote`] or one of your own. A record has a header
//!   with a version that L2 issues, the source version, the key and a checksum; bytes that do not
//!   check out are a counted miss.
//! - **One load.** A miss starts one task that asks L2 and runs the loader; all callers of the key
//!   wait for it. The task is nobody's: the first caller may leave.
//! - **Versioned fills.** A load notes what stood in L2 when it began. L2 stores its answer only
//!   if that still stands there, and only then does L1 keep it. Removals put a tombstone with a
//!   version of its own, so a load from before it is refused, on every node. Order comes from
//!   versions and from L2's clock, never from the clocks of nodes.
//! - **Source versions.** A loader may say which version of its source it read
//!   ([`Loaded::source`]), a removal which version it was made for ([`Cache::remove_after`]).
//!   Then loads are told what to reach ([`Load::min_source`]), and older answers are not cached:
//!   a lagging replica cannot undo a removal.
//! - **Outages.** Every call to L2 has a deadline, 100 ms unless set. After three failures a
//!   breaker opens and L2 is not asked. Reads go on through L1 and the loader, and say so
//!   ([`Got::degraded`]). Writes and removals that L2 did not acknowledge are remembered and
//!   repeated as removals; their keys are not read from L2 until it has them.
//!
//! # Consistency
//! On one node: when [`remove`](Cache::remove) or [`set`](Cache::set) has returned, no later read
//! there answers with what was before, whatever was in flight and whether or not L2 is in reach.
//! That holds for the clones of one [`Cache`]: build one per namespace and process.
//!
//! Across nodes: when it has returned and is not [partial](Written::is_partial), L2 holds no older
//! value and accepts none from loads that began before. The L1 of another node may serve the old
//! value for up to its [`l1_ttl`](CacheConfig::l1_ttl), and to callers that joined a load from
//! before. A read that could not ask L2 cannot know of it and is marked degraded.
//!
//! What this rests on: Redis keeps a tombstone for the tombstone TTL. One that is evicted under
//! memory pressure or lost in a failover no longer refuses, on other nodes, the loads that were in
//! flight then; nodes that share a Redis need the same tombstone TTL. Removals that
//! Redis has not acknowledged are lost if the process ends first.
//!
//! # Cancel safety
//! Any future of [`Cache`] may be dropped. A load goes on and fills the cache. A write or removal,
//! once polled, goes on to its end. [`Cache::shutdown`] waits for both.
//!
//! # Cost
//! An L1 hit is one moka look-up, one clock read and two counters: no allocation, no lock of ours.
//! A miss takes one short lock (of 64), one task, and for L2 one script to read and one to fill;
//! a `set` or `remove` is one script and one task. Tokio is needed throughout.
//!
//! # Features
//! | feature | default | what |
//! |---|---|---|
//! | `redis` | yes | [`Redis`], through fred |
//! | `serde` | no | `Deserialize` on the configuration, durations as `"5m"` |

#[cfg(feature = "tower")]
mod cached;
#[cfg(feature = "chaos")]
mod chaos;
mod codec;
mod key;
mod loaded;
mod outcome;

mod builder;
mod cache;
mod config;
mod error;

mod local;
mod marks;
mod record;
mod remote;
mod sources;
mod staleness;
mod stats;
mod sync;
mod text;
mod thread;
mod throttle;

pub use self::builder::CacheBuilder;
pub use self::cache::Cache;
#[cfg(feature = "tower")]
pub use self::cached::{Cached, CachedError, CachedFuture, CacheLayer};
#[cfg(feature = "chaos")]
pub use self::chaos::{Chaos, ChaosCodec, ChaosConfig};
#[cfg(feature = "json")]
pub use self::codec::Json;
pub use self::codec::{Codec, CodecError, Postcard};
pub use self::config::{CacheConfig, MAX_TTL};
pub use self::error::{ConfigError, Error, LoadError};
pub use self::key::CacheKey;
pub use self::loaded::{Load, LoadMany, Loaded, LoadedItem};
pub use self::local::engine::EngineKind;
pub use self::marks::{Clear, Mark, MarkChange};
pub use self::outcome::{CacheStatus, Cleared, Coherence, Freshness, Got, L2Write, Layer, Written};
pub use self::remote::guarded::{Guarded, NodeStatus, OutageConfig, RemoteStatus};
#[cfg(feature = "redis")]
pub use self::remote::redis::{Redis, RedisConfig};
pub use self::remote::{
    Fetched, Fill, Leased, MarkRead, MemoryRemote, Put, ReadMany, Remote, RemoteConfig,
    RemoteError, RemoteFuture, Seen, Swept, Ticket, Tracking, Watcher,
};
pub use self::stats::Stats;

#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;
