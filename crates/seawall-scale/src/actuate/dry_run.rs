use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{ActuateError, Actuator, Boxed, Observed, Outcome};

/// Looks at the world and writes nothing: for trying a policy on a live group.
#[derive(Debug)]
pub struct DryRun<A> {
    world: A,
    would: Mutex<VecDeque<Would>>,
}

/// A write that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// When.
    pub at: Instant,
    /// The size that would have been asked for.
    pub target: u32,
    /// Why.
    pub reason: Box<str>,
}

impl<A: Actuator> DryRun<A> {
    /// A dry run in `world`.
    #[must_use]
    pub fn new(world: A) -> Self {
        Self { world, would: Mutex::new(VecDeque::new()) }
    }

    /// What would have been written, oldest first; the last 256. The same wish again is kept once.
    #[must_use]
    pub fn would(&self) -> Vec<Would> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Would>> {
        self.would.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Actuator> Actuator for DryRun<A> {
    fn name(&self) -> &'static str {
        self.world.name()
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        self.world.observe()
    }

    fn apply<'a>(
        &'a self,
        target: u32,
        reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            if kept.back().is_none_or(|last| last.target != target) {
                if kept.len() == MAX_WOULD {
                    kept.pop_front();
                }
                kept.push_back(Would { at: Instant::now(), target, reason: reason.into() });
                tracing::info!(actuator = self.name(), target, reason, "dry run: would scale");
            }
            Ok(Outcome::Recorded)
        })
    }

    fn is_writer(&self) -> bool {
        false
    }
}

const MAX_WOULD: usize = 256;
