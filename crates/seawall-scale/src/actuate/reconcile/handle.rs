use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{Reconciler, Status};
use crate::Decision;
use crate::actuate::Actuator;

/// A [`Reconciler`] that steps by itself in a task. Dropping the handle ends the task at its next
/// await; the world stays as it is.
#[derive(Debug)]
pub struct ReconcilerHandle {
    orders: watch::Sender<Orders>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Orders {
    wish: Option<(u32, Arc<str>)>,
    resumes: u64,
    stop: bool,
}

impl<A: Actuator + 'static> Reconciler<A> {
    /// Steps every `interval`, at once after a new wish, and after the pauses that failures ask
    /// for, which a new wish does not shorten. Must be called within a Tokio runtime.
    #[must_use]
    pub fn spawn(mut self) -> ReconcilerHandle {
        let (orders, mut given) = watch::channel(Orders::default());
        let (report, status) = watch::channel(self.status.clone());
        let task = tokio::spawn(async move {
            let mut resumes = 0;
            loop {
                let orders = given.borrow_and_update().clone();
                if let Some((target, reason)) = orders.wish {
                    self.want(target, reason);
                }
                if orders.resumes != resumes {
                    resumes = orders.resumes;
                    self.resume();
                }
                if orders.stop {
                    return;
                }
                let status = self.step().await.clone();
                report.send_replace(status);
                let due = self.due(Instant::now());
                tokio::select! {
                    () = sleep_until(due) => {}
                    changed = given.changed() => if changed.is_err() { return },
                }
            }
        });
        ReconcilerHandle { orders, status, task }
    }
}

impl ReconcilerHandle {
    /// As [`Reconciler::want`]. Returns at once.
    pub fn want(&self, target: u32, reason: impl Into<Arc<str>>) {
        let reason = reason.into();
        self.orders.send_if_modified(|orders| {
            let other = orders.wish.as_ref().is_none_or(|(wanted, _)| *wanted != target);
            if other {
                orders.wish = Some((target, reason));
            }
            other
        });
    }

    /// As [`Reconciler::decided`]: an engine's loop is
    /// `handle.decided(&engine.tick(&signals, now))`. Returns at once, and costs no allocation
    /// while the target stays.
    pub fn decided(&self, decision: &Decision) {
        let wanted = self.orders.borrow().wish.as_ref().map(|(wanted, _)| *wanted);
        if wanted != Some(decision.target) {
            self.want(decision.target, decision.explain());
        }
    }

    /// As [`Reconciler::resume`].
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.resumes += 1);
    }

    /// Where things stood after the last step.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until `holds` of the status. `None` if the task is gone. Cancel safe.
    pub async fn until(&mut self, mut holds: impl FnMut(&Status) -> bool) -> Option<Status> {
        let found = self.status.wait_for(|status| holds(status)).await;
        found.ok().map(|status| status.clone())
    }

    /// Lets a step that is under way end, then stops. The world stays as it is.
    pub async fn shutdown(mut self) {
        self.orders.send_modify(|orders| orders.stop = true);
        // A task that panicked is gone as well.
        let _gone = (&mut self.task).await;
    }
}

impl Drop for ReconcilerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
