//! What the recorder says about itself.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, Key, Label};

use super::{Cell, Kind, Registry};
use crate::cells::{CounterCell, GaugeCell, Rejects};

pub(super) struct Own {
    pub(super) rejects: Arc<Rejects>,
    conflicts: Arc<CounterCell>,
    series: Arc<GaugeCell>,
}

impl Own {
    /// `now` in milliseconds since 1970.
    pub(super) fn new(now: u64) -> Self {
        let counter = || Arc::new(CounterCell::new().made_at(now));
        Self {
            rejects: Arc::new(Rejects {
                nan: counter(),
                infinite: counter(),
                negative: counter(),
                exemplar: counter(),
            }),
            conflicts: counter(),
            series: Arc::new(GaugeCell::new()),
        }
    }

    /// When the recorder was made.
    #[cfg(feature = "otlp")]
    pub(super) fn born(&self) -> u64 {
        self.conflicts.created()
    }

    pub(super) fn count_conflict(&self) {
        self.conflicts.increment(1);
    }

    pub(super) fn count_series(&self, by: f64) {
        self.series.increment(by);
    }

    pub(super) fn count_expired(&self, registry: &Registry, metric: &str, series: usize) {
        self.count_series(-(series as f64));
        let label = Label::new("metric", metric.to_owned());
        if let Some(counter) = registry.counter(&Key::from_parts(EXPIRED, vec![label])) {
            counter.increment(series as u64);
        }
    }

    pub(super) fn count_folded(&self, registry: &Registry, metric: &str) {
        let label = Label::new("metric", metric.to_owned());
        let key = Key::from_parts(FOLDED, vec![label]);
        if let Some(counter) = registry.counter(&key) {
            counter.increment(1);
        }
    }
}

/// Registers the recorder's own metrics under the cells made with it.
pub(super) fn adopt(registry: &Registry) {
    let own = &registry.own;
    for (name, text) in HELP {
        registry.describe(name, None, text.into());
    }
    let put = |name: &'static str, labels: &[(&'static str, &'static str)], cell: Cell| {
        let kind = match cell {
            Cell::Gauge(_) => Kind::Gauge,
            _ => Kind::Counter,
        };
        let labels: Vec<Label> = labels.iter().map(Label::from).collect();
        let key = Key::from_parts(name, labels);
        // The registry is empty: nothing to conflict with.
        let _ = registry.register(&key, kind, |_| cell);
    };
    put(CONFLICTS, &[], Cell::Counter(own.conflicts.clone()));
    put(SERIES, &[], Cell::Gauge(own.series.clone()));
    for (reason, counter) in [
        ("nan", &own.rejects.nan),
        ("infinite", &own.rejects.infinite),
        ("negative", &own.rejects.negative),
        ("exemplar", &own.rejects.exemplar),
    ] {
        put(REJECTED, &[("reason", reason)], Cell::Counter(counter.clone()));
    }
}

pub(super) fn is_own(name: &str) -> bool {
    HELP.iter().any(|(own, _)| *own == name)
}

const CONFLICTS: &str = "seawall_metrics_conflicts_total";
const EXPIRED: &str = "seawall_metrics_expired_total";
const FOLDED: &str = "seawall_metrics_folded_total";
const REJECTED: &str = "seawall_metrics_rejected_total";
const SERIES: &str = "seawall_metrics_series";

const HELP: [(&str, &str); 6] = [
    (CONFLICTS, "Registrations refused or renamed because the name was taken."),
    (EXPIRED, "Series removed because nothing was recorded in them for the idle timeout."),
    (FOLDED, "Look-ups that were given the overflow series because the metric was full."),
    (
        REJECTED,
        "Histogram values not recorded because they are not numbers, infinite, or negative durations, and exemplars dropped because they are too long.",
    ),
    ("seawall_metrics_pushes_total", "Pushes to a collector, by result."),
    (SERIES, "Series held by the recorder."),
];
