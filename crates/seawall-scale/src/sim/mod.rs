//! A group of instances under a traffic trace, faster than time: to compare policies before one
//! of them runs anything.
//!
//! [`run`] plays one [`Scaler`] against a [`Load`]. Instances take time to start and are paid from
//! launch; requests arrive at random around the trace, wait in a common queue, and are dropped
//! after half a minute; a policy sees metrics as late and as smoothed as its own pipeline makes
//! them. The [`baselines`] are what a team would use instead, at their defaults.
//!
//! [`run`] is a fluid model: what a tick brings and does is counted, not each request. Latency
//! is a proxy, the 95th percentile as three service times and three mean waits (Sakasegawa's
//! approximation for M/M/c), and the objective is that it stays within four service times.
//! [`run_requests`] plays each request, with its own service time, instances that fail, and
//! metrics that are late and noisy; policies and loads are the same. Retries, cold caches and zones
//! are in neither.

pub mod baselines;
mod history;
mod latency;
mod load;
mod ours;
mod requests;
mod score;
mod trace;
mod world;

pub use history::History;
pub use load::{Load, LoadConfig};
pub use ours::Seawall;
pub use requests::{Reality, RequestOutcome, ServiceTime, run_requests};
pub use score::{Bound, Score, bound};
pub use trace::{Join, Trace, TraceError};
pub use world::{Fleet, Outcome, Scaler, View, run};

#[cfg(test)]
mod tests;
