//! Windows over signals that come as plain samples.

mod aggregate;
mod config;
mod ring;

use std::collections::BTreeMap;

pub use aggregate::{Aggregate, Function};
pub use config::{HistoryConfig, HistoryError};

use crate::{Condition, Signals};
use ring::Ring;

/// Remembers samples and computes `avg(cpu_usage, 5m)` and the like from them.
///
/// For sources that publish a plain sample now and then: `cpu_usage`, a queue's
/// depth, a total. A source that aggregates by itself (the recorder of
/// `seawall-metrics` knows every single value, not samples) publishes windowed
/// signals under their canonical names, and those are left alone.
///
/// | function | over the samples of the window |
/// |---|---|
/// | `avg(x, 5m)` | their mean |
/// | `min(x, 5m)`, `max(x, 5m)` | the least, the largest |
/// | `p95(x, 5m)`, `quantile(0.95, x, 5m)` | nearest rank: a value that was measured |
/// | `delta(x, 5m)` | last minus first |
/// | `rate(x, 5m)` | growth per second; a fall is a counter that began anew at zero |
///
/// Without a window: the last minute. A window ends with the newest sample and
/// holds what is younger than that by less than its length; for `delta` and
/// `rate` also the last sample before, if that is no older than two windows. The
/// result has the time of the newest sample, so that its age tells.
///
/// What has been seen for less than [`min_coverage`](HistoryConfig::min_coverage)
/// of a window is not published: two samples are no five minutes. Seen is what
/// lies between its newest sample and its oldest, or that sample before it: a
/// break shorter than a window is bridged.
///
/// Pure: no clock, no IO. Memory is at most
/// [`max_samples`](HistoryConfig::max_samples) samples (24 bytes each) for each
/// of [`max_signals`](HistoryConfig::max_signals) signals; the oldest make room.
/// A step costs one pass over the samples of each window, and a sort for
/// quantiles.
///
/// ```
/// use std::time::Duration;
/// use seawall_signal::{Condition, History, Signals, Truth, Unit};
/// use tokio::time::Instant;
///
/// let hot = Condition::parse("avg(cpu_usage, 1m) > 80%")?;
/// let mut history = History::default();
/// history.watch(&hot);
///
/// let start = Instant::now();
/// let mut signals = Signals::new();
/// for step in 0..=6 {
///     let now = start + Duration::from_secs(10 * step);
///     signals.set("cpu_usage", 0.7 + 0.05 * step as f64, Unit::Ratio, now);
///     history.step(&mut signals);
/// }
/// let now = start + Duration::from_secs(60);
/// assert_eq!(hot.evaluate(&signals, now, Duration::from_secs(60)), Truth::True);
/// # Ok::<_, seawall_signal::ParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    config: HistoryConfig,
    /// By the name of the signal that is remembered; inner ones first.
    watched: Vec<Watched>,
    refused: u64,
}

#[derive(Clone, Debug)]
struct Watched {
    signal: Box<str>,
    depth: usize,
    ring: Ring,
    /// By canonical name.
    wanted: BTreeMap<Box<str>, Aggregate>,
}

impl History {
    /// Remembers nothing until told what to [`watch`](Self::watch).
    ///
    /// # Errors
    /// A setting is out of bounds.
    pub fn new(config: HistoryConfig) -> Result<Self, HistoryError> {
        config.validate()?;
        Ok(Self { config, ..Self::default() })
    }

    /// From now on computes every windowed signal that `condition` reads.
    /// Returns how many it could not take because
    /// [`max_signals`](HistoryConfig::max_signals) are watched.
    pub fn watch(&mut self, condition: &Condition) -> usize {
        condition.signals().into_iter().filter(|name| !self.watch_name(name)).count()
    }

    /// From now on computes the signal of this canonical name. False if there
    /// is no room. A name that is not one of the functions above needs nothing.
    pub fn watch_name(&mut self, name: &str) -> bool {
        let Some(aggregate) = Aggregate::of_name(name) else {
            return true;
        };
        let signal = aggregate.signal();
        // What is inside must be computed too: `avg(rate(x), 5m)`.
        if !self.watch_name(signal) {
            return false;
        }
        let at = match self.watched.iter().position(|it| *it.signal == *signal) {
            Some(at) => at,
            None if self.watched.len() >= self.config.max_signals => {
                self.refused += 1;
                return false;
            }
            None => {
                let depth = signal.matches('(').count();
                let at = self.watched.partition_point(|it| it.depth <= depth);
                self.watched.insert(
                    at,
                    Watched {
                        signal: signal.into(),
                        depth,
                        ring: Ring::default(),
                        wanted: BTreeMap::new(),
                    },
                );
                at
            }
        };
        if let Some(watched) = self.watched.get_mut(at) {
            watched.wanted.insert(name.into(), aggregate);
        }
        true
    }

    /// Takes in what is new in `signals`, and writes the windows into it. Call
    /// it after the sources, at least as often as they sample.
    ///
    /// A sample is new if its time is later than that of the last one. NaN and
    /// infinities are not remembered.
    pub fn step(&mut self, signals: &mut Signals) {
        for watched in &mut self.watched {
            let Some(sample) = signals.get(&watched.signal).copied() else {
                continue;
            };
            if !sample.value.is_finite() {
                continue;
            }
            watched.ring.push(&sample, self.config.max_samples);
            for (name, aggregate) in &watched.wanted {
                // A source that knows better has published it already.
                if signals.get(name).is_some_and(|known| known.at >= sample.at) {
                    continue;
                }
                if let Some(value) = aggregate.of(&watched.ring, self.config.min_coverage) {
                    let unit = aggregate.function().unit(sample.unit, &watched.signal);
                    signals.set(name, value, unit, sample.at);
                }
            }
        }
    }

    /// Samples remembered now, of all signals.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.watched.iter().map(|it| it.ring.len()).sum()
    }

    /// Windowed signals that were not taken for want of room, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests;
