//! A metric: its name, its kind and its series.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use metrics::Label;
use parking_lot::{Mutex, RwLock};

use super::crowd::{Crowd, FOLDED};
use super::line::{Line, RawName};
use super::name::Labels;
use super::series::Series;
use crate::cells::{CounterCell, GaugeCell, HistogramCell, Layout};

/// What kind of metric a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A whole number that only grows.
    Counter,
    /// A number that is set, or moved up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}

#[derive(Clone)]
pub(crate) enum Cell {
    Counter(Arc<Line<CounterCell>>),
    Gauge(Arc<Line<GaugeCell>>),
    Histogram(Arc<Line<HistogramCell>>),
}

impl Cell {
    pub(super) fn labels(&self) -> &Labels {
        match self {
            Self::Counter(line) => &line.labels,
            Self::Gauge(line) => &line.labels,
            Self::Histogram(line) => &line.labels,
        }
    }

    /// Tells one cell from another.
    fn address(&self) -> usize {
        match self {
            Self::Counter(cell) => Arc::as_ptr(cell) as usize,
            Self::Gauge(cell) => Arc::as_ptr(cell) as usize,
            Self::Histogram(cell) => Arc::as_ptr(cell) as usize,
        }
    }

    /// When it was made, in milliseconds since 1970; zero for a gauge.
    pub(crate) fn created(&self) -> u64 {
        match self {
            Self::Counter(cell) => cell.created(),
            Self::Gauge(_) => 0,
            Self::Histogram(cell) => cell.created(),
        }
    }

    fn holders(&self) -> usize {
        let holders = match self {
            Self::Counter(cell) => Arc::strong_count(cell),
            Self::Gauge(cell) => Arc::strong_count(cell),
            Self::Histogram(cell) => Arc::strong_count(cell),
        };
        // What was recorded through a handle that is gone is seen from here on:
        // `strong_count` alone orders nothing.
        fence(Ordering::Acquire);
        holders
    }

    /// True if nothing was recorded since the tick `since`. A gauge that is set
    /// to the value that it has is not idle.
    pub(super) fn is_idle(&self, since: u64) -> bool {
        match self {
            Self::Counter(cell) => cell.is_idle(since),
            Self::Gauge(cell) => cell.is_idle(since),
            Self::Histogram(cell) => cell.is_idle(since),
        }
    }
}

pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    /// The name the callers use; the description is filed under it.
    pub(crate) raw: Arc<RawName>,
    pub(crate) kind: Kind,
    pub(crate) series: RwLock<Series>,
    pub(crate) layout: Arc<Layout>,
    crowd: Mutex<Option<Crowd>>,
    warned: AtomicBool,
}

/// The cell for a set of labels.
pub(crate) struct Found {
    pub(crate) cell: Cell,
    /// The series did not exist before.
    pub(crate) new: bool,
    /// The metric is full; the cell is one that stands for many label sets.
    pub(crate) folded: bool,
}

impl Family {
    pub(crate) fn new(name: Arc<str>, raw: &str, kind: Kind, layout: Arc<Layout>) -> Self {
        Self {
            name,
            raw: RawName::new(raw),
            kind,
            series: RwLock::default(),
            layout,
            crowd: Mutex::new(None),
            warned: AtomicBool::new(false),
        }
    }

    /// `full` says whether the recorder as a whole has no room left.
    pub(crate) fn find_or_add<'a>(
        &self,
        labels: impl Iterator<Item = &'a Label>,
        max_series: usize,
        full: impl Fn() -> bool,
        make: impl FnOnce(Labels) -> Cell,
    ) -> Found {
        let labels = Labels::new(labels, self.kind == Kind::Histogram);
        // Of a full metric every look-up of a further label set comes here:
        // it must not wait for a scrape, nor for its likes.
        let mut refused = false;
        {
            let series = self.series.read();
            if let Some(cell) = series.get(&labels) {
                return Found { cell: cell.clone(), new: false, folded: false };
            }
            if !labels.is_empty()
                && let Some(crowd) = &mut *self.crowd.lock()
                && (self.is_full(&series, crowd.folded, max_series)
                    || full()
                    || !crowd.knocks(&labels))
            {
                refused = true;
                let cell = series.get(&crowd.fold(&labels));
                // A further stand-in may still be made, below.
                let last = crowd.folded + 1 >= most_folded(max_series);
                let rest = || if last { series.get(&Labels::overflow()) } else { None };
                if let Some(cell) = cell.or_else(rest) {
                    return Found { cell: cell.clone(), new: false, folded: true };
                }
            }
        }
        let mut series = self.series.write();
        if let Some(cell) = series.get(&labels) {
            return Found { cell: cell.clone(), new: false, folded: false };
        }
        let mut crowd = self.crowd.lock();
        let folded = crowd.as_ref().map_or(0, |crowd| crowd.folded);
        // There may be room again, but not for one that came too seldom.
        let full = refused || self.is_full(&series, folded, max_series) || full();
        if labels.is_empty() || !full {
            let cell = make(labels);
            series.insert(cell.clone());
            return Found { cell, new: true, folded: false };
        }
        let crowd = crowd.get_or_insert_with(|| Crowd::new(series.keys()));
        let mut stand_in = crowd.fold(&labels);
        // The last of the stand-ins is the one for everything.
        if series.get(&stand_in).is_none() && crowd.folded + 1 >= most_folded(max_series) {
            stand_in = Labels::overflow();
        }
        if let Some(cell) = series.get(&stand_in) {
            return Found { cell: cell.clone(), new: false, folded: true };
        }
        let cell = make(stand_in);
        crowd.folded += 1;
        series.insert(cell.clone());
        Found { cell, new: true, folded: true }
    }

    /// Removes the series that `is_idle` and nobody holds; says how many.
    /// `forget` must make the index let go of the cells it is given.
    pub(crate) fn remove_idle(
        &self,
        is_idle: impl Fn(&Cell) -> bool,
        forget: impl FnOnce(&HashSet<usize>),
    ) -> usize {
        let idle: HashSet<usize> = {
            let series = self.series.read();
            if let Some(crowd) = &mut *self.crowd.lock() {
                let rest = Labels::overflow();
                crowd.age(series.keys().filter(|labels| **labels != rest));
            }
            let stand_in = |labels: &Labels| labels.iter().any(|(_, value)| value == FOLDED);
            let candidates = series.iter().filter(|(labels, cell)| {
                !labels.is_empty()
                    && !stand_in(labels)
                    && **labels != Labels::overflow()
                    && is_idle(cell)
            });
            candidates.map(|(_, cell)| cell.address()).collect()
        };
        if idle.is_empty() {
            return 0;
        }
        forget(&idle);
        let mut series = self.series.write();
        let before = series.len();
        // With the lock held and no other holder nobody can record or come by a handle.
        series.retain(|cell| {
            !(idle.contains(&cell.address()) && cell.holders() == 1 && is_idle(cell))
        });
        before - series.len()
    }

    pub(crate) fn has_been_full(&self) -> bool {
        self.crowd.lock().is_some()
    }

    fn is_full(&self, series: &Series, folded: usize, max_series: usize) -> bool {
        series.len() - folded.min(series.len()) >= max_series
    }

    /// True for what the recorder says about itself.
    pub(crate) fn is_own(&self) -> bool {
        super::own::is_own(&self.name)
    }

    /// True the first time it is asked.
    pub(crate) fn first_warning(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}

/// Stand-ins a metric may have beside its series.
fn most_folded(max_series: usize) -> usize {
    (max_series / 10).clamp(1, 100)
}
