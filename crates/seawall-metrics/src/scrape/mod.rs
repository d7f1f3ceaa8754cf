//! `GET /metrics` as a tower service.

mod service;

pub use service::MetricsService;
