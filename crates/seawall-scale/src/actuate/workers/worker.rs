use tokio::sync::watch;

/// What a worker of a [`WorkerPool`](super::WorkerPool) knows of its pool.
#[derive(Clone, Debug)]
pub struct Worker {
    id: u64,
    stop: watch::Receiver<bool>,
}

impl Worker {
    pub(super) fn new(id: u64, stop: watch::Receiver<bool>) -> Self {
        Self { id, stop }
    }

    /// Counts from 0; no two workers of a pool have the same.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it was asked to stop. For a loop that asks between two jobs.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends when the worker is asked to stop; at once if it was. Cancel safe, for `select!`
    /// beside waiting for the next job.
    pub async fn stopping(&self) {
        // An error means that the pool is gone: that is a request to stop as well.
        let mut stop = self.stop.clone();
        let _asked = stop.wait_for(|stop| *stop).await;
    }
}
