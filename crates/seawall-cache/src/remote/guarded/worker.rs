//! The task that tries out nodes whose breaker is open, and repeats removals and advances until the
//! remote store has acknowledged them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use super::Inner;
use super::nodes::Node;
use super::pending::Task;
use crate::remote::RemoteError;

async fn work(mut running: Running) {
    loop {
        sleep(RETRY_DELAY).await;
        let Some(inner) = running.inner.upgrade() else { return };
        inner.round().await;
        let mut pending = inner.pending.lock();
        if pending.table.len() == 0 && !inner.nodes.is_any_open() {
            // Under the lock, so that none can come in between.
            pending.worker = false;
            running.ended = true;
            return;
        }
    }
}

/// Lets the next removal start the task again if its runtime shuts down under it.
struct Running {
    inner: Weak<Inner>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended
            && let Some(inner) = self.inner.upgrade()
        {
            inner.pending.lock().worker = false;
        }
    }
}

impl Inner {
    /// Sees to it that the task runs. It ends when there is nothing to do, or when the last handle
    /// is gone. The lock on what waits must not be held: if the runtime is shutting down, the
    /// task is dropped here, and takes it.
    pub(super) fn work(self: &Arc<Self>) {
        // A call may be dropped outside of any runtime; the next one starts it then.
        let Ok(runtime) = Handle::try_current() else { return };
        if !std::mem::replace(&mut self.pending.lock().worker, true) {
            // Made here, not in the task: a task may be dropped before its first poll.
            runtime.spawn(work(Running { inner: Arc::downgrade(self), ended: false }));
        }
    }

    /// Repeats rounds until nothing waits.
    pub(super) async fn drain(self: &Arc<Self>) {
        loop {
            self.round().await;
            if self.pending.lock().table.len() == 0 {
                return;
            }
            sleep(RETRY_DELAY).await;
        }
    }

    /// Tries what waits; what is on a node that is out of reach is left for another round.
    async fn round(self: &Arc<Self>) {
        join_all(self.nodes.open().map(|node| self.probe(node))).await;
        loop {
            let due = self.pending.lock().table.due(BATCH, self.deadline, Instant::now());
            let mut down = BTreeSet::new();
            for (key, waiting) in &due {
                if down.contains(&self.remote.node(key)) {
                    continue;
                }
                match self.repeat(key, &waiting.task).await {
                    Ok(()) => {
                        self.settle(key, waiting.sequence);
                    }
                    // It answers, but not to this: let the others go first.
                    Err(RemoteError::Refused(_)) => {
                        self.pending.lock().table.defer(key, Instant::now());
                    }
                    Err(_) => {
                        let node = self.remote.node(key);
                        let on_it = |key: &str| self.remote.node(key) == node;
                        self.pending.lock().table.defer_all(on_it, Instant::now());
                        down.insert(node);
                    }
                }
            }
            if due.len() < BATCH {
                return;
            }
        }
    }

    /// Tries a node out until it is known whether it is back, if it is time for that.
    async fn probe(&self, node: &Node) {
        let Some(text) = node.text() else { return };
        let texts = [String::from(text)];
        while let Some(attempt) = node.admit_probe(&texts[0]) {
            let answer =
                timeout_at(attempt.started() + self.deadline, self.remote.versions(&texts));
            let answer =
                answer.await.unwrap_or(Err(RemoteError::TimedOut { after: self.deadline }));
            attempt.tell(answer.as_ref().err());
        }
    }

    async fn repeat(self: &Arc<Self>, key: &str, task: &Task) -> Result<(), RemoteError> {
        match task {
            Task::Remove { source, keep } => {
                self.call(key, || self.remote.remove(key, *source, *keep)).await?;
            }
            // Those that are done are done again if a later one fails: that does no harm.
            Task::Advance(changes) => {
                for change in changes {
                    self.call(key, || self.remote.advance(key, change.clone())).await?;
                }
            }
        }
        Ok(())
    }
}

/// Between two rounds. With the breaker open a round costs nothing.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Tasks looked up at once.
const BATCH: usize = 64;
