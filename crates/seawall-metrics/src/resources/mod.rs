//! Samples of the host and of this process, as gauges.

mod config;
mod process;
mod sampler;
mod system;

pub use config::ResourcesConfig;
pub use process::ProcessSample;
pub use sampler::{ResourceSample, Resources, Sampler};
pub use system::{DiskSample, SystemSample};

#[cfg(test)]
mod tests;
