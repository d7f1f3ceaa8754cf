//! Penalties for clients that keep overrunning: ok, then challenged, then blocked.

mod config;
#[cfg(feature = "tower")]
mod future;
mod keeper;
mod law;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod service;
mod table;

pub use config::PenaltyConfig;
#[cfg(feature = "tower")]
pub use future::PenaltyFuture;
pub use keeper::{Penalties, Violation};
pub use law::Standing;
#[cfg(feature = "tower")]
pub use layer::PenaltyLayer;
#[cfg(feature = "tower")]
pub use service::PenaltyService;
