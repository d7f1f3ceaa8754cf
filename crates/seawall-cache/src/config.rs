//! How a cache keeps its entries.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::ConfigError;
use crate::local::engine::EngineKind;

/// The longest TTL: 30 days. Longer ones that a loader chooses are cut to it.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a cache keeps its entries. Each field has a method of the same name on
/// [`CacheBuilder`](crate::CacheBuilder).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CacheConfig {
    /// How long an entry is fresh, in L2 and in L1, unless its loader says otherwise.
    /// 1 ms to [`MAX_TTL`]. Default: 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub ttl: Duration,
    /// The fraction of its TTL by which each entry's own is cut at random, once, so that what was
    /// loaded together does not end together. 0 to 0.9. Default: 0.
    pub ttl_jitter: f64,
    /// The longest an entry stays in L1 before it is read from L2 again: the bound on how long
    /// this node may serve a value that another node has changed, where the remote does not tell
    /// of changes. It never outlives the entry's remaining TTL in L2. At least 1 ms. Without a
    /// remote it does nothing. Default: none, so the entry's TTL.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub l1_ttl: Option<Duration>,
    /// How long the answer "there is no such thing" is kept; zero keeps it nowhere.
    /// At most [`MAX_TTL`]. Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub negative_ttl: Duration,
    /// For how long past its TTL a value is served at once while one load refreshes it.
    /// At most [`MAX_TTL`]. Default: 0, so a caller past the TTL waits for the load.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub stale_while_revalidate: Duration,
    /// For how long past its TTL a value is served, marked degraded, when its loader fails or is
    /// slower than [`load_soft_timeout`](Self::load_soft_timeout). Never a value that was removed
    /// or cleared. At most [`MAX_TTL`]. Default: 0, so a failure is an error.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub stale_if_error: Duration,
    /// How long after a failed load, whose callers got the stale value, the loader is not tried
    /// again. 1 ms to 1 hour. Default: 10 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub error_throttle: Duration,
    /// How eagerly a read refreshes an entry before its TTL ends (XFetch): the mean lead is this
    /// times the time the load takes. 0 (never) to 100. Default: 1.
    pub refresh_beta: f64,
    /// How long a loader may run before it is dropped. At least 1 ms. Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub load_timeout: Duration,
    /// How long callers wait for a loader if a stale value may be served; the load goes on.
    /// At least 1 ms and less than `load_timeout`. Default: none.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub load_soft_timeout: Option<Duration>,
    /// How long callers wait for L2 if a stale value from L1 may be served; the read goes on.
    /// At least 1 ms. Default: none.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub l2_soft_timeout: Option<Duration>,
    /// How long one node holds the right to load a key when it does not renew it, so how soon
    /// another takes over from a node that died. 10 ms to 1 minute. Default: 3 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub lease_ttl: Duration,
    /// How long ago L2 may last have proved that it told this node everything: past that, L1 is
    /// checked against L2 by version before it answers. Only where the remote tells of changes.
    /// At least 10 ms. Default: none; the staleness is reported, not enforced.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_staleness: Option<Duration>,
    /// Entries in L1. At least 1. Default: 1 000. Not looked at if `capacity_bytes` is set.
    pub capacity: u64,
    /// The size of L1 in bytes, as the builder's [`weigher`](crate::CacheBuilder::weigher) counts
    /// them. At least 1 KiB. Default: none, so `capacity` counts entries.
    pub capacity_bytes: Option<u64>,
    /// What decides which entries stay in L1. Default: [`EngineKind::Moka`].
    pub engine: EngineKind,
    /// How long a removal is remembered, in L2 and as [`Load::min_source`](crate::Load::min_source):
    /// fills that began before it are refused for this long. More than `load_timeout`, at most
    /// [`MAX_TTL`]. Default: 60 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub tombstone_ttl: Duration,
    /// Values whose bytes are more than this are compressed in L2 (feature `zstd`); more than
    /// `max_value_bytes` means never. Default: 4 KiB.
    pub compress_above: usize,
    /// The largest record written to or accepted from L2, in bytes, its header included. Larger
    /// values live in L1 only. 1 KiB to 512 MiB. Default: 1 MiB.
    pub max_record_bytes: usize,
    /// The largest value accepted from L2 once decompressed, in bytes: a larger one is a miss.
    /// 1 KiB to 512 MiB. Default: 16 MiB.
    pub max_value_bytes: usize,
    /// The version of the value's type. Change it whenever the type changes: records of another
    /// version are misses, not garbage. Default: 0.
    pub schema: u16,
    /// Whether hits are also counted as `cache_hits_total{level,key_type}`, for dashboards that
    /// look for that name. Costs a hit one more counter. Default: no.
    pub hits_alias: bool,
    /// Whether every hit in L1 reads the exact time. Default: no. A hit then looks at the kernel's
    /// last tick, which is cheaper, and reads the exact time only if the entry could be over, so a
    /// TTL ends when it ends all the same; but the age that a plain hit tells may be a tick of the
    /// kernel (1 to 10 ms) too low, and where the kernel's tick is held up for more than 20 ms
    /// while other threads run, as a crowded hypervisor can do, an entry may live so much longer.
    ///
    /// Not on Linux, and in programs that are built with Tokio's `test-util` (tests, for which
    /// time can stand still), every hit reads the exact time whatever this says.
    pub exact_clock: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            ttl_jitter: 0.0,
            l1_ttl: None,
            negative_ttl: Duration::from_secs(30),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            error_throttle: Duration::from_secs(10),
            refresh_beta: 1.0,
            load_timeout: Duration::from_secs(30),
            load_soft_timeout: None,
            l2_soft_timeout: None,
            lease_ttl: Duration::from_secs(3),
            max_staleness: None,
            capacity: 1_000,
            capacity_bytes: None,
            engine: EngineKind::default(),
            tombstone_ttl: Duration::from_secs(60),
            compress_above: 4 << 10,
            max_record_bytes: 1 << 20,
            max_value_bytes: 16 << 20,
            schema: 0,
            hits_alias: false,
            exact_clock: false,
        }
    }
}

