//! The settings file: the crates' own configuration structs side by side.

use std::path::Path;
use std::time::Duration;

use seawall::limit::{Guards, LimitConfig};
use seawall::pool::PoolConfig;
use serde::Deserialize;

use crate::error::Failure;

/// Everything that an operator may change without a new build.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub cache: CacheSettings,
    /// The nodes' addresses come from the stack.
    pub pool: PoolConfig,
    pub limits: LimitConfig,
    pub guards: Guards,
}

/// A TTL and a size for each namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    pub application: Namespace,
    pub database: Namespace,
    pub api: Namespace,
}

/// One namespace of the cache.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// Entries in memory.
    pub capacity: u64,
}

impl Settings {
    /// Reads `file`, or the settings that are built in.
    pub fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let text = match file {
            None => include_str!("marketplace.toml").to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| Failure::ReadSettings { path: path.to_owned(), source })?,
        };
        let settings: Self = toml::from_str(&text)?;
        settings.guards.validate()?;
        settings.limits.validate()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_settings_are_those_of_the_requirements() {
        let settings = Settings::load(None).unwrap();
        assert_eq!(settings.cache.database.ttl, Duration::from_secs(600));
        assert_eq!(settings.pool.max_size, 20);
        let quotas: Vec<_> =
            settings.limits.policies.iter().map(|p| (p.limit, p.per.as_secs())).collect();
        assert_eq!(quotas, [(10_000, 900), (5_000, 900), (100, 900), (50, 60)]);
        assert_eq!(settings.guards.max_url, 2_048);
    }

    #[test]
    fn a_field_that_nobody_reads_is_refused() {
        let text = include_str!("marketplace.toml").replace("max_size = 20", "max_sise = 20");
        let error = toml::from_str::<Settings>(&text).unwrap_err();
        assert!(error.to_string().contains("max_sise"), "{error}");
    }
}
