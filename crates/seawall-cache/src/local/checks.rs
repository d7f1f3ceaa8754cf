//! What must be compared with L2 in the background.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::cell::Cell;
use super::entry::Entry;

/// Something that L1 goes on serving while L2 is asked whether it is still right.
#[derive(Debug)]
pub(crate) enum Check<K, V> {
    /// Compare the version of the entry: [`Local::settle`](super::Local::settle).
    Entry(K, Entry<V>),
    /// Read the mark: [`Cell::learn`].
    Mark(Arc<Cell>),
}

/// A bounded queue of checks.
#[derive(Debug)]
pub(super) struct Checks<K, V> {
    queue: Mutex<VecDeque<Check<K, V>>>,
    filled: Notify,
}

impl<K, V> Checks<K, V> {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::new(VecDeque::new()), filled: Notify::new() }
    }

    /// Queues `check`. Returns false if there is no room: then nothing may be trusted.
    #[must_use]
    pub(super) fn push(&self, check: Check<K, V>) -> bool {
        let mut queue = self.queue.lock();
        if queue.len() >= ROOM {
            return false;
        }
        queue.push_back(check);
        drop(queue);
        self.filled.notify_one();
        true
    }

    pub(super) fn take(&self, at_most: usize) -> Vec<Check<K, V>> {
        let mut queue = self.queue.lock();
        let some = at_most.min(queue.len());
        queue.drain(..some).collect()
    }

    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

/// Far more than one round trip leaves behind.
const ROOM: usize = 4_096;
