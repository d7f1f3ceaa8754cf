//! Overload protection: how many requests at once, who waits, who is turned away.

mod acquire;
mod config;
mod engine;
mod handle;
mod law;
mod meter;
mod permit;
mod pressure;
mod priority;
mod queue;
mod reason;
mod slots;
mod stats;
mod status;
mod sync;
mod valve;

#[cfg(feature = "tower")]
mod answer;
#[cfg(feature = "tower")]
mod body;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod service;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use acquire::Acquire;
pub use config::OverloadConfig;
pub use engine::Outcome;
pub use handle::{Overload, Rejected};
pub use permit::Permit;
pub use pressure::Pressure;
pub use priority::{Criticality, Deadline, Priority, QuotaUsed};
pub use reason::Reason;
pub use status::OverloadStatus;

#[cfg(feature = "tower")]
pub use body::OverloadBody;
#[cfg(feature = "tower")]
pub use future::OverloadFuture;
#[cfg(feature = "tower")]
pub use layer::OverloadLayer;
#[cfg(feature = "tower")]
pub use service::OverloadService;
