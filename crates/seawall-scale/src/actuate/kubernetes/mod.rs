//! Workloads of Kubernetes, by their scale subresource.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use seawall_scale::actuate::kubernetes::{Kubernetes, Workload};
//! use seawall_scale::actuate::{Reconciler, ReconcilerConfig};
//!
//! // Of your own dependency on kube, with the feature of the TLS that you use.
//! let client = kube::Client::try_default().await?;
//! let workload = Workload::deployment("default", "web")?;
//! let kubernetes = Kubernetes::new(client, workload);
//! let reconciler = Reconciler::new("web", kubernetes, ReconcilerConfig::default())?.spawn();
//! reconciler.want(4, "cpu_usage is 91 %");
//! # Ok(())
//! # }
//! ```
//!
//! The rights it needs: `get` and `patch` of `deployments/scale`; and, for knowing more than it
//! must, `get` of `deployments` (how many are ready) and `list` of
//! `horizontalpodautoscalers.autoscaling` (whether one of them owns the size).

mod api;
mod rivals;
mod wire;
mod workload;

use std::sync::atomic::{AtomicBool, Ordering};

use self::api::Api;
use self::rivals::Rivals;
use self::wire::{Scale, WorkloadStatus};
pub use self::workload::Workload;
use super::answer::Tried;
use super::{ActuateError, Actuator, Boxed, Observed, Outcome, Phase, Warning};

/// One workload.
///
/// A write carries the version of the object that was read just before; if somebody else was
/// faster, it reads and tries again, three times at most. If a HorizontalPodAutoscaler targets the
/// workload, nothing is written.
#[derive(Debug)]
pub struct Kubernetes {
    api: Api,
    workload: Workload,
    rivals: Rivals,
    /// The right to read the workload itself is missing; that is not asked twice.
    blind: AtomicBool,
}

impl Kubernetes {
    /// The client brings address, identity and TLS. Its own retries, if it has them, come before
    /// those of the reconciler; keep them few.
    #[must_use]
    pub fn new(client: kube::Client, workload: Workload) -> Self {
        Self {
            api: Api::new(client),
            rivals: Rivals::new(),
            workload,
            blind: AtomicBool::new(false),
        }
    }

    async fn scale(&self, phase: Phase) -> Result<Scale, ActuateError> {
        let object = self.workload.scale_name();
        let tried = Tried { phase, action: "get", object: &object };
        self.api.get(&self.workload.scale_path(), tried).await
    }

    /// How many serve: what the workload says, else as many as there are.
    async fn ready(&self, running: u32) -> Result<u32, ActuateError> {
        if self.blind.load(Ordering::Relaxed) {
            return Ok(running);
        }
        let object = self.workload.name();
        let tried = Tried { phase: Phase::Observe, action: "get", object: &object };
        match self.api.get::<WorkloadStatus>(&self.workload.path(), tried).await {
            Ok(workload) => Ok(workload.status.ready_replicas.unwrap_or(0)),
            Err(ActuateError::Forbidden { .. }) => {
                self.blind.store(true, Ordering::Relaxed);
                let workload = &object;
                tracing::warn!(workload, "no right to get it: all of its pods count as ready");
                Ok(running)
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&self) -> Result<Observed, ActuateError> {
        let warning = self.rivals.check(&self.api, &self.workload, Phase::Observe).await?;
        let scale = self.scale(Phase::Observe).await?;
        let running = scale.status.replicas;
        let ready = self.ready(running).await?.min(running);
        Ok(Observed { desired: Some(scale.spec.replicas), running, ready, warning })
    }

    async fn write(&self, target: u32) -> Result<Outcome, ActuateError> {
        let rival = self.rivals.check(&self.api, &self.workload, Phase::Apply).await?;
        if rival.as_ref().is_some_and(Warning::forbids_writing) {
            return Ok(Outcome::Yielded);
        }
        let object = self.workload.scale_name();
        let tried = Tried { phase: Phase::Apply, action: "patch", object: &object };
        for _ in 0..ATTEMPTS {
            let seen = self.scale(Phase::Apply).await?;
            if seen.spec.replicas == target {
                return Ok(Outcome::Unchanged);
            }
            match self.api.patch(&self.workload.scale_path(), &seen.resized(target), tried).await {
                Ok(Scale { spec, .. }) if spec.replicas == target => {
                    return Ok(Outcome::Accepted { from: seen.spec.replicas });
                }
                // Something on the way to the store has cut it.
                Ok(Scale { spec, .. }) => return Ok(Outcome::Partial { granted: spec.replicas }),
                Err(ActuateError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ActuateError::Conflict { phase: Phase::Apply, attempts: ATTEMPTS })
    }
}

impl Actuator for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        Box::pin(self.look())
    }

    /// The reason goes nowhere: the scale subresource has no place for it. The field manager is
    /// `seawall`.
    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(self.write(target))
    }
}

const ATTEMPTS: u32 = 3;
