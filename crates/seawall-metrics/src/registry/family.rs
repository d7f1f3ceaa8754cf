//! A metric: its name, its kind and its series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::Label;
use parking_lot::RwLock;

use super::name::Labels;
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
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
}

pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    /// The name the callers use; the description is filed under it.
    pub(crate) raw: Box<str>,
    pub(crate) kind: Kind,
    pub(crate) series: RwLock<BTreeMap<Labels, Cell>>,
    pub(crate) layout: Arc<Layout>,
    warned: AtomicBool,
}

/// The cell for a set of labels.
pub(crate) struct Found {
    pub(crate) cell: Cell,
    /// The series did not exist before.
    pub(crate) new: bool,
    /// The metric is full; the cell is the shared overflow series.
    pub(crate) folded: bool,
}

impl Family {
    pub(crate) fn new(name: Arc<str>, raw: &str, kind: Kind, layout: Arc<Layout>) -> Self {
        Self {
            name,
            raw: raw.into(),
            kind,
            series: RwLock::default(),
            layout,
            warned: AtomicBool::new(false),
        }
    }

    pub(crate) fn find_or_add<'a>(
        &self,
        labels: impl Iterator<Item = &'a Label>,
        max_series: usize,
        make: impl FnOnce() -> Cell,
    ) -> Found {
        let labels = Labels::new(labels, self.kind == Kind::Histogram);
        let find = |series: &BTreeMap<Labels, Cell>| {
            let folded = series.len() >= max_series && !labels.is_empty();
            let known = |cell: &Cell, folded| Found { cell: cell.clone(), new: false, folded };
            match series.get(&labels) {
                Some(cell) => Ok(known(cell, false)),
                None if folded => {
                    let overflow = Labels::overflow();
                    series.get(&overflow).map(|cell| known(cell, true)).ok_or((overflow, true))
                }
                None => Err((labels.clone(), false)),
            }
        };
        // Of a full metric every look-up of a further label set comes here:
        // it must not wait for a scrape, nor for its likes.
        if let Ok(found) = find(&self.series.read()) {
            return found;
        }
        let mut series = self.series.write();
        match find(&series) {
            Ok(found) => found,
            Err((labels, folded)) => {
                let cell = make();
                series.insert(labels, cell.clone());
                Found { cell, new: true, folded }
            }
        }
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
