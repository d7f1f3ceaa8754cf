mod worker;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

pub use self::worker::Worker;
use super::{ActuateError, Actuator, Boxed, Observed, Outcome, Phase};

/// Workers of this process: so many Tokio tasks of one kind.
///
/// Clones are the same pool. When the last is dropped, its workers are aborted; call
/// [`shutdown`](Self::shutdown) to let them end their work first. A worker that returns or panics
/// is gone; the next [`apply`](Actuator::apply) starts another.
///
/// A worker is asked to stop by [`Worker::stopping`], newest first, and has `grace` to do so before
/// it is aborted. A pool that is asked to grow meanwhile starts new ones: one that was asked to stop
/// stops.
#[derive(Clone)]
pub struct WorkerPool {
    shared: Arc<Shared>,
}

struct Shared {
    start: Arc<Start>,
    grace: Duration,
    crew: Mutex<Crew>,
}

type Start = dyn Fn(Worker) -> Boxed<'static, ()> + Send + Sync;

#[derive(Default)]
struct Crew {
    /// Oldest first.
    working: Vec<Working>,
    leaving: Vec<Leaving>,
    started: u64,
    closed: bool,
}

struct Working {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A task that ends when the worker has, or after the grace has aborted it.
struct Leaving {
    watcher: JoinHandle<()>,
    worker: AbortHandle,
}

impl WorkerPool {
    /// A pool without workers; each will run what `work` returns for it. 30 s of grace.
    pub fn new<W, F>(work: W) -> Self
    where
        W: Fn(Worker) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with_grace(work, Duration::from_secs(30))
    }

    /// As [`new`](Self::new), with `grace` for a worker to end after it was asked to; zero aborts at
    /// once.
    pub fn with_grace<W, F>(work: W, grace: Duration) -> Self
    where
        W: Fn(Worker) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let start = Arc::new(move |worker| -> Boxed<'static, ()> { Box::pin(work(worker)) });
        Self { shared: Arc::new(Shared { start, grace, crew: Mutex::default() }) }
    }

    /// Workers that work; without those that were asked to stop.
    #[must_use]
    pub fn running(&self) -> u32 {
        let mut crew = self.shared.crew();
        crew.sweep();
        count(crew.working.len())
    }

    /// Workers that were asked to stop and have not yet.
    #[must_use]
    pub fn stopping(&self) -> u32 {
        let mut crew = self.shared.crew();
        crew.sweep();
        count(crew.leaving.len())
    }

    /// Asks all workers to stop, waits until they have (at most the grace), and takes no wish any
    /// more. If dropped, they stop nevertheless, as long as the pool lives.
    pub async fn shutdown(&self) {
        let watchers = {
            let mut crew = self.shared.crew();
            crew.closed = true;
            crew.shrink_to(0, self.shared.grace);
            std::mem::take(&mut crew.leaving)
        };
        let mut aborted = AbortOnDrop(watchers);
        for leaving in &mut aborted.0 {
            let _gone = (&mut leaving.watcher).await;
        }
    }

    fn resize(&self, target: u32) -> Result<Outcome, ActuateError> {
        let mut crew = self.shared.crew();
        if crew.closed {
            return Err(ActuateError::ShutDown { phase: Phase::Apply });
        }
        crew.sweep();
        let from = count(crew.working.len());
        if from == target {
            return Ok(Outcome::Unchanged);
        }
        crew.shrink_to(target as usize, self.shared.grace);
        while crew.working.len() < target as usize {
            let (stop, stopped) = watch::channel(false);
            let worker = Worker::new(crew.started, stopped);
            crew.started += 1;
            // In its own task also the part of it before the first await: it may panic, and it may
            // ask the pool, whose lock is held here.
            let start = Arc::clone(&self.shared.start);
            let task = tokio::spawn(async move { start(worker).await });
            crew.working.push(Working { stop, task });
        }
        Ok(Outcome::Accepted { from })
    }
}

impl Shared {
    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crew {
    fn sweep(&mut self) {
        self.working.retain(|it| !it.task.is_finished());
        self.leaving.retain(|it| !it.watcher.is_finished());
    }

    fn shrink_to(&mut self, size: usize, grace: Duration) {
        let keep = size.min(self.working.len());
        for Working { stop, mut task } in self.working.drain(keep..).rev() {
            let worker = task.abort_handle();
            stop.send_replace(true);
            let watcher = tokio::spawn(async move {
                if timeout(grace, &mut task).await.is_err() {
                    task.abort();
                    let _aborted = task.await;
                }
            });
            self.leaving.push(Leaving { watcher, worker });
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.working.iter().for_each(|it| it.task.abort());
        drop(AbortOnDrop(std::mem::take(&mut self.leaving)));
    }
}

struct AbortOnDrop(Vec<Leaving>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        for leaving in &self.0 {
            leaving.watcher.abort();
            leaving.worker.abort();
        }
    }
}

impl Actuator for WorkerPool {
    fn name(&self) -> &'static str {
        "workers"
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        Box::pin(async move { Ok(Observed::counted(self.running())) })
    }

    /// Must be called within a Tokio runtime.
    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(async move { self.resize(target) })
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("running", &self.running()).finish_non_exhaustive()
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
