//! What a thread has looked up before: found again without a lock, without a
//! word that other threads write to, and without a new key.
//!
//! The entries hold handles of the thread's own ([`Shared`]), whose reference
//! counts no other thread touches unless a handle wanders. A thread keeps at
//! most [`MOST`] entries of each kind, of the recorder it used last, and only of
//! keys that it looked up more than once: those of whoever keeps his handles, or
//! of a label set that never comes again, take no memory here. A look-up
//! from inside another one (an allocator that counts) or after the thread's
//! tables are gone goes to the index that all share.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashTable;
use metrics::Key;

use super::index::spread;
use super::line::Line;
use super::seen::Seen;
use crate::cells::{CounterCell, GaugeCell, HistogramCell, Shared};

pub(super) struct Tables {
    registry: u64,
    pub(super) counters: Table<CounterCell>,
    pub(super) gauges: Table<GaugeCell>,
    pub(super) histograms: Table<HistogramCell>,
}

pub(super) struct Table<C> {
    entries: HashTable<(Key, Arc<Shared<C>>)>,
    /// Keys that found the table full.
    misses: usize,
    seen: Seen,
}

/// Tells one registry from another for the life of the process.
pub(super) fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// The handle for `key`. `find` looks further and says whether its answer
/// holds for as long as the key does not change.
#[inline]
pub(super) fn get<C>(
    registry: u64,
    key: &Key,
    table: impl Fn(&mut Tables) -> &mut Table<C>,
    find: impl FnOnce() -> Option<(Arc<Line<C>>, bool)>,
) -> Option<Arc<Shared<C>>> {
    let known = TABLES.try_with(|tables| {
        let mut tables = tables.try_borrow_mut().ok()?;
        (tables.registry == registry).then(|| table(&mut tables).get(key))?
    });
    if let Ok(Some(handle)) = known {
        return Some(handle);
    }
    let (cell, lasting) = find()?;
    let handle = Arc::new(Shared(cell));
    if lasting {
        keep(registry, key, &handle, table);
    }
    Some(handle)
}

#[cold]
fn keep<C>(
    registry: u64,
    key: &Key,
    handle: &Arc<Shared<C>>,
    table: impl Fn(&mut Tables) -> &mut Table<C>,
) {
    // Dropped after the tables are free again.
    let mut other = None;
    let _ = TABLES.try_with(|tables| {
        let Ok(mut tables) = tables.try_borrow_mut() else {
            return;
        };
        if tables.registry != registry {
            other = Some(std::mem::replace(&mut *tables, Tables::new(registry)));
        }
        table(&mut tables).insert(key, handle);
    });
    drop(other);
}

impl Tables {
    const fn new(registry: u64) -> Self {
        Self { registry, counters: Table::new(), gauges: Table::new(), histograms: Table::new() }
    }
}

impl<C> Table<C> {
    const fn new() -> Self {
        Self { entries: HashTable::new(), misses: 0, seen: Seen::new() }
    }

    #[inline]
    fn get(&self, key: &Key) -> Option<Arc<Shared<C>>> {
        let (_, handle) = self.entries.find(spread(key), |(known, _)| same(known, key))?;
        Some(handle.clone())
    }

    /// A full table is emptied when it has kept many keys out, so that what was
    /// looked up first does not stay for ever.
    fn insert(&mut self, key: &Key, handle: &Arc<Shared<C>>) {
        if !self.seen.before(spread(key)) {
            return;
        }
        if self.entries.len() >= MOST {
            self.misses += 1;
            if self.misses < MISSES {
                return;
            }
            self.misses = 0;
            self.entries.clear();
        }
        let entry = (key.to_retained(), handle.clone());
        self.entries.insert_unique(spread(key), entry, |(known, _)| spread(known));
    }
}

/// Equality of keys that mostly stand at the same place in the program: the
/// same text at the same address needs no comparing.
#[inline]
fn same(known: &Key, key: &Key) -> bool {
    let (a, b) = (known.labels().as_slice(), key.labels().as_slice());
    known.get_hash() == key.get_hash()
        && (std::ptr::eq(known.name(), key.name()) && std::ptr::eq(a, b) || known == key)
}

const MOST: usize = 4096;
const MISSES: usize = 16 * MOST;

thread_local! {
    static TABLES: RefCell<Tables> = const { RefCell::new(Tables::new(0)) };
}

#[cfg(test)]
mod tests;
