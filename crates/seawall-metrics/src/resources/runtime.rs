use std::time::Duration;

use metrics::{Gauge, Unit, describe_gauge, gauge};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::unknown;

/// One sample of a tokio runtime.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RuntimeSample {
    /// Worker threads.
    pub workers: usize,
    /// Tasks that were spawned and have not ended.
    pub alive_tasks: usize,
    /// Tasks that wait in the queue all workers share.
    pub global_queue: usize,
    /// Time the workers have spent on tasks, all together. `None` where the
    /// machine has no 64-bit atomics.
    pub busy: Option<Duration>,
    /// Share of the workers' time spent on tasks since the sample before, from 0
    /// to 1; `None` on the first sample. A worker's time is known when it next
    /// parks: one that never does shows up late.
    pub busy_ratio: Option<f64>,
}

pub(super) struct RuntimeProbe {
    before: Option<(Duration, Instant)>,
    workers: Gauge,
    tasks: Gauge,
    queue: Gauge,
    busy: Gauge,
    ratio: Gauge,
}

impl RuntimeProbe {
    pub(super) fn new() -> Self {
        for (name, unit, text) in [
            ("tokio_workers", Unit::Count, "Worker threads of the runtime."),
            ("tokio_alive_tasks", Unit::Count, "Tasks that have not ended."),
            ("tokio_global_queue_depth", Unit::Count, "Tasks in the queue all workers share."),
            ("tokio_busy_seconds_total", Unit::Seconds, "Time the workers have spent on tasks."),
            ("tokio_busy_ratio", Unit::Count, "Share of the workers' time spent on tasks, 0 to 1."),
        ] {
            describe_gauge!(name, unit, text);
        }
        Self {
            before: None,
            workers: unknown(gauge!("tokio_workers")),
            tasks: unknown(gauge!("tokio_alive_tasks")),
            queue: unknown(gauge!("tokio_global_queue_depth")),
            busy: unknown(gauge!("tokio_busy_seconds_total")),
            ratio: unknown(gauge!("tokio_busy_ratio")),
        }
    }

    pub(super) fn sample(&mut self, runtime: &Handle, now: Instant) -> RuntimeSample {
        let metrics = runtime.metrics();
        let workers = metrics.num_workers();
        let busy = busy(&metrics);
        let busy_ratio = busy.and_then(|busy| {
            let before = self.before.replace((busy, now));
            let (then, at) = before?;
            let passed = now.saturating_duration_since(at).as_secs_f64() * workers as f64;
            let worked = busy.saturating_sub(then).as_secs_f64();
            (passed > 0.0).then(|| (worked / passed).min(1.0))
        });
        let sample = RuntimeSample {
            workers,
            alive_tasks: metrics.num_alive_tasks(),
            global_queue: metrics.global_queue_depth(),
            busy,
            busy_ratio,
        };
        self.workers.set(sample.workers as f64);
        self.tasks.set(sample.alive_tasks as f64);
        self.queue.set(sample.global_queue as f64);
        if let Some(busy) = sample.busy {
            self.busy.set(busy.as_secs_f64());
        }
        if let Some(ratio) = sample.busy_ratio {
            self.ratio.set(ratio);
        }
        sample
    }
}

#[cfg(target_has_atomic = "64")]
fn busy(metrics: &tokio::runtime::RuntimeMetrics) -> Option<Duration> {
    Some((0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum())
}

#[cfg(not(target_has_atomic = "64"))]
fn busy(_: &tokio::runtime::RuntimeMetrics) -> Option<Duration> {
    None
}
