//! What the tests look at.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Condition, Evaluator};
use crate::{Signals, Truth, Unit};

/// Of [`World::truth`].
pub(super) const MAX_AGE: Duration = Duration::from_secs(60);

/// Signals at one moment.
pub(super) struct World {
    pub(super) signals: Signals,
    pub(super) now: Instant,
}

impl World {
    /// All of them fresh.
    pub(super) fn of(samples: &[(&str, f64, Unit)]) -> Self {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut signals = Signals::new();
        for (name, value, unit) in samples {
            signals.set(name, *value, *unit, now);
        }
        Self { signals, now }
    }

    /// And this one, a little too old.
    pub(super) fn and_stale(mut self, name: &str, value: f64, unit: Unit) -> Self {
        let then = self.now - MAX_AGE - Duration::from_secs(1);
        self.signals.set(name, value, unit, then);
        self
    }

    /// Whether a condition holds there.
    pub(super) fn truth(&self, text: &str) -> Truth {
        let condition = Condition::parse(text).unwrap_or_else(|e| panic!("{}", e.render()));
        condition.evaluate(&self.signals, self.now, MAX_AGE)
    }
}

/// The answers of `text` to `(second, value)` of the ratio `cpu`, one after the other; `None` removes
/// it.
pub(super) fn run(text: &str, steps: &[(u64, Option<f64>)]) -> Vec<Truth> {
    let start = Instant::now();
    let mut evaluator = Evaluator::new(Condition::parse(text).expect(text));
    let mut signals = Signals::new();
    steps
        .iter()
        .map(|&(second, value)| {
            let now = start + Duration::from_secs(second);
            match value {
                Some(value) => signals.set("cpu", value, Unit::Ratio, now),
                None => drop(signals.remove("cpu")),
            }
            evaluator.step(&signals, now)
        })
        .collect()
}

/// The answers to a series of values of `cpu` and `queue`.
pub(super) fn stepper(text: &str) -> impl FnMut(f64, f64) -> Truth {
    let start = Instant::now();
    let mut evaluator = Evaluator::new(Condition::parse(text).expect(text));
    move |cpu, queue| {
        let mut signals = Signals::new();
        signals.set("cpu", cpu, Unit::Ratio, start);
        signals.set("queue", queue, Unit::Count, start);
        evaluator.step(&signals, start)
    }
}
