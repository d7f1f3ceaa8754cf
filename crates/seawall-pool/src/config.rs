//! What a pool is made of, with defaults that are finite.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::buffer::config::BufferConfig;
use crate::error::Error;
use crate::hedge::config::HedgeConfig;
use crate::lanes::config::LaneConfig;
use crate::metrics::Labels;
use crate::resolver::Resolver;
use crate::route::MAX_NODES;
use crate::sizing::SizingConfig;
use crate::slow::SlowConfig;
use crate::tls::Tls;

mod node;
mod routing;

pub(crate) use node::NodeLimits;
pub use node::{NodeConfig, Role};
pub use routing::{LagLimits, RoutingConfig, Spill};

/// The configuration of a [`Pool`](crate::Pool).
///
/// Every timeout has a finite default. [`validate`](Self::validate) names the
/// first field that is out of bounds; [`Pool::connect`](crate::Pool::connect)
/// calls it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct PoolConfig {
    /// The value of the label `pool` on all metrics of this pool, and what its balancers are named
    /// after. Default: none, and no such label; two pools of one process then share their metrics. 1 to
    /// 100 bytes.
    pub name: Option<String>,
    /// The node that takes writes. Has no useful default.
    pub primary: NodeConfig,
    /// Streaming replicas of the primary, at most 63. Default: none, so that
    /// the primary serves everything.
    pub replicas: Vec<NodeConfig>,
    /// How one of several replicas is chosen, and which are left out.
    pub routing: RoutingConfig,
    /// Whether a replica that was promoted becomes the primary by itself, once the
    /// primary is gone or in recovery, or was gone within the last minute while the promotion could
    /// not be seen: a replica that takes writes, is of the same
    /// cluster and on a newer timeline than any seen. Without, and while the primary has been
    /// alive all the time, such a node is out of rotation. Default true.
    pub failover: bool,
    /// The writes that wait for that to happen, instead of failing as not sent.
    pub buffer: BufferConfig,
    /// Connections kept open to each node, busy or not; opened in the
    /// background. Default 5, at most `max_size`.
    pub min_idle: usize,
    /// The most connections to each node. Default 20, 1 to 10 000.
    pub max_size: usize,
    /// The most callers that wait for a connection to one node, for analytics
    /// and for all else each. One more is refused at once with
    /// [`Error::QueueFull`]. Default 1 000, 1 to 1 000 000.
    pub max_waiting: usize,
    /// Whether a caller is refused at once, with [`Error::QueueSlow`], who would stand in line and whose
    /// time would be up before a connection comes free, at the rate at which they did in the last
    /// [`SizingConfig::window`]. Others then wait less, and who is refused can do something
    /// else with the time. That rate is a mean over calls of all kinds and may be wrong for the
    /// next ones. Default false.
    pub shed_hopeless: bool,
    /// The most connections to one node that are opened at a time. While they
    /// are, others come back; a burst of callers so opens few. Default 3, 1 to
    /// 1 000.
    pub max_connecting: usize,
    /// The share of a node's connections that analytics may hold at a time, at
    /// least one connection. On a replica with [`Role::Analytics`] it may have
    /// all. Default 0.5, 0 to 1.
    pub analytics_share: f64,
    /// Prepared statements kept per connection, least recently used out first.
    /// Default 500, 1 to 100 000.
    pub statement_cache: usize,
    /// One deadline over waiting for a connection, making one and asking one
    /// whether it lives, on all nodes that a call tries. Default 30 s, more than
    /// zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub acquire_timeout: Duration,
    /// Limit on making one connection with all its attempts: a primary that
    /// has no connection to spare, or is starting, is asked again while callers
    /// wait. Default 30 s, more than zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub create_timeout: Duration,
    /// Pause between those attempts, and between attempts to open spare
    /// connections. Default 200 ms, 1 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub create_retry_interval: Duration,
    /// How long closing a connection may take before it is cut off. Nobody
    /// waits for that but a shutdown. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub destroy_timeout: Duration,
    /// How often connections are looked over: dead, old, idle, lost ones. Dead
    /// ones are noticed at once as well. All other times of this
    /// configuration that concern idle and lent connections are measured to within
    /// it. Default 1 s, 10 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub reap_interval: Duration,
    /// A connection older than this is closed when it is not in use. Default
    /// 30 min, at least 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_lifetime: Duration,
    /// The share of the lifetime over which ends are spread, so that
    /// connections opened together are not closed together: a lifetime of 30 min
    /// and 0.1 end between 27 and 30 min. Default 0.1, 0 to 0.9.
    pub lifetime_jitter: f64,
    /// How often a connection is lent before it is closed. Default `None`,
    /// without limit; at least 1.
    pub max_uses: Option<u64>,
    /// A connection not used for this long is asked whether it lives before it is
    /// lent, one round trip. Default 2 s; zero always asks.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub validate_after: Duration,
    /// A connection taken with [`Route::get`](crate::Route::get) that is out for longer
    /// is reported, once, with the place in the code, and so is its return. Default 1 min, at
    /// least 10 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub leak_after: Duration,
    /// How long a connection that came back with a statement running on it, or
    /// with state of its borrower, may take to be put right; after that it is
    /// closed. It takes up to six round trips: more for servers that are far away.
    /// Default 250 ms, 1 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub cancel_timeout: Duration,
    /// A connection not used for this long is closed, down to `min_idle`.
    /// Default 5 min, at least 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub idle_timeout: Duration,
    /// Limit on making one connection, handshake and login included. Default
    /// 3 s, more than zero.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// Limit on one statement, from the moment a connection is there. Default
    /// 5 s, more than zero. [`Route::timeout`](crate::Route::timeout) sets
    /// another for one call.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub query_timeout: Duration,
    /// Statements that take longer are logged and counted. Default 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub slow_query: Duration,
    /// What is kept of them.
    pub slow_queries: SlowConfig,
    /// Bounds of the size, and whether it follows the load.
    pub sizing: SizingConfig,
    /// How connections are encrypted. Default: not at all, and `sslmode=require` is refused.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub tls: Tls,
    /// How the names of nodes are looked up.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub resolver: Resolver,
    /// How often the name of a node is looked up while its connections last, besides for each that
    /// is opened and soon after the node is down or found in recovery. If it stands for
    /// none of the servers it stood for before, no connection to those is lent again, and
    /// those in use go on. A name that stands for both servers in between has not moved in that
    /// sense: connections to the old one last until they break or are as old as
    /// [`max_lifetime`](Self::max_lifetime). Zero never looks: right for a name that stands for a
    /// different one of several servers each time. Default 30 s, zero or 100 ms to a day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub resolve_interval: Duration,
    /// Time between two probes of a node that is up. Default 250 ms, 10 ms to
    /// 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub health_interval: Duration,
    /// Limit on one probe. One unanswered takes a node out of rotation until
    /// the next, two in a row are a node that is down: what runs on it is given up. Default 500 ms, 10 ms to 60 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub health_timeout: Duration,
    /// The connections that [`Route::shared`](crate::Route::shared) reads share.
    pub lanes: LaneConfig,
    /// Reads that are sent to a second replica when the first takes long. Off by default.
    pub hedge: HedgeConfig,
    /// How long a read that asks for a position waits for a replica to replay
    /// it before it goes to the primary. Default 20 ms; zero never waits. At
    /// most 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub catch_up_wait: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            name: None,
            primary: NodeConfig::default(),
            replicas: Vec::new(),
            routing: RoutingConfig::default(),
            failover: true,
            buffer: BufferConfig::default(),
            min_idle: 5,
            max_size: 20,
            max_waiting: 1_000,
            shed_hopeless: false,
            max_connecting: 3,
            analytics_share: 0.5,
            statement_cache: 500,
            acquire_timeout: Duration::from_secs(30),
            create_timeout: Duration::from_secs(30),
            create_retry_interval: Duration::from_millis(200),
            destroy_timeout: Duration::from_secs(5),
            reap_interval: Duration::from_secs(1),
            max_lifetime: Duration::from_secs(30 * 60),
            lifetime_jitter: 0.1,
            max_uses: None,
            validate_after: Duration::from_secs(2),
            leak_after: Duration::from_secs(60),
            cancel_timeout: Duration::from_millis(250),
            idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(3),
            query_timeout: Duration::from_secs(5),
            slow_query: Duration::from_secs(1),
            slow_queries: SlowConfig::default(),
            sizing: SizingConfig::default(),
            tls: Tls::default(),
            resolver: Resolver::default(),
            resolve_interval: Duration::from_secs(30),
            health_interval: Duration::from_millis(250),
            health_timeout: Duration::from_millis(500),
            lanes: LaneConfig::default(),
            hedge: HedgeConfig::default(),
            catch_up_wait: Duration::from_millis(20),
        }
    }
}

