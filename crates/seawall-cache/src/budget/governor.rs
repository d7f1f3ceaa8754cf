//! The task that follows the memory of the machine.

use std::fmt;
use std::io;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::govern::{GovernorConfig, MemorySample, State, decide};
use super::{Budget, MemorySensor};

/// Lowers what a [`Budget`] allows when memory runs short, and raises it again. Made by
/// [`Budget::govern`]; dropping it ends it.
#[must_use = "it ends when it is dropped"]
pub struct Governor {
    budget: Budget,
    id: u64,
    task: JoinHandle<()>,
}

impl Governor {
    pub(super) fn start(
        budget: Budget,
        id: u64,
        config: GovernorConfig,
        sensor: impl MemorySensor,
    ) -> Self {
        let task = tokio::spawn(follow(budget.clone(), id, config, sensor));
        Self { budget, id, task }
    }

    /// The part of the budget that it allows now.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.budget.shared.state.lock().share
    }
}

impl Drop for Governor {
    fn drop(&mut self) {
        // It may be in the middle of a step; from here on it changes nothing.
        self.task.abort();
        self.budget.release(self.id);
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").field("share", &self.share()).finish_non_exhaustive()
    }
}

async fn follow(budget: Budget, id: u64, config: GovernorConfig, mut sensor: impl MemorySensor) {
    let mut state = State::new();
    let mut blind = false;
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Files of the kernel, but files.
        let looked = tokio::task::spawn_blocking(move || (sensor.sample(), sensor));
        let Ok((sample, back)) = looked.await else {
            tracing::error!("the memory sensor panicked; the cache budget stays as it is");
            return;
        };
        sensor = back;
        report_blindness(&sample, &mut blind);
        let Ok(sample) = sample else { continue };
        let before = state.share;
        state = decide(&config, state, sample, budget.bytes(), Instant::now());
        report_change(before, state.share, &sample);
        // Also if nothing changed: what caches use did, and idle ones must give back too.
        let mut turns = 0;
        while budget.allow(id, state.share) && budget.settle() && turns < MOST_TURNS {
            turns += 1;
            tokio::task::yield_now().await;
        }
    }
}

/// Once for each time that it cannot tell any more.
fn report_blindness(sample: &io::Result<MemorySample>, blind: &mut bool) {
    if let Err(error) = sample
        && !*blind
    {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, "cannot tell how much memory is in use; the budget stays as it is");
    }
    *blind = sample.is_err();
}

fn report_change(before: f64, after: f64, sample: &MemorySample) {
    let MemorySample { used, limit, pressure } = *sample;
    if before >= 1.0 && after < 1.0 {
        tracing::warn!(after, used, limit, pressure, "memory runs short: the budget shrinks");
    } else if before < 1.0 && after >= 1.0 {
        tracing::info!("the budget is whole again");
    }
}

/// Between two looks at memory, each some thousand entries of each cache.
const MOST_TURNS: u32 = 1_000;
