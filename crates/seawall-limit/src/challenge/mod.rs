//! Proof of work for clients that ask for too much: a toll that costs many a
//! little, and a flood a lot. Threat model: `docs/challenge.md`.

mod answer;
mod config;
mod layer;
mod puzzle;
mod replay;
mod service;
mod threshold;
mod token;

pub use config::ChallengeConfig;
pub use layer::ChallengeLayer;
pub(crate) use layer::{Demand, Redeemed};
pub use puzzle::{Challenge, Pass, Puzzle, Refused, solve};
pub use service::ChallengeService;
