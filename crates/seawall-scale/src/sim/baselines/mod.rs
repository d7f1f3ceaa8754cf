//! What a team would use instead, each at its defaults and with its own pipeline of metrics.

mod aws;
mod fixed;
mod hpa;
mod knative;
mod pipeline;

pub use aws::{StepScaling, TargetTracking};
pub use fixed::{Oracle, Static};
pub use hpa::{Fresh, Hpa, Keda};
pub use knative::Knative;
pub use pipeline::Pipeline;

use super::score::Bound;
use super::{Load, Scaler};

/// All of them, for a service like that of `load`, aiming at `target` (0.7 is 70 %).
#[must_use]
pub fn all(load: &Load, bound: &Bound, peak_instances: f64, target: f64) -> Vec<Box<dyn Scaler>> {
    let service = load.service;
    vec![
        Box::new(Hpa::new(target)),
        Box::new(Keda::new(target * service.rate)),
        Box::new(TargetTracking::new(target)),
        Box::new(StepScaling::new(target)),
        Box::new(Knative::new(target * f64::from(service.slots))),
        Box::new(Static::new(peak_instances.ceil() as u32)),
        Box::new(Fresh::new(target * service.rate)),
        Box::new(Oracle::new(bound.clone(), load.tick())),
    ]
}
