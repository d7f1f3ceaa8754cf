//! The recorder behind the `metrics` facade, and how to make one.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tokio::time::Instant;

use crate::config::Config;
use crate::error::Error;
use crate::handle::Handle;
use crate::registry::{Registry, metric_name};

/// Receives what the macros of the `metrics` crate emit.
///
/// Cheap to clone; clones share the metrics. Made by [`Recorder::builder`].
#[derive(Clone)]
pub struct Recorder {
    registry: Arc<Registry>,
}

impl Recorder {
    /// Starts from the defaults of [`Config`].
    pub fn builder() -> RecorderBuilder {
        RecorderBuilder::default()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// Sets up a [`Recorder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `install` or `build`"]
pub struct RecorderBuilder {
    config: Config,
}

impl RecorderBuilder {
    /// Replaces every setting.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Classic bucket bounds of one histogram, in the unit of the metric.
    /// Default: see [`Config::default_buckets`].
    pub fn buckets(mut self, metric: impl Into<String>, bounds: &[f64]) -> Self {
        let name = metric_name(&metric.into()).into_owned();
        self.config.buckets.insert(name, bounds.to_vec());
        self
    }

    /// Classic bucket bounds of the histograms that have none of their own.
    pub fn default_buckets(mut self, bounds: &[f64]) -> Self {
        self.config.default_buckets = Some(bounds.to_vec());
        self
    }

    /// Most series per metric. Default: 10 000.
    pub fn max_series(mut self, series: usize) -> Self {
        self.config.max_series = series;
        self
    }

    /// Makes the recorder the global one of this process. Inside a tokio
    /// runtime this also spawns the task that ticks the windows; it ends with
    /// the runtime. Outside one, windows advance when they are read or when
    /// [`Handle::run`] or [`Handle::tick`] is called; exposition needs neither.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of bounds, [`Error::AlreadyInstalled`]
    /// if the process has a recorder. Neither changes anything.
    pub fn install(self) -> Result<Handle, Error> {
        let (recorder, handle) = self.build()?;
        metrics::set_global_recorder(recorder).map_err(|_| Error::AlreadyInstalled)?;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(handle.clone().run());
        }
        Ok(handle)
    }

    /// Makes a recorder without installing it: for tests, for
    /// `metrics::with_local_recorder`, or to put behind another recorder.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of bounds.
    pub fn build(self) -> Result<(Recorder, Handle), Error> {
        self.config.validate()?;
        let registry = Arc::new(Registry::new(self.config, Instant::now()));
        let recorder = Recorder { registry: registry.clone() };
        Ok((recorder, Handle::new(registry)))
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.registry.describe(name.as_str(), unit, text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.registry.describe(name.as_str(), unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.registry.describe(name.as_str(), unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.registry.counter(key).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.registry.gauge(key).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.registry.histogram(key).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}
