//! When a remote counts as down, and what is remembered meanwhile.

use std::time::Duration;

use super::breaker::Rules;
use crate::error::ConfigError;

/// How a [`Guarded`](crate::Guarded) deals with a remote that does not answer. Each node of the
/// remote has a breaker of its own, by these rules.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct OutageConfig {
    /// How many calls in a row must fail before the breaker opens, however few calls there are.
    /// At least 1. Default: 3.
    pub failures: u32,
    /// How long the breaker stays open before it lets probes through. 1 ms to 1 hour.
    /// Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub open_for: Duration,
    /// How many probes are let through when it has been open for that long. It closes when all of
    /// them were answered in time, and opens again at the first that was not. 1 to 1 000.
    /// Default: 1.
    pub probes: u32,
    /// The calls of the last so long count for the two ratios. 100 ms to 1 hour.
    /// Default: 10 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub window: Duration,
    /// The ratios count once the window holds so many calls. At least 1. Default: 20.
    pub min_calls: u32,
    /// The breaker opens when this part of the window's calls failed. More than 0, at most 1.
    /// Default: 0.5.
    pub error_ratio: f64,
    /// Calls that take so long are slow. At least 1 ms. Default: none, so half the deadline.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub slow_call: Option<Duration>,
    /// The breaker opens when this part of the window's calls was answered, but slowly. More than
    /// 0, at most 1. Default: 0.8.
    pub slow_ratio: f64,
    /// How many keys to remove and marks to advance are remembered while the remote is out of
    /// reach, about 150 bytes each. When more come, nothing is read from the remote until these are acknowledged and the
    /// longest TTL seen has passed. At least 1. Default: 10 000.
    pub max_pending: usize,
}

impl Default for OutageConfig {
    fn default() -> Self {
        Self {
            failures: 3,
            open_for: Duration::from_secs(1),
            probes: 1,
            window: Duration::from_secs(10),
            min_calls: 20,
            error_ratio: 0.5,
            slow_call: None,
            slow_ratio: 0.8,
            max_pending: 10_000,
        }
    }
}

impl OutageConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        let ratio = |ratio: f64| ratio > 0.0 && ratio <= 1.0;
        let ratio_bound = "more than 0, at most 1";
        ConfigError::check(self.failures >= 1, "failures", &self.failures, "at least 1")?;
        ConfigError::check(
            (ms..=HOUR).contains(&self.open_for),
            "open_for",
            &self.open_for,
            "1 ms to 1 hour",
        )?;
        ConfigError::check(
            (1..=MOST_PROBES).contains(&self.probes),
            "probes",
            &self.probes,
            "1 to 1 000",
        )?;
        ConfigError::check(
            (100 * ms..=HOUR).contains(&self.window),
            "window",
            &self.window,
            "100 ms to 1 hour",
        )?;
        ConfigError::check(self.min_calls >= 1, "min_calls", &self.min_calls, "at least 1")?;
        let error_ratio = self.error_ratio;
        ConfigError::check(ratio(error_ratio), "error_ratio", &error_ratio, ratio_bound)?;
        if let Some(slow_call) = self.slow_call {
            ConfigError::check(slow_call >= ms, "slow_call", &slow_call, "at least 1 ms")?;
        }
        let slow_ratio = self.slow_ratio;
        ConfigError::check(ratio(slow_ratio), "slow_ratio", &slow_ratio, ratio_bound)?;
        ConfigError::check(self.max_pending >= 1, "max_pending", &self.max_pending, "at least 1")
    }

    /// The breakers' rules, with values out of bounds brought within them.
    pub(super) fn rules(&self, deadline: Duration) -> Rules {
        let ms = Duration::from_millis(1);
        let ratio = |ratio: f64| if ratio.is_nan() { 1.0 } else { ratio.clamp(0.01, 1.0) };
        Rules {
            failures: self.failures.max(1),
            open_for: self.open_for.clamp(ms, HOUR),
            window: self.window.clamp(100 * ms, HOUR),
            min_calls: self.min_calls.max(1),
            error_ratio: ratio(self.error_ratio),
            slow_call: self.slow_call.unwrap_or(deadline / 2).max(ms),
            slow_ratio: ratio(self.slow_ratio),
            probes: self.probes.clamp(1, MOST_PROBES),
        }
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

const MOST_PROBES: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_bounds_are_named() {
        let good = OutageConfig::default();
        good.validate().expect("the defaults are valid");
        let bad = [
            ("failures", OutageConfig { failures: 0, ..good.clone() }),
            ("open_for", OutageConfig { open_for: Duration::ZERO, ..good.clone() }),
            ("probes", OutageConfig { probes: 0, ..good.clone() }),
            ("window", OutageConfig { window: Duration::ZERO, ..good.clone() }),
            ("min_calls", OutageConfig { min_calls: 0, ..good.clone() }),
            ("error_ratio", OutageConfig { error_ratio: f64::NAN, ..good.clone() }),
            ("error_ratio", OutageConfig { error_ratio: 0.0, ..good.clone() }),
            ("slow_call", OutageConfig { slow_call: Some(Duration::ZERO), ..good.clone() }),
            ("slow_ratio", OutageConfig { slow_ratio: 1.5, ..good.clone() }),
            ("max_pending", OutageConfig { max_pending: 0, ..good.clone() }),
        ];
        for (field, config) in bad {
            assert_eq!(config.validate().expect_err(field).field, field);
            config.rules(Duration::from_millis(100));
        }
    }

    #[test]
    #[cfg(feature = "serde")]
    fn a_file_from_before_the_ratios_still_reads() {
        let text = r#"{"failures": 5, "open_for": "2s", "max_pending": 7}"#;
        let config: OutageConfig = serde_json::from_str(text).expect("valid");
        let expected = OutageConfig {
            failures: 5,
            open_for: Duration::from_secs(2),
            max_pending: 7,
            ..OutageConfig::default()
        };
        assert_eq!(config, expected);
        let text = serde_json::to_string(&config).expect("writes");
        assert_eq!(serde_json::from_str::<OutageConfig>(&text).expect("reads"), config);
    }
}
