//! Scaling decisions as a pure function: target tracking and rules in, a target and its reasons out.
//!
//! ```
//! use seawall_scale::{Action, Engine, Policy, Rule, Target};
//! use seawall_signal::{Signals, Unit};
//! use tokio::time::Instant;
//!
//! let policy = Policy {
//!     group: "web".into(),
//!     min: 3,
//!     max: 20,
//!     targets: vec![Target::utilisation("cpu_usage", 0.7)],
//!     rules: vec![Rule::scale_up("p95(http_request_duration) > 500ms for 2m")?],
//!     ..Policy::default()
//! };
//! let mut engine = Engine::new(policy, 3)?;
//!
//! let now = Instant::now();
//! let mut signals = Signals::new();
//! signals.set("cpu_usage", 0.91, Unit::Ratio, now);
//! signals.set("p95(http_request_duration)", 0.2, Unit::Seconds, now);
//!
//! let decision = engine.tick(&signals, now);
//! assert_eq!((decision.target, decision.action), (4, Action::Up));
//! assert_eq!(
//!     decision.explain(),
//!     "cpu_usage is 91 %, above its target 70 %: wants 4 instances, from 3",
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # When to use it, and when not
//! When a service sizes something itself (instances, workers, replicas) and you
//! want to know, test and replay why. If a Kubernetes HPA with one CPU target
//! does, keep it. The decision itself starts and stops nothing:
//! [`actuate`] does, with signals from [`sources`].
//!
//! # How it works
//! [`decide`] is a pure function of a [`Policy`], a [`State`], the
//! [`Signals`](seawall_signal::Signals) and `now`. Whatever a policy holds names
//! a size: a [`Target`], a [`Rule`] or [`Bands`] that hold, a [`Queue`], a
//! [`Burst`], a [`Forecast`]. **The largest wins, so any may grow the group and
//! all must agree to shrink it**. Schedules, what instances share
//! ([`Dependency`]), a [`Budget`] and sleep ([`Zero`]) move the bounds. Cooldowns,
//! stabilisation windows, [`Rates`], step limits and [`Churn`] limit the way;
//! each that cuts a wish leaves a [`Reason`]. An operator's [`Freeze`] and
//! [`Pin`] go over all of it. An [`Engine`] keeps policy and state together,
//! tries a candidate beside the live policy, and reports.
//!
//! - **A missing, stale or senseless signal never shrinks the group**, and never
//!   keeps it from growing.
//! - **A scale-down never blocks a scale-up**, and a scale-up ends its cooldown.
//! - **No size is chosen from which the same load would scale up again**: use
//!   per instance is projected to the smaller size first.
//! - **The target is always within the bounds.** A size outside them is
//!   corrected at once, without asking what is measured.
//! - **Every decision can be made again**, to the bit, from a `log` of JSON lines.
//!
//! The tolerance band, the rounding, the stabilisation window and the rates are
//! those of the Kubernetes HPA v2, computed on real numbers; [`hpa`] is the HPA
//! itself. How policies combine, and each kind in a file: `docs/policies.md`.
//!
//! # Consistency and cancel safety
//! Nothing is shared, asynchronous or read from a clock: an [`Engine`] is told the
//! time of day if schedules need it. The same inputs give the same decision.
//!
//! # Cost
//! A decision costs a few look-ups per signal and an allocation per reason: some
//! microseconds for ten policies. A state keeps one small entry per decision
//! within its longest window, at most 1024, and the last 256 changes; an engine
//! its last 256 events. With [`Scalability`] it also keeps nine measurements at
//! each of 32 sizes, and fits the law anew after each, at most every 10 s for a
//! size.
//!
//! # Features
//! | feature | what | default |
//! |---|---|---|
//! | `serde` | policies from and to files; states and decisions too | no |
//! | `schedules` | `schedule`: windows on a zone's clock, event days | no |
//! | `log` | `log`: decisions as JSON lines, and their replay | no |
//! | `sim` | `sim`: policies and their rivals under traffic traces | no |
//! | `kube` | [`actuate`]: the scale subresource of Kubernetes workloads | no |
//! | `keda` | [`actuate`]: an external scaler that KEDA asks over gRPC | no |
//! | `external-metrics` | [`actuate`]: the external metrics API that an HPA asks | no |
//! | `swarm` | [`actuate`]: services of Docker Swarm | no |
//! | `prometheus`, `rabbitmq` | [`sources`] over HTTP | no |
//! | `postgres`, `redis` | [`sources`], and leases for [`lead`] | no |
//! | `http` | `Http`, which some of these share | no |

pub mod actuate;
mod bounds;
pub mod capacity;
#[cfg(feature = "http")]
mod client;
mod decide;
mod decision;
mod engine;
mod feed;
pub mod forecast;
pub mod hpa;
pub mod lead;
#[cfg(feature = "log")]
pub mod log;
mod mix;
#[cfg(feature = "serde")]
mod offset;
mod policy;
#[cfg(feature = "postgres")]
mod postgres;
pub mod presets;
mod reason;
pub mod report;
pub mod scalability;
#[cfg(feature = "schedules")]
pub mod schedule;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sources;
mod state;
mod telemetry;
#[cfg(feature = "serde")]
mod text;

pub use bounds::ConfigError;
#[cfg(feature = "http")]
pub use client::Http;
pub use decide::decide;
pub use decision::{Action, Decision, Trigger};
pub use engine::{Difference, Engine, Event, EventRow, ShadowReport, Sink};
pub use feed::PlanFeed;
pub use mix::{Mix, Rejected, Share, Why};
pub use policy::{
    Activation, Band, Bands, Budget, Burst, Busy, Change, Churn, Dependency, Fleet, Forecast, Goal,
    Kind, Outlook, PingPong, Policy, PolicyError, Queue, Rate, Rates, Rule, RuleAction,
    Scalability, Select, Skill, Step, StepLimit, Target, Vertical, Zero,
};
pub use reason::{Foreseen, Measured, Reason};
#[cfg(feature = "serde")]
pub use state::SavedState;
pub use state::{Freeze, Pin, State};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
