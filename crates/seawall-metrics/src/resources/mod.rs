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

#[cfg(test)]
mod tests;
