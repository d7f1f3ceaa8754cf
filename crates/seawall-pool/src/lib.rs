//! One pool over a PostgreSQL primary and its replicas: explicit reads and writes, health checks off the request path.
//!
//! ```no_run
//! use seawall_pool::{NodeConfig, Pool, PoolConfig, Role};
//!
//! # async fn example() -> Result<(), seawall_pool::Error> {
//! let pool = Pool::connect(PoolConfig {
//!     primary: NodeConfig::new("postgres://app@db-1/shop"),
//!     replicas: vec![
//!         NodeConfig::new("postgres://app@db-2/shop"),
//!         NodeConfig { role: Role::Analytics, ..NodeConfig::new("postgres://app@db-3/shop") },
//!     ],
//!     ..PoolConfig::default()
//! })
//! .await?;
//!
//! let rows = pool.read().query("SELECT id FROM item WHERE price < $1", &[&100i64]).await?;
//! let sold = pool.write().execute("UPDATE item SET sold = true WHERE id = $1", &[&7i64]).await?;
//! let sum = pool.analytics().query_one("SELECT sum(price) FROM item", &[]).await?;
//! # let _ = (rows, sold, sum);
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it
//!
//! For a service with one primary and streaming replicas that knows, at each call, whether it
//! reads or writes. With no replica it is a pool that cleans up after its borrowers. Do not use it behind
//! PgBouncer in transaction mode: it prepares statements.
//!
//! # How it works
//!
//! Each node has its books (who has which connection, who waits), a monitor with a connection of its
//! own, and a task that looks after its connections. Those who wait are served in the order they came; of
//! the connections the one used last goes out first. Connections are opened by tasks of
//! their own, a few at a time, so that a caller who gives up loses nobody's work and a burst opens few; what
//! comes back first serves first. Analytics may hold a share of a node's connections and has a line of its
//! own. The books are a state machine without IO, and no path through it makes more connections than
//! [`max_size`](PoolConfig::max_size), also while that is changed ([`Pool::resize`]).
//!
//! The monitor asks for the node's role and position every
//! [`health_interval`](PoolConfig::health_interval); an unanswered probe takes the node out
//! of rotation, a second one, or a lost connection that cannot be made again, also takes back what
//! runs there, and one answer brings it back. A caller that meets
//! a broken connection takes the node out at once and wakes its monitor. The request path
//! reads atomics and asks a balancer, [`route::Router`], which takes the cheaper of two replicas
//! by latency, queue and failures; slow replicas get little, ones that come back start slowly,
//! and failure, lag and saturation each have their own way in and out ([`RoutingConfig`]). While all
//! replicas are full, reads stand in their lines, or do as [`Spill`] says. While none serves, reads hold a
//! share of the primary's connections ([`RoutingConfig::fallback_share`]), and writes have the rest.
//!
//! How far a replica lags is read off a history of the primary's positions: the time since the
//! primary passed what the replica has. That is right on an idle primary and needs no server's
//! clock. Past the soft limits of [`LagLimits`] a replica serves only if too few others
//! do, past the hard ones not at all.
//!
//! It promotes nothing, but follows a promotion ([`failover`](PoolConfig::failover)): when the primary is
//! gone, or was gone within the last minute while this could not be seen, a replica that was found to take
//! writes, of the same cluster and on a newer timeline than any seen, is the primary from then on. Beside a
//! primary that was there all the time it is not: somebody may have cut a copy loose. A server says on every
//! connection when it is promoted (`in_hot_standby`), so traffic tells before the next probe does. A node that
//! takes writes and is not the primary is kept out and shows in a metric. Writes that find no primary in between wait for it in the order they came, so
//! many and for so long as [`BufferConfig`] says; no write that may have run is ever kept or sent again.
//!
//! A node is where its connection string says: a host name is resolved anew for every connection, and
//! every [`resolve_interval`](PoolConfig::resolve_interval), so that connections follow it to another server.
//!
//! Code that does not say what its statements are can leave it to their text (feature `classify`):
//! what is not recognised as a read is a write, and the standby, which cannot be changed, has
//! the last word.
//!
//! Reads that fail for the node's sake are run again on the next node. Writes never are: their
//! errors say whether the statement was sent at all, had no effect, or may have had one
//! ([`Outcome`]).
//!
//! A connection goes back only when nothing runs on it and nothing of its borrower is left, and
//! finding that out costs no round trip: the stream from the server is read along, and the status byte that
//! ends each answer tells whether a transaction is open, whatever opened it. One that is open is rolled
//! back. If a statement still runs, its future having been dropped, the statement is cancelled on the
//! server, and the connection is in quarantine until the server has confirmed that all is over and the
//! cancel request can hit nothing else; after [`cancel_timeout`](PoolConfig::cancel_timeout) it
//! is closed instead. If the borrower used the connection directly, or sent `SET`, `DO` and the
//! like, it is reset first. All else costs nothing.
//!
//! A read that takes longer than most may be sent to a second replica too ([`HedgeConfig`], off by
//! default): the first answer counts, and the other attempt is cancelled as if its future had been
//! dropped.
//!
//! Reads that come in large numbers need not each take a connection. [`Route::shared`] sends
//! them down a few connections per node that many use at once, one statement after the other
//! without waiting for answers; a connection that a slow statement holds up is given up, and
//! what was on it runs on connections of the pool ([`LaneConfig`]). [`Route::loader`] gathers
//! point reads of one shape: the keys that are asked for while a query is under way go out as
//! one array with the next, and the rows are dealt out ([`Loader`]). [`Route::query_each`] sends
//! one statement with many sets of parameters in one flight, [`Route::in_chunks`] writes many
//! rows by arrays or by `COPY`.
//!
//! The size of each node's books can be set ([`Pool::scale_to`]), read against its use ([`Pool::usage`]), or left to
//! follow the load ([`SizingConfig`]). Slow statements are kept for a while ([`Pool::slow_queries`]), and
//! any statement's plan can be had without running it ([`Pool::explain`]).
//!
//! Prepared statements are kept per connection, least recently used out first, exactly as many as
//! [`statement_cache`](PoolConfig::statement_cache) says.
//!
//! # Consistency
//!
//! A replica shows the past. A [`Token`] stands for what was committed, and a read
//! with [`Route::after`] that token sees it: from a replica whose position, read on the same
//! connection just before the statement, is not below the token, or from the primary. A token
//! comes from [`Transaction::commit_token`], exact and in the flight of the commit; from
//! [`Conn::token`], for a round trip; from [`Pool::token`], the monitor's next sample; or stays
//! inside a [`Causal`], which raises itself with each write and read of one user, and which
//! `CausalLayer` carries from request to request, signed.
//! [`Route::query_at`] gives two positions. [`At::seen`] covers all that was seen, for reads that
//! follow. [`At::lsn`] is the other half, a position that the rows are known to cover: on a
//! replica what it had replayed; on the primary the end of its log, less one while other transactions
//! are writing, because a commit is in the log a moment before it can be seen. So
//! `token <= at.token` always means that the commit was visible. A token may lie a
//! little above its commit, and then a replica is passed over though it would have done.
//!
//! This orders one session's reads after its writes, and reads after reads. It does not make
//! one snapshot of several nodes: two transactions may become visible in one order on the primary and
//! in the other on a replica. A token names its cluster and timeline: one of another cluster
//! is refused, one from before a promotion goes to the primary, one from after a promotion that the pool
//! has not seen is an error that passes. Whether a write from before a promotion survived it,
//! no token tells. A bare [`Lsn`] is not checked. [`Route::remote_apply`] makes one write wait until
//! the synchronous standbys show it.
//!
//! # Cancel safety
//!
//! Every future may be dropped at any time; nothing leaks. A write that was on the wire may or may not
//! have taken effect. A caller who leaves a shared connection or a loader takes nobody along. A
//! connection being made goes on being made, and then to the next
//! caller or into the pool.
//!
//! # Cost
//!
//! Choosing among replicas costs about 150 ns, with one look at the clock; with the primary alone, a few
//! loads. Taking and returning an idle connection costs two short locks of the
//! node's books: about half a microsecond, no allocation, no timer, no look at the clock. Who has to wait pays
//! for one small allocation and two reads of the clock, and shares its timer with all who wait; a statement, for a timer and one or two
//! reads. `after` on a replica and `query_at` send one or two small
//! statements in the same flight: no round trip, some tens of microseconds of
//! server time. A read on a shared connection costs about 0.6 of one on a connection of its
//! own, a key in a batch 0.2 to 0.4 (64 tasks, loopback, a busy machine). A reset is one round trip in the
//! background. Per node one connection is
//! used for monitoring, [`LaneConfig::lanes`] are shared once a call asks for that, and for a
//! moment one for each cancel request, beyond `max_size`.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `advisor` | `Pool::advisor`: indexes to make and to drop, from the statistics of all nodes; includes `classify` | off |
//! | `classify` | `Pool::auto`: reads told from writes by their text | off |
//! | `tower` | `CausalLayer`: a [`Causal`] for each request, carried in a signed cookie or header | off |
//! | `tls` | [`Tls`] from a configuration of rustls, with ring | off |
//! | `serde` | `Deserialize` for [`PoolConfig`], [`NodeConfig`], [`LaneConfig`], [`HedgeConfig`], [`LoaderConfig`], [`BufferConfig`] and the configuration of the advisor, [`Lsn`] and [`Token`] as strings | off |
//!
//! Metrics are listed in `docs/metrics.md`; [`OtelNames`] gives them the names of OpenTelemetry's conventions.

