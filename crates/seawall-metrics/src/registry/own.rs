//! What the recorder says about itself.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, Key, Label};

use super::name::Labels;
use super::{Cell, Kind, Line, RawName, Registry};
use crate::cells::{CounterCell, GaugeCell, Rejects};

pub(super) struct Own {
    pub(super) rejects: Arc<Rejects>,
    conflicts: Arc<Line<CounterCell>>,
    refused: Arc<Line<CounterCell>>,
    series: Arc<Line<GaugeCell>>,
}

impl Own {
    /// `now` in milliseconds since 1970.
    pub(super) fn new(now: u64) -> Self {
        let none = || Labels::new(std::iter::empty(), false);
        let counter = || CounterCell::new().made_at(now);
        let rejected = RawName::new(REJECTED);
        let reason = |reason| {
            let labels = Labels::new(std::iter::once(&Label::new("reason", reason)), false);
            Line::new(&rejected, labels, counter())
        };
        Self {
            rejects: Arc::new(Rejects {
                nan: reason("nan"),
                infinite: reason("infinite"),
                negative: reason("negative"),
                exemplar: reason("exemplar"),
            }),
            conflicts: Line::new(&RawName::new(CONFLICTS), none(), counter()),
            refused: Line::new(&RawName::new(REFUSED), none(), counter()),
            series: Line::new(&RawName::new(SERIES), none(), GaugeCell::new()),
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

    #[cfg(test)]
    pub(super) fn conflicts(&self) -> u64 {
        self.conflicts.value()
    }

    pub(super) fn count_refused(&self) {
        self.refused.increment(1);
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
        let _ = registry.register(&key, kind, |_, _| cell);
    };
    put(CONFLICTS, &[], Cell::Counter(own.conflicts.clone()));
    put(REFUSED, &[], Cell::Counter(own.refused.clone()));
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
const REFUSED: &str = "seawall_metrics_names_refused_total";
const REJECTED: &str = "seawall_metrics_rejected_total";
const SERIES: &str = "seawall_metrics_series";

const HELP: [(&str, &str); 7] = [
    (CONFLICTS, "Registrations refused or renamed because the name was taken."),
    (EXPIRED, "Series removed because nothing was recorded in them for the idle timeout."),
    (FOLDED, "Look-ups that were given the overflow series because the metric was full."),
    (REFUSED, "Look-ups not recorded because there were as many metric names as allowed."),
    (
        REJECTED,
        "Histogram values not recorded because they are not numbers, infinite, or negative durations, and exemplars dropped because they are too long.",
    ),
    ("seawall_metrics_pushes_total", "Pushes to a collector, by result."),
    (SERIES, "Series held by the recorder."),
];
