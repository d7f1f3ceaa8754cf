//! The flagship as its user runs it: the built program, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod demo;
mod faults;
mod program;
mod routes;
