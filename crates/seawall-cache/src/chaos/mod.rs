//! Faults on purpose, for tests of what your service does when its cache's L2 does not do its part.
//!
//! [`Chaos`] stands between a cache and any [`Remote`](crate::Remote); [`ChaosCodec`] between it and
//! a [`Codec`](crate::Codec). Both draw from a seed, so that a run can be had again.

mod codec;
mod config;
mod dice;
mod link;
mod remote;

pub use self::codec::ChaosCodec;
pub use self::config::ChaosConfig;
pub use self::remote::Chaos;

#[cfg(test)]
mod tests;
