//! The external metrics API of Kubernetes (`external.metrics.k8s.io/v1beta1`), for a plain HPA
//! that is to follow the engine.
//!
//! ```
//! use seawall_scale::actuate::external_metrics::{ExternalMetrics, ExternalMetricsConfig};
//!
//! let metrics = ExternalMetrics::new(ExternalMetricsConfig::default())?;
//! let web = metrics.series("seawall-instances", &[("group", "web")])?;
//! web.publish(4.0); // after each decision
//! let service = metrics.service(); // for axum's `fallback_service`, or hyper
//! # drop(service);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The HPA names the metric, selects `group: web`, and has `averageValue: 1` as its target. The API
//! server reaches the service through an `APIService` object and wants TLS, which is the business
//! of whoever serves it; who may ask is decided by the API server.

mod answer;
mod selector;
mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub use self::service::ExternalMetricsService;
use crate::ConfigError;

/// How the API server is answered.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ExternalMetricsConfig {
    /// How old a value may be; a question that selects an older one fails as a whole, so that the
    /// HPA does not shrink on a sum without it. Default 60 s, 1 s to 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub max_age: Duration,
}

impl Default for ExternalMetricsConfig {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(60) }
    }
}

impl ExternalMetricsConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let s = Duration::from_secs;
        ConfigError::duration("max_age", self.max_age, (s(1), s(86_400)))
    }
}

/// The series that may be asked for. Clones are the same.
#[derive(Clone, Debug)]
pub struct ExternalMetrics {
    config: ExternalMetricsConfig,
    series: Arc<RwLock<BTreeMap<Key, watch::Receiver<Reading>>>>,
}

/// Name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    metric: Box<str>,
    labels: BTreeMap<Box<str>, Box<str>>,
}

type Reading = Option<(f64, Instant)>;

/// Where a series gets its values. When it is dropped, the series grows stale; it goes with
/// [`remove`](Self::remove).
#[derive(Debug)]
pub struct Series {
    key: Key,
    values: watch::Sender<Reading>,
    all: Weak<RwLock<BTreeMap<Key, watch::Receiver<Reading>>>>,
}

impl ExternalMetrics {
    /// No series yet.
    ///
    /// # Errors
    /// The configuration does not validate.
    pub fn new(config: ExternalMetricsConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config, series: Arc::default() })
    }

    /// A series of the metric of that name. The same name and labels again replace the first.
    ///
    /// # Errors
    /// A name that is not lower case, as HPAs ask for it, or not fit for a path; an empty label.
    pub fn series(&self, metric: &str, labels: &[(&str, &str)]) -> Result<Series, ConfigError> {
        let proper =
            |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-._".contains(it);
        if metric.is_empty() || metric.len() > 253 || !metric.chars().all(proper) {
            let value = metric.chars().take(300).collect();
            return Err(ConfigError::Text { field: "metric", value, bound: METRIC });
        }
        if let Some((name, _)) = labels.iter().find(|(name, _)| name.is_empty()) {
            let (field, value) = ("label", (*name).into());
            return Err(ConfigError::Text { field, value, bound: "a name of a label" });
        }
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let key = Key { metric: metric.into(), labels: labels.collect() };
        let (values, reader) = watch::channel(None);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.insert(key.clone(), reader);
        Ok(Series { key, values, all: Arc::downgrade(&self.series) })
    }

    /// The HTTP service: a tower service that is always ready and answers at once.
    #[must_use]
    pub fn service(&self) -> ExternalMetricsService {
        ExternalMetricsService::new(self.clone())
    }
}

impl Series {
    /// Publishes a value. Call it after each decision, also after one that changed nothing. What is
    /// not a finite number counts as never published.
    pub fn publish(&self, value: f64) {
        self.values.send_replace(value.is_finite().then(|| (value, Instant::now())));
    }

    /// Forgets the series: who asks for it hears that there is none. One that has replaced it stays.
    pub fn remove(self) {
        let Some(all) = self.all.upgrade() else { return };
        let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
        let own = self.values.subscribe();
        if all.get(&self.key).is_some_and(|reader| reader.same_channel(&own)) {
            all.remove(&self.key);
        }
    }
}

const METRIC: &str = "1 to 253 lower-case letters, digits, hyphens, dots or underscores";

#[cfg(test)]
mod tests;
