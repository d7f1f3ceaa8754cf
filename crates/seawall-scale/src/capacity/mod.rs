//! How many instances a load needs, and how much more it may be before new ones are ready.
//!
//! - [`Service`]: what an instance can do, and the least number of them that keeps
//!   a latency objective at a rate (square-root staffing).
//! - [`ServiceModel`]: the same, learned from how busy the instances were.
//! - [`Planner`]: the size at each tick: ways to predict and to hold are played along, with room
//!   by the newsvendor's rule: as much as bad requests would have cost more than the room; and a
//!   floor for the minutes of the hour and the quarters of the day in which too little was ready.

mod candidate;
mod clock;
mod extreme;
mod model;
mod planner;
#[cfg(feature = "serde")]
mod saved;
mod service;
mod tail;

pub(crate) use model::SATURATED;
pub use model::ServiceModel;
pub use planner::{Plan, Planner, PlannerConfig, PlannerError};
#[cfg(feature = "serde")]
pub use saved::{RestoreError, SavedPlanner};
pub use service::Service;

#[cfg(test)]
mod tests;
