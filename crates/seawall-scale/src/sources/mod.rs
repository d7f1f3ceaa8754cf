//! Eyes: signals from other systems, each with its age.
//!
//! A [`Probe`] asks one system for some numbers. A [`Poller`] asks its probes, each at its own pace
//! in its own task, keeps the last good numbers with the time at which the world was so, and is a
//! [`Source`](seawall_signal::Source) for the engine: what could not be read grows old, and a signal
//! that is too old counts as missing there, never as zero.
//!
//! ```
//! use seawall_scale::sources::{Poller, PollConfig, Reading, Measure};
//! use seawall_signal::{Signals, Source, Unit};
//! use tokio::time::Instant;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let mut poller = Poller::new();
//! let depth = Measure::new("backlog", || async { Ok(vec![Reading::new("queue_depth", 12.0, Unit::Count)]) });
//! poller.add(depth, PollConfig::default())?;
//! poller.settled().await;
//!
//! let mut signals = Signals::new();
//! poller.feed(&mut signals, Instant::now());
//! assert_eq!(signals.get("queue_depth").map(|sample| sample.value), Some(12.0));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
#[cfg(feature = "kube")]
mod kubernetes;
mod measure;
mod poller;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;
mod telemetry;

use std::time::Duration;

use seawall_signal::Unit;

use crate::actuate::Boxed;

pub use config::PollConfig;
pub use error::SourceError;
#[cfg(feature = "kube")]
pub use kubernetes::KubernetesPods;
pub use measure::Measure;
pub use poller::{Poller, ProbeStatus};
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "prometheus")]
pub use prometheus::{Prometheus, Series};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::RabbitQueue;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisQuery};

/// Something that can be asked for numbers.
pub trait Probe: Send + Sync {
    /// Short, for metrics and logs: which of all probes this is.
    fn name(&self) -> &str;

    /// Asks. All or nothing: a number that could not be read fails the whole, and the last good
    /// ones stay. May be dropped at any await.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>>;
}

/// One number that a [`Probe`] read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The signal's name, as conditions name it.
    pub signal: Box<str>,
    /// In the unit's base unit.
    pub value: f64,
    /// What the number counts.
    pub unit: Unit,
    /// How old it was when it was asked for, by the clock of who answered.
    pub age: Duration,
}

impl Reading {
    /// A number that was true when it was asked for.
    #[must_use]
    pub fn new(signal: &str, value: f64, unit: Unit) -> Self {
        Self { signal: signal.into(), value, unit, age: Duration::ZERO }
    }

    /// So old already.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        Self { age, ..self }
    }
}
