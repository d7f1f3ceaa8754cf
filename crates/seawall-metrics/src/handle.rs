//! Reading what was recorded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Key;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cells::WindowSum;
use crate::expose::{self, Format};
use crate::registry::{Cell, Kind, Labels, Registry};
use crate::snapshot::{self, SeriesInfo, Snapshot};
use crate::window::{MAX_WINDOW, Window};

/// Reads the metrics of a [`Recorder`](crate::Recorder). Cheap to clone.
///
/// Readers never hold up a thread that records. Names are the exposed ones
/// (`a.b` is exposed as `a_b`); labels given to a query are a subset to match,
/// and the series that match are added up.
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
}

impl Handle {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Everything in the Prometheus text format 0.0.4, ordered by name and
    /// labels. Of each histogram `_count` equals the `+Inf` bucket, also while
    /// other threads record; `_sum` may be ahead of the count by the values
    /// being recorded at that moment.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.render_into(&mut out);
        out
    }

    /// Like [`render`](Self::render), appending to a buffer that may be reused.
    pub fn render_into(&self, out: &mut String) {
        expose::plain(&self.registry, out);
    }

    /// Everything in the format asked for.
    #[must_use]
    pub fn render_as(&self, format: Format) -> Vec<u8> {
        format.render(&self.registry, &[])
    }

    /// Records `value` in a histogram and keeps `exemplar`, the trace id for
    /// instance, as the example of its bucket, which OpenMetrics and protobuf
    /// scrapes show. An exemplar of more than 128 code points, names and values
    /// together, is dropped and counted in `seawall_metrics_rejected_total`;
    /// the value counts in any case.
    ///
    /// Takes a look-up, a reading of the wall clock and two short allocations
    /// more than a record: for the few requests that are traced.
    pub fn record_with_exemplar(&self, key: &Key, value: f64, exemplar: &[(&str, &str)]) {
        if let Some(histogram) = self.registry.histogram(key) {
            histogram.0.record_with(value, exemplar);
        }
    }

    /// The last `over` (at most 5 min) of a histogram or counter, all series
    /// with `labels` merged cell by cell. Empty if there is no such metric.
    ///
    /// Covers at least `over`, and up to 1 s more for windows of up to 10 s,
    /// up to 5 s more for longer ones; see [`Window::span`]. Costs a few
    /// microseconds per matching active series.
    #[must_use]
    pub fn window(&self, name: &str, labels: &[(&str, &str)], over: Duration) -> Window {
        self.window_at(name, labels, over, Instant::now())
    }

    /// [`window`](Self::window) ending at `now`, which must not lie before the
    /// last tick.
    #[must_use]
    pub fn window_at(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        over: Duration,
        now: Instant,
    ) -> Window {
        self.window_where(name, |own| own.contain(labels), over, now)
    }

    /// [`window_at`](Self::window_at) over the series that are `wanted`.
    pub(crate) fn window_where(
        &self,
        name: &str,
        wanted: impl Fn(&Labels) -> bool,
        over: Duration,
        now: Instant,
    ) -> Window {
        self.registry.tick(now);
        // Held throughout, so that all series are read in the same tick.
        let clock = self.registry.clock.read();
        let from = clock.from(over.min(MAX_WINDOW), now);
        let span = clock.span(from, now);
        let Some(family) = self.registry.find(name) else {
            return Window::empty(span);
        };
        let series = family.series.read();
        let matching = || series.iter().filter(|(own, _)| wanted(own)).map(|(_, cell)| cell);
        match family.kind {
            Kind::Gauge => Window::empty(span),
            Kind::Counter => {
                let count = matching().fold(0_u64, |total, cell| match cell {
                    Cell::Counter(counter) => total.wrapping_add(counter.since(from)),
                    _ => total,
                });
                Window::of_counter(count, span)
            }
            Kind::Histogram => {
                let mut sum = WindowSum::new(&family.layout);
                for cell in matching() {
                    if let Cell::Histogram(histogram) = cell {
                        histogram.add_since(from, &mut sum);
                    }
                }
                Window::of_histogram(&sum, &family.layout, span)
            }
        }
    }

    /// Total of the matching series of a counter; `None` if none matches.
    #[must_use]
    pub fn counter_value(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        self.fold(name, labels, |total: Option<u64>, cell| match cell {
            Cell::Counter(counter) => Some(total.unwrap_or(0).wrapping_add(counter.value())),
            _ => total,
        })
    }

    /// Sum of the matching series of a gauge; `None` if none matches. A series that
    /// is NaN is not known and left out, unless all are.
    #[must_use]
    pub fn gauge_value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.fold(name, labels, |total: Option<f64>, cell| match cell {
            Cell::Gauge(gauge) => match (total, gauge.value()) {
                (Some(total), value) if value.is_nan() => Some(total),
                (Some(total), value) if !total.is_nan() => Some(total + value),
                (_, value) => Some(value),
            },
            _ => total,
        })
    }

    /// Every series there is, in the order of the exposition.
    #[must_use]
    pub fn series(&self) -> Vec<SeriesInfo> {
        snapshot::series(&self.registry)
    }

    /// Every value there is, in the order of the exposition.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        snapshot::take(&self.registry, |_| true)
    }

    /// Every metric, with the series of those that are `wanted`.
    pub(crate) fn snapshot_of(&self, wanted: impl Fn(&str) -> bool) -> Snapshot {
        snapshot::take(&self.registry, wanted)
    }

    /// Ends a slot of every window. Does nothing if the last tick is less than
    /// 0.9 s ago. Only windows need ticks, about one a second.
    pub fn tick(&self, now: Instant) {
        self.registry.tick(now);
    }

    /// Ticks once a second for ever; spawn it if the recorder was installed
    /// outside a runtime. Dropping the future stops the ticks and harms
    /// nothing. Several such tasks on one recorder tick no faster than one.
    pub async fn run(self) {
        let registry = Arc::downgrade(&self.registry);
        drop(self);
        let mut timer = interval(TICK);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            match registry.upgrade() {
                // Not the time the timer was set to: it may be late.
                Some(registry) => registry.tick(Instant::now()),
                None => return,
            }
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Name and kind of every metric but the recorder's own.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (Arc<str>, Kind)> {
        self.registry
            .families()
            .into_iter()
            .filter(|family| !family.is_own())
            .map(|family| (family.name.clone(), family.kind))
    }

    fn fold<T>(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        step: impl Fn(Option<T>, &Cell) -> Option<T>,
    ) -> Option<T> {
        let family = self.registry.find(name)?;
        let series = family.series.read();
        series
            .iter()
            .filter(|(own, _)| own.contain(labels))
            .fold(None, |total, (_, cell)| step(total, cell))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
