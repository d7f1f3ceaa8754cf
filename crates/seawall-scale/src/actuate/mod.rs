//! Hands: making the world as large as a decision says, and seeing that it followed.
//!
//! An [`Actuator`] knows one world: a pool of tasks ([`WorkerPool`]), something with a size
//! ([`Resize`]), a Kubernetes workload, a Docker Swarm service. A [`Reconciler`] drives one: it
//! keeps what is wanted beside what is there, writes only when they differ, and neither gives up
//! nor storms.
//!
//! ```
//! use seawall_scale::actuate::{Reconciler, ReconcilerConfig, WorkerPool};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let workers = WorkerPool::new(|worker| async move {
//!     // Take jobs until asked to stop.
//!     worker.stopping().await;
//! });
//! let mut reconciler = Reconciler::new("jobs", workers.clone(), ReconcilerConfig::default())?;
//! reconciler.want(3, "queue_depth is 120");
//! reconciler.step().await;
//! assert_eq!(workers.running(), 3);
//! workers.shutdown().await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

#[cfg(any(feature = "kube", feature = "swarm"))]
mod answer;
mod backoff;
mod config;
mod dry_run;
mod error;
#[cfg(feature = "external-metrics")]
pub mod external_metrics;
#[cfg(feature = "keda")]
pub mod keda;
#[cfg(feature = "kube")]
pub mod kubernetes;
mod reconcile;
mod resize;
#[cfg(feature = "swarm")]
pub mod swarm;
mod telemetry;
mod workers;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use config::ReconcilerConfig;
pub use dry_run::{DryRun, Would};
pub use error::{ActuateError, Phase};
pub use reconcile::{Reconciler, ReconcilerHandle, Standing, Status};
pub use resize::Resize;
pub use workers::{Worker, WorkerPool};
pub use world::{Observed, Outcome, Warning};

pub(crate) use backoff::{Backoff, jitter};

/// A future in a box, so that actuators and sources can be kept behind `dyn`.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One world whose size can be seen and set.
///
/// Both calls are idempotent. A future that is dropped leaves the world as it was or as it was
/// asked to be, nothing between; whoever drops one does not know which and observes before
/// writing again, as [`Reconciler`] does.
pub trait Actuator: Send + Sync {
    /// Short and constant, for metrics: `kubernetes`, `swarm`, `workers`.
    fn name(&self) -> &'static str;

    /// What the world is now. Changes nothing.
    ///
    /// # Errors
    /// See [`ActuateError`]; the phase is [`Phase::Observe`].
    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>>;

    /// Asks the world for `target` instances; `reason` goes where the world keeps such notes.
    /// Returns when the world has taken the wish, not when the instances are there: that is seen
    /// by [`observe`](Self::observe).
    ///
    /// # Errors
    /// See [`ActuateError`]; after one of which
    /// [`may_have_happened`](ActuateError::may_have_happened) the world may have taken it.
    fn apply<'a>(
        &'a self,
        target: u32,
        reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>>;

    /// Whether a write would now be one: not for a dry run, nor while another engine leads. Then
    /// the changes that are seen are another's by right, and not counted as foreign. Default:
    /// `true`. No IO.
    fn is_writer(&self) -> bool {
        true
    }
}

impl<A: Actuator + ?Sized> Actuator for Arc<A> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        (**self).observe()
    }

    fn apply<'a>(
        &'a self,
        target: u32,
        reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        (**self).apply(target, reason)
    }

    fn is_writer(&self) -> bool {
        (**self).is_writer()
    }
}

impl<A: Actuator + ?Sized> Actuator for Box<A> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        (**self).observe()
    }

    fn apply<'a>(
        &'a self,
        target: u32,
        reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        (**self).apply(target, reason)
    }

    fn is_writer(&self) -> bool {
        (**self).is_writer()
    }
}
