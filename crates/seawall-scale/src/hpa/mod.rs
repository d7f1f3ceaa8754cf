//! The Kubernetes horizontal pod autoscaler, number for number.
//!
//! [`reconcile`] makes one decision as the controller of `autoscaling/v2` does,
//! with its rounding, its order and its gaps: whole per cents, `int32` sizes,
//! a memory of wishes that knows no restart. It is there to compare with, to
//! replay what a cluster did, and to move from an HPA without a jump; for a
//! group of your own [`decide`](crate::decide()) does better. The parts are
//! public too, since each is a step that an operator asks about.
//!
//! ```
//! use std::time::Duration;
//! use seawall_scale::hpa::{Answer, Controller, Faults, Hpa, Memory, Metric, Source, Target, World, reconcile};
//!
//! let hpa = Hpa { min: 1, max: 10, metrics: vec![Metric {
//!     source: Source::External,
//!     target: Target::Average(100_000), // thousandths: 100 messages for each replica
//!     answer: Some(Answer::Values(vec![720_000])),
//! }], ..Hpa::default() };
//! let world = World { spec_replicas: 4, status_replicas: 4, ..World::default() };
//! let now = Duration::from_secs(1_000);
//! let done = reconcile(&Controller::default(), &hpa, &world, &mut Memory::default(), Faults::default(), now);
//! assert_eq!((done.desired, done.rescaled), (8, true));
//! ```
//!
//! Source: `pkg/controller/podautoscaler` of Kubernetes (`horizontal.go`,
//! `replica_calculator.go`, `metrics/utilization.go`), KEP-853, KEP-2021 and
//! KEP-4951. Where the controller takes a negative sum of an external metric for an overflow, it
//! is a wish for none here. Checked against a second implementation in the tests, and against the
//! vectors in `tests/data/hpa_public.json`, which
//! `cargo run --example hpa_vectors -- FILE.json` runs.
//!
//! # Units
//! Quantities are whole thousandths of a core, a byte or the metric's unit.
//! Moments are durations since a zero that the caller chooses, the same for all;
//! nothing here reads a clock. All functions are total: sums saturate, and a
//! target of zero gives what floating point gives.

mod behaviour;
mod condition;
mod error;
mod events;
mod metric;
mod pods;
mod ratio;
mod reconcile;
mod replicas;
mod request;
mod rules;
mod stabilise;

use std::time::Duration;

pub use behaviour::{Behaviour, limit_by_factor, limit_by_rules};
pub use condition::{Condition, ConditionKind, Reason};
pub use error::MetricError;
pub use events::{ScaleEvent, change_in_period};
pub use metric::{Answer, Metric, Source, Target, resource_values};
pub use pods::{Initialisation, Phase, Pod, Pods, Sample, Value, group};
pub use ratio::{Tolerance, Utilisation, per_pod, usage_ratio, utilisation_ratio};
pub use reconcile::{Controller, Done, Faults, Hpa, Memory, World, reconcile};
pub use replicas::{
    Proposal, by_average, by_pod_average, by_total, by_utilisation, ready_and_running,
};
pub use request::Requests;
pub use rules::{Direction, FilledRules, RatePolicy, Rules, Select};
pub use stabilise::{Wish, stabilise_down, stabilise_within};

/// A moment: how long after a zero that the caller chooses.
pub type Moment = Duration;

#[cfg(test)]
mod tests;
