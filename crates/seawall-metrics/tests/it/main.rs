#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod aliases;
#[cfg(feature = "tower")]
mod axum_router;
#[cfg(all(unix, feature = "tower"))]
mod browser;
mod created;
mod differential;
mod exposition;
#[cfg(feature = "protobuf")]
mod families;
mod formats;
mod install;
#[cfg(all(feature = "protobuf", feature = "listener", feature = "gzip"))]
mod names;
#[cfg(feature = "otlp")]
mod otlp;
mod parser;
#[cfg(all(feature = "protobuf", feature = "listener", feature = "gzip"))]
mod prometheus;
mod races;
#[cfg(all(feature = "protobuf", feature = "listener", feature = "gzip"))]
mod roundtrip;
#[cfg(feature = "tower")]
mod server;
