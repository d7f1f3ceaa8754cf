//! Settings of a recorder.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cells::MAX_BOUNDS;
use crate::error::Error;

/// Bucket bounds for durations in seconds: those of OpenTelemetry's HTTP
/// conventions, and 200 ms and 2 s.
pub const SECONDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0];

/// Bucket bounds for sizes in bytes: powers of four from 256 B to 16 MiB.
pub const BYTES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// Settings of a [`Recorder`](crate::Recorder).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Config {
    /// Classic bucket bounds by exposed metric name, in the unit of the metric:
    /// finite, strictly rising, at most 128. A metric whose list is empty has
    /// the `+Inf` bucket only. They change the exposition, not the windows.
    /// Default: none.
    pub buckets: BTreeMap<String, Vec<f64>>,
    /// Bounds of the metrics not named in `buckets`. Default: [`BYTES`] for
    /// names ending in `_bytes`, [`SECONDS`] for all others; a list set here
    /// replaces both.
    pub default_buckets: Option<Vec<f64>>,
    /// Most series per metric, at least 1. Of further label sets the label with
    /// the most values is folded, to `_overflow`: values are kept, that label is
    /// not. A tenth as many (1 to 100) of such stand-ins come on top; the last of
    /// them is `overflow="true"` for all the rest. The series without labels is
    /// always let in. Default: 10 000.
    pub max_series: usize,
    /// Most series of all metrics together, at least 1; beyond them every metric
    /// folds as if it were full itself. Default: 100 000.
    pub max_series_total: usize,
    /// Most metric names, at least 1, not counting the recorder's own. What has a
    /// further name is not recorded, but counted in
    /// `seawall_metrics_names_refused_total`: for services whose names come from
    /// elsewhere. Descriptions of further names are not kept either, once there
    /// are as many as this. Default: none, any number.
    pub max_metrics: Option<usize>,
    /// How long a counter or histogram series must have been idle to be removed
    /// from a metric that has been full, 1 s to 1 day, in ticks of a second. Its
    /// place goes to a label set that is looked up often. Series whose handle
    /// somebody keeps are not removed, nor are the series without labels,
    /// stand-ins and, unless `expire_gauges` is set, gauges. A series that comes back starts at zero. Default: 10 min.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub idle_timeout: Duration,
    /// Removes idle series of every metric, also of those that never were full.
    /// Default: false.
    pub expire_idle: bool,
    /// Removes idle gauges as well: those that were not written, not even with
    /// the value that they have, for `idle_timeout`. Not for gauges that are set
    /// once and stay true, such as a version. Default: false.
    pub expire_gauges: bool,
    /// Whether a scrape in OpenMetrics has a `_created` line for each counter
    /// and histogram, with the time at which it was made: a series that expired
    /// and came back shows a new one. Prometheus keeps these lines as series of
    /// their own, about twice as many counters; protobuf and OTLP, which tell the
    /// time within the series, always do. Default: true.
    pub created: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
            default_buckets: None,
            max_series: 10_000,
            max_series_total: 100_000,
            max_metrics: None,
            idle_timeout: Duration::from_secs(600),
            expire_idle: false,
            expire_gauges: false,
            created: true,
        }
    }
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if self.max_series == 0 {
            return Err(Error::config("max_series", 0.0, "at least 1"));
        }
        if self.max_series_total == 0 {
            return Err(Error::config("max_series_total", 0.0, "at least 1"));
        }
        if self.max_metrics == Some(0) {
            return Err(Error::config("max_metrics", 0.0, "at least 1"));
        }
        let seconds = self.idle_timeout.as_secs_f64();
        if !(1.0..=86_400.0).contains(&seconds) {
            return Err(Error::config("idle_timeout", seconds, "1 s to 1 day"));
        }
        if let Some(bounds) = &self.default_buckets {
            check("default_buckets", bounds)?;
        }
        self.buckets.values().try_for_each(|bounds| check("buckets", bounds))
    }

    pub(crate) fn bounds_of(&self, name: &str) -> &[f64] {
        match (self.buckets.get(name), &self.default_buckets) {
            (Some(bounds), _) | (None, Some(bounds)) => bounds,
            (None, None) if name.ends_with("_bytes") => &BYTES,
            (None, None) => &SECONDS,
        }
    }
}

fn check(field: &'static str, bounds: &[f64]) -> Result<(), Error> {
    if bounds.len() > MAX_BOUNDS {
        return Err(Error::config(field, bounds.len() as f64, "at most 128 bounds"));
    }
    let mut before = f64::NEG_INFINITY;
    for bound in bounds {
        if !(bound.is_finite() && *bound > before) {
            return Err(Error::config(field, *bound, "finite and above the bound before it"));
        }
        before = *bound;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
