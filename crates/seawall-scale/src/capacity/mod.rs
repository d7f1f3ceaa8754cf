//! How many instances a load needs, and how much more it may be before new ones are ready.
//!
//! - [`Service`]: what an instance can do, and the least number of them that keeps
//!   a latency objective at a rate (square-root staffing).
//! - [`Headroom`]: by how much the load has grown within a start-up time, as a
//!   quantile of what was seen (conformal calibration): no fixed target.
//! - [`Planner`]: both, with the present slope, as a size at each tick.

mod headroom;
mod planner;
mod predictor;
mod service;

pub use headroom::Headroom;
pub use planner::{Plan, Planner, PlannerConfig};
pub use service::Service;

#[cfg(test)]
mod tests;
