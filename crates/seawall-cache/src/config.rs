//! How a cache keeps its entries.

use std::time::Duration;

use crate::error::ConfigError;

/// The longest TTL: 30 days. Longer ones that a loader chooses are cut to it.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a cache keeps its entries. Each field has a method of the same name on
/// [`CacheBuilder`](crate::CacheBuilder).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CacheConfig {
    /// How long an entry lives, in L2 and in L1, unless its loader says otherwise.
    /// 1 ms to [`MAX_TTL`]. Default: 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub ttl: Duration,
    /// The longest an entry stays in L1 before it is read from L2 again: the bound on how long
    /// this node may serve a value that another node has changed. It never outlives the
    /// entry's remaining TTL in L2. At least 1 ms. Default: none, so the entry's TTL.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub l1_ttl: Option<Duration>,
    /// How long the answer "there is no such thing" is kept; zero keeps it nowhere.
    /// At most [`MAX_TTL`]. Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub negative_ttl: Duration,
    /// Entries in L1. At least 1. Default: 1 000.
    pub capacity: u64,
    /// How long a loader may run before it is dropped. At least 1 ms. Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub load_timeout: Duration,
    /// How long a removal is remembered, in L2 and as [`Load::min_source`](crate::Load::min_source):
    /// fills that began before it are refused for this long. More than `load_timeout`, at most
    /// [`MAX_TTL`]. Default: 60 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub tombstone_ttl: Duration,
    /// The largest record written to or accepted from L2, in bytes, its header included. Larger
    /// values live in L1 only. 1 KiB to 512 MiB. Default: 1 MiB.
    pub max_record_bytes: usize,
    /// The version of the value's type. Change it whenever the type changes: records of another
    /// version are misses, not garbage. Default: 0.
    pub schema: u16,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            l1_ttl: None,
            negative_ttl: Duration::from_secs(30),
            capacity: 1_000,
            load_timeout: Duration::from_secs(30),
            tombstone_ttl: Duration::from_secs(60),
            max_record_bytes: 1 << 20,
            schema: 0,
        }
    }
}

impl CacheConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        ConfigError::check(
            (ms..=MAX_TTL).contains(&self.ttl),
            "ttl",
            &self.ttl,
            "1 ms to 30 days",
        )?;
        if let Some(l1_ttl) = self.l1_ttl {
            ConfigError::check(l1_ttl >= ms, "l1_ttl", &l1_ttl, "at least 1 ms")?;
        }
        ConfigError::check(
            self.negative_ttl <= MAX_TTL,
            "negative_ttl",
            &self.negative_ttl,
            "at most 30 days",
        )?;
        ConfigError::check(self.capacity >= 1, "capacity", &self.capacity, "at least 1")?;
        ConfigError::check(
            self.load_timeout >= ms,
            "load_timeout",
            &self.load_timeout,
            "at least 1 ms",
        )?;
        ConfigError::check(
            self.tombstone_ttl > self.load_timeout && self.tombstone_ttl <= MAX_TTL,
            "tombstone_ttl",
            &self.tombstone_ttl,
            "more than load_timeout and at most 30 days",
        )?;
        ConfigError::check(
            (1 << 10..=512 << 20).contains(&self.max_record_bytes),
            "max_record_bytes",
            &self.max_record_bytes,
            "1 KiB to 512 MiB",
        )
    }

    /// How long an entry lives, given what its loader said. Zero: not at all.
    pub(crate) fn entry_ttl(&self, chosen: Option<Duration>, absent: bool) -> Duration {
        let own = if absent { self.negative_ttl } else { self.ttl };
        chosen.unwrap_or(own).min(MAX_TTL)
    }

    /// How long of `ttl` the entry may stay in L1.
    pub(crate) fn l1_share(&self, ttl: Duration) -> Duration {
        self.l1_ttl.map_or(ttl, |cap| cap.min(ttl))
    }
}

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
