//! The limiter and its layers, from outside.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod allocation;
mod answers;
mod bombs;
mod challenge;
#[cfg(feature = "redis")]
mod cluster;
mod contention;
mod fields;
mod fuzz;
mod guards;
mod kept;
mod law;
mod layer;
mod lists;
mod modes;
mod obey;
mod observed;
mod overload;
mod penalty;
mod reload;
mod settled;
#[cfg(feature = "serde")]
mod shadow;
mod subjects;
mod support;
mod tiers;
