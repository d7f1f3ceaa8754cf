//! x
#![allow(missing_docs, reason = "wip")]
mod balancer;
mod clock;
mod config;
mod control;
mod error;
mod hash;
mod node;
mod outlier;
mod pick;
mod policy;
mod probe;
mod prober;
mod ramp;
mod shared;
mod state;
mod stats;
mod status;
mod view;

#[cfg(feature = "tower")]
mod change;
#[cfg(feature = "tower")]
mod classify;
#[cfg(feature = "tower")]
mod service;

pub use balancer::{Balancer, MAX_WEIGHT, Member};
pub use config::{BalanceConfig, LagConfig, OutlierConfig, ProbeConfig, RingConfig, SlowStart};
pub use error::{Error, Nodes};
pub use hash::hash_key;
pub use pick::{Outcome, Pick, PickOptions};
pub use policy::Policy;
pub use probe::Probe;
pub use prober::Prober;
pub use status::{Leaving, NodeStatus, Standing, Status};

#[cfg(feature = "tower")]
pub use change::Change;
#[cfg(feature = "tower")]
pub use classify::{Classify, ErrorsFail, KeyOf, NoKey};
#[cfg(feature = "tower")]
pub use service::{BalanceFuture, BalanceLayer, BalanceService, BoxError};
