//! Histories: clients write and read through the pool while servers and links fail, and a checker
//! says whether what they saw kept the promises of `docs/histories.md`.
//!
//! ```text
//! HISTORIES=1000 SEED=7 cargo test -p seawall-pool --release --test histories -- --nocapture
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

mod check;
mod clients;
mod cluster;
mod faults;
mod history;
mod plan;
mod random;
mod run;
