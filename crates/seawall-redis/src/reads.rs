//! Reads of single keys, over a connection of their own.

mod line;
mod plan;
mod queue;
mod resp;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::plan::Plan;
use self::queue::Queue;

/// A connection to one node that does nothing but read keys, those of many tasks at once in few
/// commands: what is asked for while the task that keeps it is on its way goes into one MGET, up
/// to 128 keys each, or on a cluster, where an MGET is for keys of one slot, one GET after another. Answers are handed out as they come
/// in, so that the first of a command ask again while the last are read.
///
/// fred's client stays what says whether the node is there, and where: when it connects again,
/// so does this, before anything more is read. While it is not up, ask through fred.
pub struct Reads {
    queue: Arc<Queue>,
    task: AbortHandle,
    home: Id,
}

impl Reads {
    /// Starts connecting, for ever again, on `runtime`.
    pub(crate) fn start(plan: Plan, runtime: &Handle) -> Self {
        let queue = Arc::new(Queue::new(plan.bound));
        Self::over(Arc::clone(&queue), plan.keep(queue), runtime)
    }

    fn over(
        queue: Arc<Queue>,
        task: impl Future<Output = ()> + Send + 'static,
        runtime: &Handle,
    ) -> Self {
        Self { queue, task: runtime.spawn(task).abort_handle(), home: runtime.id() }
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.queue.is_up()
    }

    /// What is under `key`, with an answer by `until`. One timer is kept for all who wait: it may
    /// be some milliseconds late.
    ///
    /// Cancel safety: a key that has not been sent when the future is dropped is not read. Cost: an
    /// allocation, and a copy of the value; values from 16 KiB on share the memory that they
    /// were read into.
    ///
    /// # Errors
    /// What the node answered about this key, a MOVED for instance, or that it did not.
    pub async fn ask(&self, key: Bytes, until: Instant) -> Result<Option<Bytes>, Error> {
        let reply = self.queue.push(key, until)?;
        let reply = async { reply.await.unwrap_or_else(|_| Err(lost())) };
        // The task keeps the time, unless it runs elsewhere: what stops that runtime need not stop
        // this one.
        if Handle::try_current().is_ok_and(|it| it.id() == self.home) {
            return reply.await;
        }
        timeout_at(until, reply).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::IO, "the connection for reads was lost")
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "no answer in time")
}

#[cfg(test)]
mod tests;
