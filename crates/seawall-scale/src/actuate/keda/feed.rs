use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::Decision;

/// Where an engine says what it decided. When it is dropped, its last decision grows stale.
#[derive(Debug)]
pub struct KedaGroup {
    readings: watch::Sender<Reading>,
}

/// What KEDA is told of a group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    latest: Option<(u32, Instant)>,
    /// How often the group woke from zero: an edge is told even if a reader slept through it.
    wakes: u64,
}

impl KedaGroup {
    pub(super) fn new() -> (Self, watch::Receiver<Reading>) {
        let (readings, reader) = watch::channel(Reading::default());
        (Self { readings }, reader)
    }

    /// Publishes a size; above zero the group is active. Call it after each decision, also after
    /// one that changed nothing: it is also what keeps the group from being stale.
    pub fn publish(&self, target: u32) {
        self.readings.send_modify(|reading| {
            let slept = reading.latest.is_none_or(|(before, _)| before == 0);
            reading.wakes += u64::from(slept && target > 0);
            reading.latest = Some((target, Instant::now()));
        });
    }

    /// [`publish`](Self::publish) of its target.
    pub fn decided(&self, decision: &Decision) {
        self.publish(decision.target);
    }
}

impl Reading {
    /// The size, if it is not too old.
    pub(super) fn fresh(self, max_age: Duration) -> Result<u32, Stale> {
        let (target, at) = self.latest.ok_or(Stale { age: None })?;
        let age = at.elapsed();
        if age > max_age { Err(Stale { age: Some(age) }) } else { Ok(target) }
    }

    pub(super) fn wakes(self) -> u64 {
        self.wakes
    }
}

/// No decision, or none that is young enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) age: Option<Duration>,
}
