//! All metrics of a recorder: look-up, registration, conflicts, ticks.
//!
//! Three levels. A table of the thread's own answers a key it has seen before;
//! a sharded index one that any thread has seen, under a read lock. Behind them
//! the families hold the series in name and label order, which is the order of
//! the exposition; they are locked only to add a series or to read.

mod births;
mod crowd;
mod family;
mod index;
mod line;
mod local;
mod name;
mod names;
mod own;
mod seen;
mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use metrics::{Key, SharedString, Unit};
use parking_lot::RwLock;
use tokio::time::Instant;

pub(crate) use births::born_at;
pub use family::Kind;
pub(crate) use family::{Cell, Family};
pub(crate) use line::{Line, RawName};
pub(crate) use name::{Labels, label_name, metric_name};

use crate::cells::{CounterCell, GaugeCell, HistogramCell, Shared};
use crate::config::Config;
use crate::window::Clock;
use births::Births;
use index::Index;
use names::{Added, Names};
use own::Own;

pub(crate) struct Registry {
    config: Config,
    /// Tells this registry's entries in the threads' tables from another's.
    /// Renewed now and then, so that the tables let go of what they hold.
    id: AtomicU64,
    series: AtomicUsize,
    counters: Index<CounterCell>,
    gauges: Index<GaugeCell>,
    histograms: Index<HistogramCell>,
    names: RwLock<Names>,
    pub(crate) clock: RwLock<Clock>,
    own: Own,
    warned_of_names: AtomicBool,
    births: Births,
}

#[derive(Clone)]
pub(crate) struct Description {
    pub(crate) unit: Option<Unit>,
    pub(crate) text: SharedString,
}

