use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Moment, Requests};

/// A pod as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from what the API server says")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Its condition `Ready`; `None` if it reports none.
    pub ready: Option<bool>,
    /// When it was started.
    pub started: Option<Moment>,
    /// When `ready` last changed.
    pub ready_changed: Option<Moment>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What it asks for.
    pub requests: Requests,
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the API has these")]
pub enum Phase {
    /// Not all of its containers run yet.
    Pending,
    /// Its containers run.
    #[default]
    Running,
    /// A container ended in failure, and is not started again.
    Failed,
    /// All ended well.
    Succeeded,
}

/// What the resource metrics API says of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from what the API says")]
pub struct Sample {
    /// Of which pod.
    pub pod: String,
    /// Use by container, in thousandths. `None`: not of this resource.
    pub usage: BTreeMap<String, Option<i64>>,
    /// When it was taken.
    pub at: Moment,
    /// The time it was taken over, up to then.
    pub window: Duration,
}

/// One number of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it")]
pub struct Value {
    /// In thousandths.
    pub value: i64,
    /// When it was taken.
    pub at: Moment,
    /// The time it was taken over, up to then.
    pub window: Duration,
}

/// How the CPU use of young pods is taken: at start it says nothing about load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the controller has these two flags")]
pub struct Initialisation {
    /// For so long after a start use counts only if the pod is ready and was when the sample
    /// began (`--horizontal-pod-autoscaler-cpu-initialization-period`). Default: 300 s.
    pub cpu_period: Duration,
    /// A pod that turned unready within this time of its start never was ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`). Default: 30 s.
    pub readiness_delay: Duration,
}

impl Default for Initialisation {
    fn default() -> Self {
        Self { cpu_period: Duration::from_secs(300), readiness_delay: Duration::from_secs(30) }
    }
}

/// Pods by what is made of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the controller's classes")]
pub struct Pods<'a> {
    /// How many count as they are.
    pub ready: usize,
    /// Whose use does not count yet.
    pub unready: BTreeSet<&'a str>,
    /// Without a sample.
    pub missing: BTreeSet<&'a str>,
    /// Ended, or about to.
    pub ignored: BTreeSet<&'a str>,
}

/// Sorts pods. `cpu`: how to take those that started lately, for the resource `cpu`; other
/// metrics count from the first sample.
#[must_use]
pub fn group<'a>(
    pods: &'a [Pod],
    values: &BTreeMap<String, Value>,
    cpu: Option<Initialisation>,
    now: Moment,
) -> Pods<'a> {
    let mut sorted = Pods::default();
    for pod in pods {
        let class = match (pod.phase, values.get(&pod.name)) {
            (Phase::Failed | Phase::Succeeded, _) => &mut sorted.ignored,
            _ if pod.deleting => &mut sorted.ignored,
            (Phase::Pending, _) => &mut sorted.unready,
            (Phase::Running, None) => &mut sorted.missing,
            (Phase::Running, Some(value)) => {
                if cpu.is_none_or(|cpu| pod.counts(*value, cpu, now)) {
                    sorted.ready += 1;
                    continue;
                }
                &mut sorted.unready
            }
        };
        class.insert(&pod.name);
    }
    sorted
}

impl Pod {
    /// Whether its CPU use counts.
    fn counts(&self, value: Value, cpu: Initialisation, now: Moment) -> bool {
        let (Some(ready), Some(started)) = (self.ready, self.started) else { return false };
        // A condition has a moment of change; without one it is as old as can be.
        let changed = self.ready_changed.unwrap_or_default();
        if started.saturating_add(cpu.cpu_period) > now {
            ready && value.at >= changed.saturating_add(value.window)
        } else {
            ready || started.saturating_add(cpu.readiness_delay) <= changed
        }
    }
}
