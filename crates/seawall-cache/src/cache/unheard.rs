//! Advances of marks that L2 has not acknowledged.

use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::Inner;
use crate::key::CacheKey;
use crate::local::{Advance, Cell};
use crate::remote::guarded::Guarded;

/// The advances that are waited for, and whether a task does so. Their cells are kept, so that
/// they hold on this node.
#[derive(Debug, Default)]
pub(super) struct Unheard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    advances: Vec<(Arc<Cell>, Advance)>,
    waiting: bool,
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The remote repeats the advance until it is made, and shows no mark before. When it shows
    /// the mark again, it is made.
    pub(super) fn await_advance(self: &Arc<Self>, cell: Arc<Cell>, advance: Advance) {
        let waiting = {
            let mut state = self.unheard.0.lock();
            state.advances.push((cell, advance));
            std::mem::replace(&mut state.waiting, true)
        };
        if waiting {
            return;
        }
        // Made here: a task may be dropped before its first poll.
        tokio::spawn(wait(Waiting { inner: Arc::downgrade(self), ended: false }));
    }

    /// Looks which of them were made. A mark is asked for once, however often it was advanced.
    async fn hear(&self, remote: &Guarded) {
        let mut rest = std::mem::take(&mut self.unheard.0.lock().advances);
        rest.sort_by(|(a, _), (b, _)| a.text().cmp(b.text()));
        let mut unmade = Vec::new();
        while !rest.is_empty() {
            let mut texts: Vec<String> = Vec::new();
            let count = rest.iter().take_while(|(cell, _)| {
                let new = texts.last().is_none_or(|last| last != cell.text());
                if new && texts.len() < AT_ONCE {
                    texts.push(cell.text().to_owned());
                    return true;
                }
                !new
            });
            let count = count.count();
            let some: Vec<_> = rest.drain(..count).collect();
            let reads = remote.marks(&texts, Instant::now()).await;
            let now = self.local.clock().now();
            let mut marks = texts.iter().zip(&reads).peekable();
            for (cell, advance) in some {
                while marks.next_if(|(text, _)| **text != *cell.text()).is_some() {}
                match marks.peek() {
                    Some((_, Ok(read))) => {
                        self.local.advanced(&cell, advance, read.mark.clone(), now);
                    }
                    _ => unmade.push((cell, advance)),
                }
            }
        }
        self.unheard.0.lock().advances.append(&mut unmade);
    }
}

async fn wait<K, V>(mut waiting: Waiting<K, V>)
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    loop {
        sleep(LOOK_EVERY).await;
        let Some(inner) = waiting.inner.upgrade() else { return };
        let Some(remote) = &inner.remote else { return };
        inner.hear(remote).await;
        let mut state = inner.unheard.0.lock();
        if state.advances.is_empty() {
            // Under the lock, so that none can come in between.
            state.waiting = false;
            waiting.ended = true;
            return;
        }
    }
}

/// Lets the next advance start the task again if its runtime shuts down under it.
struct Waiting<K: Hash + Eq, V> {
    inner: Weak<Inner<K, V>>,
    ended: bool,
}

impl<K: Hash + Eq, V> Drop for Waiting<K, V> {
    fn drop(&mut self) {
        if !self.ended
            && let Some(inner) = self.inner.upgrade()
        {
            inner.unheard.0.lock().waiting = false;
        }
    }
}

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Marks asked for at once.
const AT_ONCE: usize = 256;
