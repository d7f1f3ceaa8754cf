//! The other side: a client that keeps to what servers tell it.

mod config;
mod fields;
mod hosts;
mod layer;
mod service;

pub use config::ObeyConfig;
pub use fields::{Advice, advice};
pub use layer::ObeyLayer;
pub use service::{ObeyError, ObeyFuture, ObeyService};
