//! How a guard stands.

use std::time::Duration;

/// What [`Overload::status`](crate::Overload::status) tells.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OverloadStatus {
    /// How many requests may run at once, at present.
    pub limit: usize,
    /// How many run: permits that are out.
    pub inflight: usize,
    /// How many wait for a slot.
    pub queued: usize,
    /// The share of arrivals that is turned away for its priority, 0 to 1.
    pub shed_ratio: f64,
    /// Latency without a queue in the service; `None` until the first window.
    pub base_latency: Option<Duration>,
    /// Latency of late.
    pub latency: Option<Duration>,
    /// Whether the limit is still on its way up to where more at once gets no more done.
    pub seeking: bool,
}