impl Registry {
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        let births = Births::default();
        let registry = Self {
            config,
            id: AtomicU64::new(local::new_id()),
            series: AtomicUsize::new(0),
            counters: Index::new(false),
            gauges: Index::new(false),
            histograms: Index::new(true),
            names: RwLock::default(),
            clock: RwLock::new(Clock::new(now)),
            own: Own::new(births.now()),
            warned_of_names: AtomicBool::new(false),
            births,
        };
        own::adopt(&registry);
        registry
    }

    pub(crate) fn counter(&self, key: &Key) -> Option<Arc<Shared<CounterCell>>> {
        local::get(
            self.id.load(Relaxed),
            key,
            |tables| &mut tables.counters,
            || {
                if let Some(cell) = self.counters.get(key) {
                    return Some((cell, true));
                }
                let make = |family: &Family, labels| {
                    let cell = CounterCell::new().made_at(self.births.now());
                    Cell::Counter(Line::new(&family.raw, labels, cell))
                };
                let (Cell::Counter(cell), folded) = self.register(key, Kind::Counter, make)? else {
                    return None;
                };
                if !folded {
                    self.counters.insert(key, &cell);
                }
                Some((cell, !folded))
            },
        )
    }

    pub(crate) fn gauge(&self, key: &Key) -> Option<Arc<Shared<GaugeCell>>> {
        local::get(
            self.id.load(Relaxed),
            key,
            |tables| &mut tables.gauges,
            || {
                if let Some(cell) = self.gauges.get(key) {
                    return Some((cell, true));
                }
                let make = |family: &Family, labels| {
                    Cell::Gauge(Line::new(&family.raw, labels, GaugeCell::new()))
                };
                let (Cell::Gauge(cell), folded) = self.register(key, Kind::Gauge, make)? else {
                    return None;
                };
                if !folded {
                    self.gauges.insert(key, &cell);
                }
                Some((cell, !folded))
            },
        )
    }

    pub(crate) fn histogram(&self, key: &Key) -> Option<Arc<Shared<HistogramCell>>> {
        local::get(
            self.id.load(Relaxed),
            key,
            |tables| &mut tables.histograms,
            || {
                if let Some(cell) = self.histograms.get(key) {
                    return Some((cell, true));
                }
                let make = |family: &Family, labels| {
                    let (layout, rejects) = (family.layout.clone(), self.own.rejects.clone());
                    let durations = family.name.ends_with("_seconds");
                    let cell = HistogramCell::new(layout, rejects, durations);
                    Cell::Histogram(Line::new(&family.raw, labels, cell.made_at(self.births.now())))
                };
                let (Cell::Histogram(cell), folded) = self.register(key, Kind::Histogram, make)?
                else {
                    return None;
                };
                if !folded {
                    self.histograms.insert(key, &cell);
                }
                Some((cell, !folded))
            },
        )
    }

    /// When it was made, in milliseconds since 1970.
    #[cfg(feature = "otlp")]
    pub(crate) fn born(&self) -> u64 {
        self.own.born()
    }

    /// Whether scrapes in OpenMetrics tell when series were made.
    pub(crate) fn tells_created(&self) -> bool {
        self.config.created
    }

    /// The first description of a name stays.
    pub(crate) fn describe(&self, name: &str, unit: Option<Unit>, text: SharedString) {
        self.names.write().describe(name, Description { unit, text }, &self.config);
    }

    pub(crate) fn description(&self, family: &Family) -> Option<Description> {
        self.names.read().descriptions.get(family.raw.as_str()).cloned()
    }

    /// The family exposed under `name`.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Family>> {
        let names = self.names.read();
        names.by_exposed.get(name).or_else(|| names.by_raw.get(name)).cloned()
    }

    /// All families in order of the exposed name.
    pub(crate) fn families(&self) -> Vec<Arc<Family>> {
        self.names.read().by_exposed.values().cloned().collect()
    }

    /// Ends a slot of every series if one is due.
    pub(crate) fn tick(&self, now: Instant) {
        if !self.clock.read().is_due(now) {
            return;
        }
        let mut clock = self.clock.write();
        if !clock.is_due(now) {
            return;
        }
        let tick = clock.tick(now);
        for family in self.families() {
            for cell in family.series.read().values() {
                match cell {
                    Cell::Counter(counter) => counter.tick(&tick),
                    Cell::Histogram(histogram) => histogram.tick(&tick),
                    Cell::Gauge(gauge) => gauge.tick(&tick),
                }
            }
        }
        drop(clock);
        if tick.index.is_multiple_of(SWEEP) {
            // A tick is a second long, or longer.
            self.sweep(tick.index.saturating_sub(self.config.idle_timeout.as_secs()));
        }
    }

    /// Removes what has been idle for longer than the setting says.
    fn sweep(&self, since: u64) {
        let mut renewed = false;
        for family in self.families().iter().filter(|family| !family.is_own()) {
            if !(family.has_been_full() || self.config.expire_idle) {
                continue;
            }
            if family.kind == Kind::Gauge && !self.config.expire_gauges {
                continue;
            }
            // A handle in a thread's table would keep its series for ever.
            if !std::mem::replace(&mut renewed, true) {
                self.id.store(local::new_id(), Relaxed);
                // Once a sweep: what is made during it is too young to go with it.
                self.births.part();
            }
            let is_idle = |cell: &Cell| cell.is_idle(since);
            let removed = family.remove_idle(is_idle, |cells| match family.kind {
                Kind::Counter => self.counters.forget(cells),
                Kind::Gauge => self.gauges.forget(cells),
                Kind::Histogram => self.histograms.forget(cells),
            });
            if removed > 0 {
                self.series.fetch_sub(removed, Relaxed);
                self.own.count_expired(self, &family.name, removed);
            }
        }
    }

    /// The cell and whether it stands for many; `None` on a conflict.
    fn register(
        &self,
        key: &Key,
        kind: Kind,
        make: impl FnOnce(&Family, Labels) -> Cell,
    ) -> Option<(Cell, bool)> {
        let family = self.family(key.name(), kind)?;
        let own = family.is_own();
        let full = || !own && self.series.load(Relaxed) >= self.config.max_series_total;
        let found = family.find_or_add(key.labels(), self.config.max_series, full, |labels| {
            make(&family, labels)
        });
        if found.new {
            self.series.fetch_add(1, Relaxed);
            self.own.count_series(1.0);
        }
        if found.folded && !own {
            self.count_folded(&family);
        }
        Some((found.cell, found.folded))
    }

    fn family(&self, raw: &str, kind: Kind) -> Option<Arc<Family>> {
        let known = self.names.read().by_raw.get(raw).cloned();
        let family = match known {
            Some(family) => family,
            // Without the lock for writing: there may be many such.
            None if self.names.read().is_full(raw, &self.config) => return self.refuse(raw),
            None => self.add_family(raw, kind)?,
        };
        if family.kind != kind {
            self.own.count_conflict();
            if family.first_warning() {
                tracing::warn!(
                    metric = raw,
                    is = ?family.kind,
                    asked = ?kind,
                    "metric is registered as another kind; the later one is not recorded"
                );
            }
            return None;
        }
        Some(family)
    }

    /// Warns only after the lock is gone: a subscriber may count its events
    /// through this very recorder.
    fn add_family(&self, raw: &str, kind: Kind) -> Option<Arc<Family>> {
        match self.names.write().add(raw, kind, &self.config) {
            Added::Known(family) | Added::New(family) => Some(family),
            Added::Renamed(family, other) => {
                self.own.count_conflict();
                tracing::warn!(
                    metric = raw,
                    taken_by = %other,
                    exposed_as = %family.name,
                    "two metric names differ only in characters Prometheus refuses"
                );
                Some(family)
            }
            Added::Full => self.refuse(raw),
            Added::Refused { first } => {
                self.own.count_conflict();
                if first {
                    tracing::warn!(
                        metric = raw,
                        "metric name clashes with another's or with the _bucket, _sum or _count \
                         of a histogram; it is not recorded"
                    );
                }
                None
            }
        }
    }

    #[cold]
    fn refuse(&self, raw: &str) -> Option<Arc<Family>> {
        self.own.count_refused();
        if !self.warned_of_names.swap(true, Relaxed) {
            tracing::warn!(
                metric = raw,
                max_metrics = self.config.max_metrics,
                "there are as many metric names as allowed; further ones are not recorded"
            );
        }
        None
    }

    #[cold]
    fn count_folded(&self, family: &Family) {
        self.own.count_folded(self, &family.name);
        if family.first_warning() {
            tracing::warn!(
                metric = %family.name,
                max_series = self.config.max_series,
                "metric has too many series; further label sets are folded: their values count, their labels do not"
            );
        }
    }
}

/// Ticks between two sweeps for idle series.
const SWEEP: u64 = 10;

#[cfg(test)]
mod tests;
