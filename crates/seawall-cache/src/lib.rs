//! A multi-layer read-through cache: typed entries in memory (L1), bytes in Redis (L2), and fills
//! that never bring back what was removed.
//!
//! ```
//! use std::time::Duration;
//! use seawall_cache::{Cache, Loaded};
//!
//! # #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
//! # struct Auction { title: String, seller: u64 }
//! # async fn select(_id: u64) -> Result<Option<Auction>, std::io::Error> {
//! #     Ok(Some(Auction { title: "a lamp".into(), seller: 7 }))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let auctions: Cache<u64, Auction> = Cache::builder("auction")
//!     .ttl(Duration::from_secs(60))
//!     .stale_while_revalidate(Duration::from_secs(30))
//!     .capacity(10_000)
//!     // .remote(Redis::connect(config).await?)
//!     .build()?;
//!
//! let got = auctions
//!     .get_or_load(&42, |_load| async {
//!         let Some(auction) = select(42).await? else { return Ok(Loaded::absent()) };
//!         let tag = format!("seller:{}", auction.seller);
//!         Ok::<_, std::io::Error>(Loaded::new(auction).tags([tag]))
//!     })
//!     .await?;
//! match &got.value {
//!     Some(auction) => println!("{} from {:?}", auction.title, got.layer),
//!     None => println!("404"),
//! }
//! auctions.remove(&42).await;
//! auctions.invalidate_tag("seller:7").await;
//! # assert!(auctions.get(&42).await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it, when not
//! For values that are read far more often than they change, and cost a query or a call to make.
//! Not for values that must never be old anywhere, such as a balance that is about to be spent:
//! read those from their source. Not as a store: any entry may go at any time.
//!
//! # How it works
//! A read asks L1, then L2, then the loader, and keeps what it found in the layers above. The whole
//! protocol, race by race, is in `docs/protocol.md`.
//!
//! - **L1** holds `Arc<V>`: a hit decodes nothing. An [`EngineKind`] decides what stays.
//! - **L2** is a [`Remote`]: [`Redis`], [`MemoryRemote`] or one of your own. A record has a header
//!   with a version that L2 issues, the source version, the key, tags and a checksum; bytes that
//!   do not check out are a counted miss. A [`Codec`] writes the value.
//! - **One load.** A miss starts one task that asks L2 and runs the loader; all callers of the key
//!   wait for it. The task is nobody's: the first caller may leave. Across nodes a lease in L2
//!   lets one load; the others wait to be told, and one takes over if it dies.
//! - **Versioned fills.** A load notes what stood in L2 when it began. L2 stores its answer only
//!   if that still stands there, and only then does L1 keep it. Removals put a tombstone with a
//!   version of its own, so a load from before it is refused, on every node. Order comes from
//!   versions and from L2's clock, never from the clocks of nodes.
//! - **Tags, namespaces, patterns.** Each is fenced by a mark: one small record in L2, whose version
//!   entries carry. Invalidating a million entries advances one mark.
//!   See [`Cache::invalidate_tag`], [`Cache::clear`], [`Cache::remove_matching`].
//! - **Staleness you choose.** Past its TTL a value may be served while one load refreshes it
//!   ([`stale_while_revalidate`](CacheConfig::stale_while_revalidate)), or when the loader fails or
//!   is slow ([`stale_if_error`](CacheConfig::stale_if_error),
//!   [`load_soft_timeout`](CacheConfig::load_soft_timeout)). What is read often is refreshed
//!   before its TTL ends, by XFetch. What was removed or cleared is never served.
//! - **Source versions.** A loader may say which version of its source it read
//!   ([`Loaded::source`]), a removal which version it was made for ([`Cache::remove_after`]).
//!   Then loads are told what to reach ([`Load::min_source`]), and older answers are not cached:
//!   a lagging replica cannot undo a removal.
//! - **Coherence.** Where the remote tells of writes, L1 drops what changed elsewhere. After lost
//!   messages it compares versions in a few commands and keeps what has not changed.
//!   [`Cache::status`] says how current this node is.
//! - **Outages.** Every call to L2 has a deadline, 100 ms unless set. When it keeps failing a
//!   breaker opens and L2 is not asked. Reads go on through L1 and the loader, and say so
//!   ([`Got::degraded`]). Writes, removals and invalidations that L2 did not acknowledge hold on
//!   this node, are remembered, and repeated; their keys are not read from L2 until it has them.
//! - **Memory.** L1 holds a number of entries or of bytes. Caches may share a [`Budget`]: each keeps
//!   its floor, gets by its weight what others do not use, and gives it back when they do. A
//!   [`Governor`] lowers the budget while the cgroup or the machine runs short of memory.
//!
//! # Consistency
//! On one node: when [`remove`](Cache::remove), [`set`](Cache::set) or any invalidation has
//! returned, no later read there answers with what was before, whatever was in flight and whether
//! or not L2 is in reach. That holds for the clones of one [`Cache`]: build one per namespace and
//! process.
//!
//! Across nodes: when it has returned and is not [partial](Written::is_partial), L2 holds no older
//! value and accepts none from loads that began before. Another node's L1 drops the old value when
//! it is told, which takes about one round trip, and what it may have missed is compared before it
//! is served; a request that brings along the version of its write tells it there and then
//! ([`Cache::told`]); [`max_staleness`](CacheConfig::max_staleness) bounds how long it trusts a remote
//! that has fallen silent. Where the remote tells nothing
//! ([`Coherence::Unwatched`]), L1 may serve the old value for up to its
//! [`l1_ttl`](CacheConfig::l1_ttl). Callers that joined a load from before get what it brings. A
//! read that could not ask L2 cannot know of a removal elsewhere and is marked degraded.
//!
//! What this rests on: Redis keeps a tombstone for the tombstone TTL. One that is evicted under
//! memory pressure or lost in a failover no longer refuses, on other nodes, the loads that were in
//! flight then; nodes that share a Redis need the same tombstone TTL. Removals that
//! Redis has not acknowledged are lost if the process ends first. TTLs in L1 stand still while the
//! machine is suspended.
//!
//! # Cancel safety
//! Any future of [`Cache`] may be dropped. A load goes on and fills the cache. A write, removal or
//! invalidation, once polled, goes on to its end. [`Cache::shutdown`] waits for both.
//!
//! # Cost
//! An L1 hit is one look-up, one glance at the clock (see [`CacheConfig::exact_clock`]), one atomic
//! read and one counter: no allocation, no lock, done at the first poll. Tags cost a hit nothing
//! until something is invalidated, and then one closer look. A miss takes a short lock (of 64), one
//! task, and for L2 a read, a lease and a fill; a `set` or `remove` is one script and one task; an
//! invalidation is one script, whatever the number of entries. A loader's type is compiled into one small function; the rest is
//! compiled once for each key and value type. Tokio is needed throughout.
//!
//! # Features
//! | feature | default | what |
//! |---|---|---|
//! | `redis` | yes | [`Redis`], through fred |
//! | `zstd` | yes | compression of large values in L2 |
//! | `json` | no | the codec `Json` |
//! | `quick` | no | a second L1 engine, on quick_cache |
//! | `tower` | no | `CacheLayer`: caches the responses of any service |
//! | `chaos` | no | `Chaos`, `ChaosCodec`: faults on purpose, for your own tests |
//! | `serde` | no | `Deserialize` on the configuration, durations as `"5m"` |

#[cfg(feature = "tower")]
mod cached;
#[cfg(feature = "chaos")]
mod chaos;
mod codec;
mod key;
mod loaded;
mod outcome;

mod budget;
mod builder;
mod cache;
mod config;
mod error;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
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

pub use self::budget::{
    Budget, BudgetShare, BudgetStatus, Governor, GovernorConfig, LinuxMemory, MemorySample,
    MemorySensor,
};
pub use self::builder::CacheBuilder;
pub use self::cache::Cache;
#[cfg(feature = "tower")]
pub use self::cached::{CacheLayer, Cached, CachedError, CachedFuture};
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
