//! The task that probes, off the path of requests.

use std::fmt;
use std::sync::Arc;

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
        Self { task: tokio::spawn(run(balancer, probe)) }
    }

    /// Ends the task and the probes under way, and waits until they are gone.
    /// Dropped, it still ends them.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // Its only way to fail is the abort.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run<N, P, F>(balancer: Balancer<N>, probe: P)
where
    N: fmt::Debug + Clone + Send + Sync + 'static,
    P: Fn(N) -> F + Send + Sync + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let limit = balancer.config().probe.timeout;
    let probe = Arc::new(probe);
    let mut probes = JoinSet::new();
    loop {
        let now = Instant::now();
        balancer.tick(now);
        while let Some(due) = balancer.due(now) {
            let (probe, id) = (Arc::clone(&probe), due.id().clone());
            let answer = AbortOnDrop(tokio::spawn(async move { timeout(limit, probe(id)).await }));
            probes.spawn(async move {
                let good = matches!(answer.join().await, Ok(Ok(true)));
                due.finish(good, Instant::now());
            });
        }
        // Ended ones leave nothing but their place in the set.
        while probes.try_join_next().is_some() {}
        let due = balancer.next_due();
        tokio::select! {
            () = balancer.changed() => {}
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// A probe's own task, so that a panic in it is a failed probe and no more.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn join(mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