impl CacheConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_times()?;
        self.validate_loads()?;
        self.validate_sizes()
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let up_to_max = |field, value: Duration| {
            ConfigError::check(value <= MAX_TTL, field, &value, "at most 30 days")
        };
        within("ttl", self.ttl, MS..=MAX_TTL, "1 ms to 30 days")?;
        ConfigError::check(
            (0.0..=0.9).contains(&self.ttl_jitter),
            "ttl_jitter",
            &self.ttl_jitter,
            "0 to 0.9",
        )?;
        at_least("l1_ttl", self.l1_ttl, MS, "at least 1 ms")?;
        up_to_max("negative_ttl", self.negative_ttl)?;
        up_to_max("stale_while_revalidate", self.stale_while_revalidate)?;
        up_to_max("stale_if_error", self.stale_if_error)?;
        let hour = Duration::from_secs(3600);
        within("error_throttle", self.error_throttle, MS..=hour, "1 ms to 1 hour")?;
        ConfigError::check(
            (0.0..=100.0).contains(&self.refresh_beta),
            "refresh_beta",
            &self.refresh_beta,
            "0 to 100",
        )?;
        at_least("max_staleness", self.max_staleness, MS * 10, "at least 10 ms")
    }

    fn validate_loads(&self) -> Result<(), ConfigError> {
        at_least("load_timeout", Some(self.load_timeout), MS, "at least 1 ms")?;
        if let Some(soft) = self.load_soft_timeout {
            ConfigError::check(
                (MS..self.load_timeout).contains(&soft),
                "load_soft_timeout",
                &soft,
                "at least 1 ms and less than load_timeout",
            )?;
        }
        at_least("l2_soft_timeout", self.l2_soft_timeout, MS, "at least 1 ms")?;
        let minute = Duration::from_secs(60);
        within("lease_ttl", self.lease_ttl, MS * 10..=minute, "10 ms to 1 minute")?;
        ConfigError::check(
            self.tombstone_ttl > self.load_timeout && self.tombstone_ttl <= MAX_TTL,
            "tombstone_ttl",
            &self.tombstone_ttl,
            "more than load_timeout and at most 30 days",
        )
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.capacity >= 1, "capacity", &self.capacity, "at least 1")?;
        if let Some(bytes) = self.capacity_bytes {
            ConfigError::check(bytes >= 1 << 10, "capacity_bytes", &bytes, "at least 1 KiB")?;
        }
        for (field, bytes) in
            [("max_record_bytes", self.max_record_bytes), ("max_value_bytes", self.max_value_bytes)]
        {
            ConfigError::check(
                (1 << 10..=512 << 20).contains(&bytes),
                field,
                &bytes,
                "1 KiB to 512 MiB",
            )?;
        }
        Ok(())
    }
}

fn within(
    field: &'static str,
    value: Duration,
    bounds: RangeInclusive<Duration>,
    bound: &'static str,
) -> Result<(), ConfigError> {
    ConfigError::check(bounds.contains(&value), field, &value, bound)
}

fn at_least(
    field: &'static str,
    value: Option<Duration>,
    least: Duration,
    bound: &'static str,
) -> Result<(), ConfigError> {
    value.map_or(Ok(()), |value| ConfigError::check(value >= least, field, &value, bound))
}

const MS: Duration = Duration::from_millis(1);

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn durations_are_text_and_the_rest_is_default() {
        let config: CacheConfig =
            serde_json::from_str(r#"{"ttl": "1m 30s", "l1_ttl": "500ms"}"#).expect("valid");
        let expected = CacheConfig {
            ttl: Duration::from_secs(90),
            l1_ttl: Some(Duration::from_millis(500)),
            ..CacheConfig::default()
        };
        assert_eq!(config, expected);
        let text = serde_json::to_string(&config).expect("writes");
        assert_eq!(serde_json::from_str::<CacheConfig>(&text).expect("reads"), config);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        serde_json::from_str::<CacheConfig>(r#"{"tll": "1m"}"#).expect_err("no such field");
    }

    #[test]
    #[cfg(feature = "redis")]
    fn redis_is_configured_alike() {
        let text = r#"{"url": "redis://cache:6379", "command_timeout": "50ms",
            "outage": {"open_for": "2s"}}"#;
        let config: crate::RedisConfig = serde_json::from_str(text).expect("valid");
        assert_eq!(config.command_timeout, Duration::from_millis(50));
        assert_eq!(config.outage.open_for, Duration::from_secs(2));
        config.validate().expect("in bounds");
    }
}
