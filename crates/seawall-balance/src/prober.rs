//! The task that probes, off the path of requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::balancer::Balancer;

/// Probes the nodes of a balancer until it is dropped.
///
/// One task a balancer; each probe runs in a task of its own, at most one a node,
/// and is given up after [`timeout`](crate::ProbeConfig::timeout), as failed.
/// When they begin is decided by [`Balancer::due`]. The task also calls
/// [`Balancer::tick`], so that picks seldom have to.
///
/// Dropping the handle ends the task and drops the probes under way, whose nodes
/// stay as they were.
#[derive(Debug)]
#[must_use = "probing ends when the handle is dropped"]
pub struct Prober {
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Prober {
    /// Starts probing. `probe` says whether the node is well; it may ask the node
    /// whatever shows that it does its work. A probe that panics has failed.
    ///
    /// Must be called within a tokio runtime with time enabled.
    pub fn spawn<N, P, F>(balancer: Balancer<N>, probe: P) -> Self
    where
        N: fmt::Debug + Clone + Send + Sync + 'static,
        P: Fn(N) -> F + Send + Sync + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Self { task: tokio::spawn(run(balancer, probe, stopped)), stop: Some(stop) }
    }

    /// Ends the task and the probes under way, and waits until they are gone.
    /// Dropped, it still ends them.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        // It would fail if the task had panicked; then it is gone, too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until `stopped`, whose sender is dropped to say so.
async fn run<N, P, F>(balancer: Balancer<N>, probe: P, mut stopped: oneshot::Receiver<()>)
where
    N: fmt::Debug + Clone + Send + Sync + 'static,
    P: Fn(N) -> F + Send + Sync + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let limit = balancer.config().probe.timeout;
    let probe = Arc::new(probe);
    // Each in a task of its own, so that a panic is a failed probe and no more.
    let (mut probes, mut under_way) = (JoinSet::new(), HashMap::new());
    loop {
        let now = Instant::now();
        balancer.tick(now);
        while let Some(due) = balancer.due(now) {
            let (probe, id) = (Arc::clone(&probe), due.id().clone());
            let task =
                probes.spawn(async move { matches!(timeout(limit, probe(id)).await, Ok(true)) });
            under_way.insert(task.id(), due);
        }
        let next = balancer.next_due();
        tokio::select! {
            Some(ended) = probes.join_next_with_id() => {
                let (task, good) = ended.unwrap_or_else(|error| (error.id(), false));
                if let Some(due) = under_way.remove(&task) {
                    due.finish(good, Instant::now());
                }
            }
            () = balancer.changed() => {}
            () = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            } => {}
            _ = &mut stopped => break,
        }
    }
    probes.shutdown().await;
}
