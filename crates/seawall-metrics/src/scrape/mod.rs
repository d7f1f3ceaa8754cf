//! `GET /metrics` as a tower service, and as a small server of its own.

mod accept;
mod flight;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "listener")]
mod listener;
mod service;

#[cfg(feature = "listener")]
pub use listener::{Listener, ListenerConfig};
pub use service::{MetricsService, ScrapeFuture};