#[cfg(feature = "advisor")]
pub mod advisor;
mod alarm;
mod aside;
mod batch;
mod buffer;
mod causal;
#[cfg(feature = "tower")]
mod causal_layer;
mod checkout;
#[cfg(feature = "classify")]
pub mod classify;
mod clean;
mod config;
mod conn;
mod control;
mod dial;
mod dispatch;
mod error;
mod exec;
mod handle;
mod health;
mod hedge;
mod lag;
mod lanes;
mod lease;
mod ledger;
mod link;
mod loader;
mod lsn;
mod metrics;
mod monitor;
mod names;
mod node;
mod opening;
mod otel;
mod plan;
mod pool;
mod position;
mod resolver;
pub mod route;
mod sizing;
mod slow;
mod statements;
mod status;
mod tap;
mod text;
mod tls;
mod token;
mod transaction;
mod upkeep;
mod wire;

pub use batch::{BatchRow, InChunks, Progress};
pub use buffer::config::BufferConfig;
pub use causal::Causal;
#[cfg(feature = "tower")]
pub use causal_layer::{CausalFuture, CausalLayer, CausalService};
pub use config::{LagLimits, NodeConfig, PoolConfig, Role, RoutingConfig, Spill};
pub use conn::Conn;
pub use error::{Error, Outcome};
pub use handle::{At, Route};
pub use hedge::Hedge;
pub use hedge::config::HedgeConfig;
pub use lag::Lag;
pub use lanes::config::LaneConfig;
pub use loader::config::LoaderConfig;
pub use loader::{Key, Loader};
pub use lsn::{Lsn, ParseLsnError};
pub use otel::OtelNames;
pub use pool::Pool;
pub use resolver::Resolver;
pub use sizing::{Load, NodeUsage, PoolUsage, SizingConfig};
pub use slow::{Fingerprint, SlowConfig, SlowQuery};
pub use status::{Borrow, NodeList, NodeState, NodeStatus, PoolStatus, ProbeError, Served};
pub use tls::Tls;
pub use token::{After, ParseTokenError, Token};
pub use transaction::{ParseTransactionError, Transaction, TransactionOptions};

pub use seawall_balance::{OutlierConfig, Policy, SlowStart, Standing};

/// What [`Tls`] is made of.
#[cfg(feature = "tls")]
pub use rustls;
/// The driver whose rows, parameters and errors appear in this crate.
pub use tokio_postgres;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
