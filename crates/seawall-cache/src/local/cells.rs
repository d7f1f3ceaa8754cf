//! What this node knows of the marks in L2: one cell for the namespace, one per tag in use.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::cell::Cell;
use super::clock::Tick;
use crate::marks::Mark;

/// The cells of one cache.
#[derive(Debug)]
pub(super) struct Cells {
    namespace: Arc<Cell>,
    tags: Mutex<Tags>,
    /// How long a load may run.
    load_timeout: Duration,
}

/// Tags by the text of their mark. A cell is there for as long as an entry, a load or a caller
/// holds it: tags that nobody reads go away.
#[derive(Debug)]
struct Tags {
    cells: HashMap<Box<str>, Weak<Cell>>,
    /// When so many are there, those that went away are swept out.
    sweep_at: usize,
    /// Tags that were advanced a short while ago, for loads that began before and do not hold
    /// their cell yet. With an L2 only what it cannot be asked about matters.
    recent: VecDeque<(Tick, Arc<Cell>)>,
    /// When the youngest was advanced of those that were recent and had to make room.
    forgotten: Tick,
}

impl Cells {
    pub(super) fn new(namespace: Cell, load_timeout: Duration) -> Self {
        let tags = Tags {
            cells: HashMap::new(),
            sweep_at: SWEEP_AT,
            recent: VecDeque::new(),
            forgotten: Tick::FIRST,
        };
        Self { namespace: Arc::new(namespace), tags: Mutex::new(tags), load_timeout }
    }

    pub(super) fn namespace(&self) -> &Arc<Cell> {
        &self.namespace
    }

    /// The cell of the tag whose mark is `text`. A new one knows `mark`: nothing, if there is an
    /// L2.
    pub(super) fn tag(&self, text: &str, node: u16, mark: Option<Mark>) -> Arc<Cell> {
        let mut tags = self.tags.lock();
        if let Some(cell) = tags.cells.get(text).and_then(Weak::upgrade) {
            return cell;
        }
        if tags.cells.len() >= tags.sweep_at {
            tags.cells.retain(|_, cell| cell.strong_count() > 0);
            tags.sweep_at = SWEEP_AT.max(tags.cells.len() * 2);
        }
        let cell = Arc::new(Cell::new(text, node, mark, tags.forgotten));
        tags.cells.insert(text.into(), Arc::downgrade(&cell));
        cell
    }

    /// When the youngest was advanced of the tags that had to be forgotten before their time.
    pub(super) fn forgotten(&self) -> Tick {
        self.tags.lock().forgotten
    }

    /// The tag was advanced here at `now`: remembers that for as long as a
    /// load from before may run.
    pub(super) fn remember(&self, cell: &Arc<Cell>, now: Tick) {
        let mut tags = self.tags.lock();
        tags.recent.push_back((now, Arc::clone(cell)));
        while let Some((at, _)) = tags.recent.front() {
            let over = at.plus(self.load_timeout) <= now;
            if !over && tags.recent.len() <= RECENT {
                break;
            }
            let popped = tags.recent.pop_front();
            if let Some((at, _)) = popped.filter(|_| !over) {
                tags.forgotten = tags.forgotten.max(at);
            }
        }
    }

    /// The cell of the mark `text`, if anyone holds it.
    pub(super) fn find(&self, text: &str) -> Option<Arc<Cell>> {
        if text == self.namespace.text() {
            return Some(Arc::clone(&self.namespace));
        }
        self.tags.lock().cells.get(text).and_then(Weak::upgrade)
    }

    /// Tags that are remembered, those that went away and are not swept out yet included.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.tags.lock().cells.len()
    }
}

const SWEEP_AT: usize = 1_024;
/// Advances that are remembered one by one.
const RECENT: usize = 4_096;
