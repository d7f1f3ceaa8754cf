//! Samples of the host, of this process, its control group and its runtime.

mod cgroup;
mod config;
mod limits;
mod pressure;
mod process;
mod procfs;
mod runtime;
mod sampler;
mod system;

pub use cgroup::CgroupSample;
pub use config::ResourcesConfig;
pub use pressure::{PressureSample, Stall};
pub use process::ProcessSample;
pub use runtime::RuntimeSample;
pub use sampler::{ResourceSample, Resources, Sampler};
pub use system::{DiskSample, SystemSample};

/// A gauge that is not known yet. Without a value it would say 0, of which nobody
/// could tell that it was never measured.
fn unknown(gauge: metrics::Gauge) -> metrics::Gauge {
    gauge.set(f64::NAN);
    gauge
}

#[cfg(test)]
mod tests;
