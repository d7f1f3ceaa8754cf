//! Scaling decisions as a pure function: target tracking and rules in, a target and its reasons out.

mod decide;
mod decision;
mod engine;
mod policy;
pub mod presets;
mod reason;
mod state;
mod telemetry;
#[cfg(feature = "serde")]
mod text;

pub use decide::decide;
pub use decision::{Action, Decision, Trigger};
pub use engine::{Engine, Event};
pub use policy::{Goal, Policy, PolicyError, Rule, RuleAction, Step, StepLimit, Target};
pub use reason::{Measured, Reason};
pub use state::State;
