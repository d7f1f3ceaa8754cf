//! How to reach Redis.

use std::fmt;
use std::time::Duration;

use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    UnresponsiveConfig,
};

use crate::error::Error;

/// How to reach Redis, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Settings {
    /// `redis://user:password@host:port/db`, `redis-cluster://host:port?node=host:port` with some of
    /// the nodes, or `redis-sentinel://host:port?sentinelServiceName=name`. Default:
    /// `redis://127.0.0.1:6379`.
    pub url: String,
    /// The deadline of a command, from when it is handed to the connection. 1 ms to 1 minute.
    /// Default: 100 ms.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub command_timeout: Duration,
    /// A connection on which something has waited for so long is given up, and made anew; that for
    /// reads alone not while pieces of a long value come. 100 ms to 10 minutes. Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub unresponsive_timeout: Duration,
    /// How long connecting may take, also when reconnecting. 1 ms to 5 minutes. Default: 3 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// The longest pause between two attempts to reconnect; they start at 100 ms and double.
    /// At least 100 ms. Default: 2 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub reconnect_max_delay: Duration,
    /// Commands that may wait for one node; more fail at once. At least 1. Default: 10 000.
    pub max_queued: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            command_timeout: Duration::from_millis(100),
            unresponsive_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(3),
            reconnect_max_delay: Duration::from_secs(2),
            max_queued: 10_000,
        }
    }
}

impl Settings {
    /// Checks every field against its bound. The URL is checked when connecting.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), Error> {
        let ms = Duration::from_millis(1);
        let within = |field, value: Duration, least: Duration, most: Duration, bound| {
            let ok = (least..=most).contains(&value);
            if ok { Ok(()) } else { Err(out_of_bounds(field, &value, bound)) }
        };
        let minute = Duration::from_secs(60);
        within("command_timeout", self.command_timeout, ms, minute, "1 ms to 1 minute")?;
        let unresponsive = self.unresponsive_timeout;
        within(
            "unresponsive_timeout",
            unresponsive,
            100 * ms,
            10 * minute,
            "100 ms to 10 minutes",
        )?;
        within("connect_timeout", self.connect_timeout, ms, 5 * minute, "1 ms to 5 minutes")?;
        let delay = self.reconnect_max_delay;
        within("reconnect_max_delay", delay, 100 * ms, Duration::MAX, "at least 100 ms")?;
        if self.max_queued == 0 {
            return Err(out_of_bounds("max_queued", &self.max_queued, "at least 1"));
        }
        Ok(())
    }

    /// Where to connect to: what the URL says, and nothing of fred's that waits for ever.
    pub(crate) fn server(&self) -> Result<Config, Error> {
        self.validate()?;
        let mut server =
            Config::from_url(&self.url).map_err(|error| Error::Url(Box::new(error)))?;
        server.fail_fast = false;
        Ok(server)
    }

    /// What a client of fred's is made of, but for where to connect to and whether to try again: with none of its
    /// defaults that wait for ever.
    #[must_use]
    pub fn for_fred(&self) -> (PerformanceConfig, ConnectionConfig) {
        let performance = PerformanceConfig {
            default_command_timeout: self.command_timeout,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: self.connect_timeout,
            internal_command_timeout: self.connect_timeout,
            max_command_attempts: 1,
            // A master that became a replica on a connection that stays.
            reconnect_errors: vec![ReconnectError::ReadOnly],
            max_command_buffer_len: self.max_queued,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(self.unresponsive_timeout),
                interval: self.unresponsive_timeout / 4,
            },
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        (performance, connection)
    }

    /// For ever again.
    pub(crate) fn policy(&self) -> ReconnectPolicy {
        let max_delay = u32::try_from(self.reconnect_max_delay.as_millis()).unwrap_or(u32::MAX);
        ReconnectPolicy::new_exponential(0, 100, max_delay, 2)
    }
}

// By hand: the URL may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("command_timeout", &self.command_timeout)
            .field("unresponsive_timeout", &self.unresponsive_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("reconnect_max_delay", &self.reconnect_max_delay)
            .field("max_queued", &self.max_queued)
            .finish_non_exhaustive()
    }
}

fn out_of_bounds(field: &'static str, value: &dyn fmt::Debug, bound: &'static str) -> Error {
    Error::OutOfBounds { field, value: format!("{value:?}").into(), bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_value_and_bound() {
        Settings::default().validate().expect("the defaults are in bounds");
        let odd = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.validate().expect_err("out of bounds").to_string()
        };
        assert_eq!(
            odd(|it| it.command_timeout = Duration::ZERO),
            "command_timeout is 0ns, must be 1 ms to 1 minute"
        );
        for (change, field) in [
            ((|it| it.unresponsive_timeout = Duration::ZERO) as fn(&mut Settings), "unresponsive"),
            (|it| it.connect_timeout = Duration::from_secs(301), "connect_timeout"),
            (|it| it.reconnect_max_delay = Duration::from_millis(99), "reconnect_max_delay"),
            (|it| it.max_queued = 0, "max_queued"),
        ] {
            assert!(odd(change).starts_with(field), "{field}");
        }
    }

    #[test]
    fn neither_text_nor_error_shows_the_password_of_a_url() {
        let url = "redis://user:secret@[::1".to_owned();
        let settings = Settings { url, ..Settings::default() };
        let error = settings.server().expect_err("not a URL");
        assert!(matches!(error, Error::Url(_)) && !error.is_retryable());
        assert!(!format!("{settings:?} {error} {error:?}").contains("secret"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn settings_are_read_from_text_and_misspelt_fields_refused() {
        let text = r#"{"url": "redis://cache:6379", "command_timeout": "50ms"}"#;
        let settings: Settings = serde_json::from_str(text).expect("valid");
        assert_eq!(settings.command_timeout, Duration::from_millis(50));
        assert_eq!(settings.max_queued, Settings::default().max_queued);
        serde_json::from_str::<Settings>(r#"{"uri": ""}"#).expect_err("no such field");
    }
}
