//! Quotas for all nodes together, kept in Redis.
//!
//! Pure: [`law`], [`ruling`], [`lease`] and [`state`] decide, as functions of state, question and
//! time; [`protocol`] is what they say to Redis. Around them, [`link`] and [`desk`] carry questions,
//! [`background`] does what nobody waits for, [`limiter`] is the front.

mod background;
mod breaker;
mod builder;
mod config;
mod core;
mod decision;
mod desk;
mod error;
mod law;
mod lease;
mod limiter;
mod link;
#[cfg(test)]
mod model;
mod protocol;
mod reservation;
mod ruling;
mod script;
mod settle;
mod shared;
#[cfg(test)]
mod sim;
mod state;
mod stats;
mod subject;
mod table;
mod tried;

pub use builder::ClusterLimiterBuilder;
pub use config::ClusterConfig;
pub use decision::{ClusterDecision, Source};
pub use error::ClusterError;
#[cfg(feature = "tower")]
pub(crate) use limiter::Started;
pub use limiter::{ClusterLimiter, ClusterSet};
#[cfg(feature = "tower")]
pub(crate) use reservation::Admission;
pub use reservation::ClusterReservation;
pub use state::FailureMode;
