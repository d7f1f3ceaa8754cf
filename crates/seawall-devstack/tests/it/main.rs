//! Against the real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod control;
mod leftovers;
mod pgbouncer;
mod prometheus;
mod proxy;
mod redis;
mod start;
mod support;
