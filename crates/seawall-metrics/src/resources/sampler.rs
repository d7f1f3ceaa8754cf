use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sysinfo::System;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::cgroup::CgroupSample;
use super::config::ResourcesConfig;
use super::limits::CgroupProbe;
use super::process::{ProcessProbe, ProcessSample};
use super::runtime::{RuntimeProbe, RuntimeSample};
use super::system::{SystemProbe, SystemSample};
use crate::error::Error;

/// The newest samples, taken by a background task.
///
/// Cheap to clone; the task stops when the last clone is dropped. Values also
/// go to the `metrics` facade: to the recorder installed when this is made, those
/// of a file system to the one installed when it is first seen.
#[derive(Clone)]
pub struct Resources {
    latest: Arc<Mutex<ResourceSample>>,
}

/// What is known of the resources; each half has its own interval.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ResourceSample {
    /// The host and when it was sampled; `None` before the first sample.
    pub system: Option<(SystemSample, Instant)>,
    /// This process and when it was sampled; `None` before the first sample or
    /// where the system does not tell.
    pub process: Option<(ProcessSample, Instant)>,
    /// The control group of this process; `None` where there is no such thing.
    pub cgroup: Option<(CgroupSample, Instant)>,
    /// Newest use of the group's CPU limit that could be computed.
    pub cgroup_cpu_ratio: Option<(f64, Instant)>,
    /// The tokio runtime that [`Resources::spawn`] was called in.
    pub runtime: Option<(RuntimeSample, Instant)>,
    /// Newest CPU use of the host that could be computed, and its time.
    pub cpu_ratio: Option<(f64, Instant)>,
}

impl Resources {
    /// Samples host and process every `interval`, 200 ms to 1 day. The first
    /// sample is taken at once, a first CPU figure follows 250 ms later.
    ///
    /// # Errors
    /// [`Error::Config`] if the interval is out of bounds, [`Error::NoRuntime`]
    /// outside a tokio runtime.
    pub fn spawn(interval: Duration) -> Result<Self, Error> {
        Self::spawn_with(ResourcesConfig::every(interval))
    }

    /// Like [`spawn`](Self::spawn), with an interval for each half.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with(config: ResourcesConfig) -> Result<Self, Error> {
        config.validate()?;
        let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let latest = Arc::default();
        let task = run(Arc::downgrade(&latest), Sampler::new(), config);
        runtime.spawn(task);
        Ok(Self { latest })
    }

    /// The newest samples.
    #[must_use]
    pub fn latest(&self) -> ResourceSample {
        self.latest.lock().clone()
    }

    /// Share of the host's CPUs in use, 0 to 1. `None` until two samples are
    /// there.
    #[must_use]
    pub fn cpu_ratio(&self) -> Option<f64> {
        self.latest.lock().cpu_ratio.map(|(ratio, _)| ratio)
    }

    /// Share of the host's memory in use, 0 to 1. `None` before the first sample
    /// and where the system does not tell.
    #[must_use]
    pub fn memory_ratio(&self) -> Option<f64> {
        let latest = self.latest.lock();
        let ratio = latest.system.as_ref().map(|(host, _)| host.memory_ratio());
        ratio.filter(|ratio| ratio.is_finite())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// Takes samples when told to. Each call reads the operating system's files
/// and may block for a moment (a hung network mount: for long).
pub struct Sampler {
    os: System,
    process: ProcessProbe,
    system: SystemProbe,
    cgroup: CgroupProbe,
    runtime: RuntimeProbe,
}

impl Sampler {
    /// Registers the gauges with the current recorder: those of what the system
    /// tells of now. They are NaN until the first sample, and a mount that is
    /// gone is NaN again.
    #[must_use]
    pub fn new() -> Self {
        Self {
            os: System::new(),
            process: ProcessProbe::new(),
            system: SystemProbe::new(),
            cgroup: CgroupProbe::new(),
            runtime: RuntimeProbe::new(),
        }
    }

    /// Samples the host and publishes it. CPU use is that since the call before.
    pub fn sample_system(&mut self, now: Instant) -> SystemSample {
        self.system.sample(&mut self.os, now)
    }

    /// Samples this process and publishes it; `None` where the system does not
    /// tell.
    pub fn sample_process(&mut self) -> Option<ProcessSample> {
        self.process.sample(&mut self.os)
    }

    /// Samples the control group of this process and publishes it; `None` where
    /// there is no such thing. CPU use is that since the call before.
    pub fn sample_cgroup(&mut self, now: Instant) -> Option<CgroupSample> {
        self.cgroup.sample(now)
    }

    /// Samples a runtime and publishes it. Worker use is that since the call
    /// before.
    pub fn sample_runtime(&mut self, runtime: &Handle, now: Instant) -> RuntimeSample {
        self.runtime.sample(runtime, now)
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").finish_non_exhaustive()
    }
}

/// Wakes for whichever half is due, samples on a blocking thread, ends when
/// nobody holds the result any more.
async fn run(latest: Weak<Mutex<ResourceSample>>, mut sampler: Sampler, config: ResourcesConfig) {
    let start = Instant::now();
    let (mut next_system, mut next_process) = (start, start);
    // The second CPU reading, without which there is no figure, comes early.
    let mut first = true;
    loop {
        sleep_until(next_system.min(next_process)).await;
        if latest.strong_count() == 0 {
            return;
        }
        let now = Instant::now();
        let (system_due, process_due) = (next_system <= now, next_process <= now);
        let runtime = Handle::current();
        let sampled = spawn_blocking(move || {
            let system = system_due.then(|| sampler.sample_system(now));
            let process = process_due.then(|| {
                let runtime = sampler.sample_runtime(&runtime, now);
                (sampler.sample_process(), sampler.sample_cgroup(now), runtime)
            });
            (sampler, system, process)
        })
        .await;
        // An error means that the runtime is going down.
        let Ok((back, system, process)) = sampled else {
            return;
        };
        sampler = back;
        if system_due {
            let soon = std::mem::take(&mut first);
            next_system = now + if soon { EARLY } else { config.system_interval };
        }
        if process_due {
            next_process = now + config.process_interval;
        }
        let Some(latest) = latest.upgrade() else {
            return;
        };
        let mut latest = latest.lock();
        if let Some(system) = system {
            if let Some(ratio) = system.cpu_ratio {
                latest.cpu_ratio = Some((ratio, now));
            }
            latest.system = Some((system, now));
        }
        if let Some((process, cgroup, runtime)) = process {
            let stamped = |process| (process, now);
            latest.process = process.map(stamped).or(latest.process);
            latest.cgroup = cgroup.map(|cgroup| (cgroup, now));
            if let Some(ratio) = cgroup.and_then(|cgroup| cgroup.cpu_ratio) {
                latest.cgroup_cpu_ratio = Some((ratio, now));
            }
            latest.runtime = Some((runtime, now));
        }
    }
}

/// A little over the shortest time CPU use can be computed for.
const EARLY: Duration = Duration::from_millis(250);
