//! Actuators, sources and the lease against real sockets and real servers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

#[cfg(any(feature = "http", feature = "kube"))]
mod fake;
#[cfg(feature = "keda")]
mod keda;
#[cfg(feature = "keda")]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    dead_code,
    reason = "generated"
)]
#[rustfmt::skip]
mod keda_client;
#[cfg(feature = "kube")]
mod kubernetes;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod stores;
#[cfg(feature = "swarm")]
mod swarm;
#[cfg(all(feature = "prometheus", feature = "rabbitmq"))]
mod web_sources;
