//! The series of a metric in the order of their labels, which is that of the
//! exposition.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::family::Cell;
use super::name::Labels;

/// Sixteen bytes an entry: the labels are with the cells.
#[derive(Default)]
pub(crate) struct Series(BTreeSet<Entry>);

struct Entry(Cell);

impl Series {
    pub(super) fn get(&self, labels: &Labels) -> Option<&Cell> {
        self.0.get(labels).map(|entry| &entry.0)
    }

    /// Whatever has these labels already stays.
    pub(super) fn insert(&mut self, cell: Cell) {
        self.0.insert(Entry(cell));
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Cell) -> bool) {
        self.0.retain(|entry| keep(&entry.0));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, &Cell)> {
        self.0.iter().map(|entry| (entry.0.labels(), &entry.0))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Labels> {
        self.iter().map(|(labels, _)| labels)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter().map(|entry| &entry.0)
    }
}

impl Borrow<Labels> for Entry {
    fn borrow(&self) -> &Labels {
        self.0.labels()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels() == other.0.labels()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.labels().cmp(other.0.labels())
    }
}
