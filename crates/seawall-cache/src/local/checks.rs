//! What must be compared with L2 in the background.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

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
///
/// Marks are counted as they come in and as they are settled, in the same order, so that who came
/// at some moment can wait until all that was told by then has been looked at.
#[derive(Debug)]
pub(super) struct Checks<K, V> {
    queue: Mutex<VecDeque<Check<K, V>>>,
    filled: Notify,
    /// Marks that came in. Counted under the lock, so that they are in the order of the queue.
    marks: AtomicU64,
    /// Marks that were settled.
    settled: watch::Sender<u64>,
}

impl<K, V> Checks<K, V> {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            filled: Notify::new(),
            marks: AtomicU64::new(0),
            settled: watch::Sender::new(0),
        }
    }

    /// Queues `check`. Returns false if there is no room: then nothing may be trusted.
    #[must_use]
    pub(super) fn push(&self, check: Check<K, V>) -> bool {
        let mut queue = self.queue.lock();
        if queue.len() >= ROOM {
            return false;
        }
        if matches!(check, Check::Mark(_)) {
            self.marks.fetch_add(1, Ordering::Release);
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

    /// Marks that have come in until now.
    pub(super) fn marks(&self) -> u64 {
        self.marks.load(Ordering::Acquire)
    }

    /// The oldest `marks` of those that were taken need not be waited for any more.
    pub(super) fn settle(&self, marks: u64) {
        if marks > 0 {
            self.settled.send_modify(|settled| *settled += marks);
        }
    }

    /// Whether the first `marks` are settled.
    pub(super) fn are_settled(&self, marks: u64) -> bool {
        *self.settled.borrow() >= marks
    }

    /// Waits until the first `marks` are settled.
    pub(super) async fn settled(&self, marks: u64) {
        // The sender is ours: it is there for as long as this is.
        let _ = self.settled.subscribe().wait_for(|settled| *settled >= marks).await;
    }

    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

/// Far more than one round trip leaves behind.
const ROOM: usize = 4_096;
