//! The pool against a real primary with streaming replicas.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

#[cfg(feature = "advisor")]
mod advisor;
mod analytics;
#[cfg(feature = "classify")]
mod auto;
mod balancing;
mod batch;
mod buffer;
#[cfg(feature = "tower")]
mod carried;
mod connections;
mod consistency;
mod failover;
mod failure;
mod fallback;
mod hedge;
mod hedge_spill;
mod lag;
mod lanes;
mod loader;
mod metrics;
mod monotonic;
mod names;
mod pooling;
mod quarantine;
mod resets;
mod roles;
mod routing;
mod seeing;
mod session;
mod sizing;
mod slow;
mod spill;
mod statements;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
