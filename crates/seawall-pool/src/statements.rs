//! The prepared statements of one connection: bounded, least recently used out first.

use std::fmt;

use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio_postgres::{Client, Error, Statement};

use crate::text;

/// A statement that was prepared.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    /// Whether running it may leave something in the session, though its first
    /// word does not say so.
    pub(crate) leaves_traces: bool,
}

/// A cache of prepared statements by text. Never holds more than its bound: one
/// that goes is closed on the server with the next flight.
///
/// A look-up costs a hash of the text, one comparison and a lock that only the
/// borrower of the connection takes.
pub(crate) struct Statements {
    recent: Mutex<Lru<Prepared>>,
}

impl Statements {
    pub(crate) fn new(bound: usize) -> Self {
        Self { recent: Mutex::new(Lru::new(bound)) }
    }

    /// The statement for `sql`, prepared now if it is not there: one round
    /// trip. Callers that prepare the same text at once prepare it twice and
    /// keep one.
    pub(crate) async fn prepare(&self, client: &Client, sql: &str) -> Result<Prepared, Error> {
        if let Some(prepared) = self.recent.lock().get(sql).cloned() {
            return Ok(prepared);
        }
        let statement = client.prepare(sql).await?;
        let prepared = Prepared { statement, leaves_traces: text::may_leave_traces(sql) };
        let gone = self.recent.lock().insert(sql, prepared.clone());
        // Closes it, which is better done without the lock.
        drop(gone);
        Ok(prepared)
    }

    /// Whether the statement for `sql` is there.
    pub(crate) fn has(&self, sql: &str) -> bool {
        self.recent.lock().find(sql).is_some()
    }

    /// The most statements it keeps.
    pub(crate) fn bound(&self) -> usize {
        self.recent.lock().bound
    }

    pub(crate) fn remove(&self, sql: &str) {
        let gone = self.recent.lock().remove(sql);
        drop(gone);
    }

    pub(crate) fn clear(&self) {
        let gone = self.recent.lock().take_all();
        drop(gone);
    }
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statements").finish_non_exhaustive()
    }
}

/// A map from texts to values that forgets the least recently used one.
///
/// A ring of entries linked by index, newest first, beside a table of indices
/// by hash. Entry [`RING`] is the ring's head and holds no value.
struct Lru<V> {
    bound: usize,
    table: HashTable<usize>,
    entries: Vec<Entry<V>>,
    free: Vec<usize>,
    hasher: foldhash::fast::RandomState,
}

struct Entry<V> {
    item: Option<(Box<str>, V)>,
    newer: usize,
    older: usize,
}

const RING: usize = 0;

impl<V> Lru<V> {
    fn new(bound: usize) -> Self {
        Self {
            bound: bound.max(1),
            table: HashTable::new(),
            entries: vec![Entry { item: None, newer: RING, older: RING }],
            free: Vec::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// The value for `key`, which becomes the most recent.
    fn get(&mut self, key: &str) -> Option<&V> {
        let index = self.find(key)?;
        if self.entries[RING].older != index {
            self.unlink(index);
            self.link(index);
        }
        self.entries[index].item.as_ref().map(|(_, value)| value)
    }

    /// Puts a value in and returns what had to go for it: the former value of
    /// the key, or the least recent one.
    fn insert(&mut self, key: &str, value: V) -> Option<V> {
        let gone = self.remove(key);
        let gone = match gone {
            None if self.table.len() >= self.bound => {
                let oldest = self.entries[RING].newer;
                self.take(oldest)
            }
            gone => gone,
        };
        let item = Some((Box::from(key), value));
        let index = if let Some(index) = self.free.pop() {
            self.entries[index].item = item;
            index
        } else {
            self.entries.push(Entry { item, newer: RING, older: RING });
            self.entries.len() - 1
        };
        self.link(index);
        let Self { table, entries, hasher, .. } = self;
        table.insert_unique(hash(hasher, key), index, |&index| hash_at(hasher, entries, index));
        gone
    }

    fn remove(&mut self, key: &str) -> Option<V> {
        let index = self.find(key)?;
        self.take(index)
    }

    fn take_all(&mut self) -> Vec<V> {
        let entries = self.entries.drain(1..).filter_map(|entry| entry.item);
        let values = entries.map(|(_, value)| value).collect();
        self.table.clear();
        self.free.clear();
        self.entries[RING] = Entry { item: None, newer: RING, older: RING };
        values
    }

    fn find(&self, key: &str) -> Option<usize> {
        let matches =
            |&index: &usize| self.entries[index].item.as_ref().is_some_and(|(k, _)| **k == *key);
        self.table.find(hash(&self.hasher, key), matches).copied()
    }

    fn take(&mut self, index: usize) -> Option<V> {
        let Self { table, entries, hasher, .. } = self;
        if let Ok(found) = table.find_entry(hash_at(hasher, entries, index), |&at| at == index) {
            found.remove();
        }
        let (_, value) = self.entries[index].item.take()?;
        self.unlink(index);
        self.free.push(index);
        Some(value)
    }

    /// Makes it the newest.
    fn link(&mut self, index: usize) {
        let second = self.entries[RING].older;
        self.entries[index].newer = RING;
        self.entries[index].older = second;
        self.entries[second].newer = index;
        self.entries[RING].older = index;
    }

    fn unlink(&mut self, index: usize) {
        let Entry { newer, older, .. } = self.entries[index];
        self.entries[newer].older = older;
        self.entries[older].newer = newer;
    }
}

fn hash(hasher: &foldhash::fast::RandomState, key: &str) -> u64 {
    std::hash::BuildHasher::hash_one(hasher, key)
}

fn hash_at<V>(hasher: &foldhash::fast::RandomState, entries: &[Entry<V>], index: usize) -> u64 {
    entries[index].item.as_ref().map_or(0, |(key, _)| hash(hasher, key))
}

#[cfg(test)]
mod tests;
