//! The balancer and its tower service, from outside.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod bounds;
mod disruption;
mod failures;
mod lifecycle;
mod observed;
mod policies;
mod probes;
mod races;
mod service;
mod sim;
mod simulated;
mod support;