impl PoolConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds. Connection
    /// strings are parsed by [`Pool::connect`](crate::Pool::connect), not here.
    pub fn validate(&self) -> Result<(), Error> {
        let zero = Duration::ZERO;
        let short = Duration::from_millis(10);
        let minute = Duration::from_secs(60);
        within("acquire_timeout", self.acquire_timeout, Duration::from_nanos(1)..=DAY)?;
        let moment = Duration::from_millis(1);
        within("name.len()", self.name.as_deref().map_or(1, str::len), 1..=100)?;
        within("max_waiting", self.max_waiting, 1..=1_000_000)?;
        within("max_connecting", self.max_connecting, 1..=1_000)?;
        within("analytics_share", self.analytics_share, 0.0..=1.0)?;
        within("statement_cache", self.statement_cache, 1..=100_000)?;
        within("create_timeout", self.create_timeout, Duration::from_nanos(1)..=DAY)?;
        within("create_retry_interval", self.create_retry_interval, moment..=minute)?;
        within("destroy_timeout", self.destroy_timeout, zero..=DAY)?;
        within("reap_interval", self.reap_interval, short..=minute)?;
        within("max_lifetime", self.max_lifetime, Duration::from_secs(1)..=30 * DAY)?;
        within("lifetime_jitter", self.lifetime_jitter, 0.0..=0.9)?;
        within("max_uses", self.max_uses.unwrap_or(u64::MAX), 1..=u64::MAX)?;
        within("validate_after", self.validate_after, zero..=DAY)?;
        within("leak_after", self.leak_after, short..=30 * DAY)?;
        within("cancel_timeout", self.cancel_timeout, moment..=minute)?;
        within("idle_timeout", self.idle_timeout, Duration::from_secs(1)..=DAY)?;
        within("connect_timeout", self.connect_timeout, Duration::from_nanos(1)..=DAY)?;
        within("query_timeout", self.query_timeout, Duration::from_nanos(1)..=DAY)?;
        within("slow_query", self.slow_query, zero..=DAY)?;
        if !self.resolve_interval.is_zero() {
            within("resolve_interval", self.resolve_interval, 10 * short..=DAY)?;
        }
        within("health_interval", self.health_interval, short..=minute)?;
        within("health_timeout", self.health_timeout, short..=minute)?;
        within("catch_up_wait", self.catch_up_wait, zero..=Duration::from_secs(10))?;
        within("replicas.len()", self.replicas.len(), 0..=MAX_NODES - 1)?;
        within("max_size", self.max_size, 1..=MAX_CONNECTIONS)?;
        within("min_idle", self.min_idle, 0..=self.max_size)?;
        self.slow_queries.validate()?;
        self.sizing.validate()?;
        self.lanes.validate()?;
        self.hedge.validate()?;
        self.buffer.validate()?;
        self.routing.validate()?;
        self.primary.validate(self)?;
        self.replicas.iter().try_for_each(|replica| replica.validate(self))
    }
}

impl PoolConfig {
    /// What tells its metrics from those of other pools.
    pub(crate) fn labels(&self) -> Labels {
        Labels::of_pool(self.name.as_deref())
    }
}

pub(crate) fn within<T: PartialOrd + fmt::Debug + Copy>(
    field: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<(), Error> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (value, bounds) = (format!("{value:?}").into(), format!("{bounds:?}").into());
    Err(Error::Config { field, value, bounds })
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const MAX_CONNECTIONS: usize = 10_000;

#[cfg(test)]
mod tests;
