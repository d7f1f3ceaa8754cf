mod core;
mod handle;
mod status;

use std::sync::Arc;

use tokio::time::{Instant, timeout};

use self::core::Core;
pub use self::handle::ReconcilerHandle;
pub use self::status::{Standing, Status};
use super::telemetry::Telemetry;
use super::{ActuateError, Actuator, Outcome, Phase, ReconcilerConfig};
use crate::{ConfigError, Decision};

/// Keeps a world at the size that is wanted.
///
/// Each [`step`](Self::step) looks first and writes only if what it sees differs from the wish; a
/// write whose outcome is unknown is never repeated blindly. Failures are followed by pauses that
/// double, and by longer ones where the other side asks for them. Who changes the size from
/// outside is noticed, reported, corrected, and after some times left alone.
///
/// Step it yourself, or [`spawn`](Self::spawn) it.
#[derive(Debug)]
pub struct Reconciler<A> {
    actuator: A,
    group: String,
    config: ReconcilerConfig,
    core: Core,
    status: Status,
    telemetry: Telemetry,
}

impl<A: Actuator> Reconciler<A> {
    /// A reconciler of the scaling group `group` that wants nothing yet.
    ///
    /// # Errors
    /// The configuration does not validate.
    pub fn new(group: &str, actuator: A, config: ReconcilerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            telemetry: Telemetry::new(group, actuator.name()),
            actuator,
            group: group.to_owned(),
            core: Core::new(config.clone()),
            config,
            status: Status::default(),
        })
    }

    /// Wants `target` instances from now on. The same wish again changes nothing.
    pub fn want(&mut self, target: u32, reason: impl Into<Arc<str>>) {
        if self.core.want(target, Instant::now()) {
            self.status.target = Some(target);
            self.status.reason = reason.into();
            self.telemetry.wanted(target);
        }
    }

    /// [`want`](Self::want) of a decision's target, with its explanation as the reason:
    /// `reconciler.decided(&engine.tick(&signals, now))`.
    pub fn decided(&mut self, decision: &Decision) {
        if self.status.target != Some(decision.target) {
            self.want(decision.target, decision.explain());
        }
    }

    /// Looks at the world, and writes if it differs from the wish. While it waits after a failure,
    /// it does nothing and returns at once.
    ///
    /// Takes at most two timeouts. Cancel safe: a step that is dropped while writing is followed
    /// by one that looks first.
    pub async fn step(&mut self) -> &Status {
        if self.core.rests_until(Instant::now()).is_none() {
            let before = self.core.standing;
            let result = self.look_and_write().await;
            self.note(before, result);
        }
        &self.status
    }

    /// Ends [`Standing::ObserveOnly`], and any pause.
    pub fn resume(&mut self) {
        self.core.resume();
    }

    /// Where things stand, as of the last step.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The actuator.
    #[must_use]
    pub fn actuator(&self) -> &A {
        &self.actuator
    }

    async fn look_and_write(&mut self) -> Result<(), ActuateError> {
        let after = self.config.timeout;
        let late = |phase| move |_| ActuateError::Timeout { phase, after };
        let observed = timeout(after, self.actuator.observe()).await;
        let observed = observed.map_err(late(Phase::Observe)).flatten()?;
        let now = Instant::now();
        let next = self.core.seen(&observed, self.actuator.is_writer(), now);
        self.telemetry.seen(&observed);
        if observed.warning != self.status.observed.as_ref().and_then(|last| last.warning.clone())
            && let Some(warning) = &observed.warning
        {
            tracing::warn!(group = self.group, %warning, "scaling is hindered");
        }
        self.status.observed = Some(observed);
        self.status.observed_at = Some(now);
        if let Some((written, seen)) = next.foreign {
            self.status.external_writes += 1;
            self.telemetry.foreign();
            let group = &self.group;
            tracing::warn!(group, written, seen, "external_write: somebody else changed the size");
        }
        let Some(target) = next.write else { return Ok(()) };
        self.core.writing();
        let reason = Arc::clone(&self.status.reason);
        let outcome = timeout(after, self.actuator.apply(target, &reason)).await;
        let outcome = outcome.map_err(late(Phase::Apply)).flatten()?;
        self.core.wrote(target, outcome, Instant::now());
        self.wrote(target, outcome, &reason);
        Ok(())
    }

    fn wrote(&mut self, target: u32, outcome: Outcome, reason: &str) {
        self.telemetry.outcome(outcome.name());
        self.status.outcome = Some(outcome);
        let group = &self.group;
        tracing::info!(group, target, outcome = outcome.name(), reason, "size written");
    }

    fn note(&mut self, before: Standing, result: Result<(), ActuateError>) {
        let failed = match result {
            Ok(()) => None,
            Err(error) => {
                self.core.failed(&error, Instant::now());
                self.telemetry.outcome(error.name());
                Some(Arc::new(error))
            }
        };
        let standing = self.core.standing;
        self.status.standing = standing;
        self.status.failures = self.core.failures();
        self.status.error = failed;
        self.telemetry.following(!standing.is_degraded());
        if standing == before {
            return;
        }
        let (group, target) = (&self.group, self.status.target);
        if standing.is_degraded() {
            let error = self.status.error.as_deref().map(tracing::field::display);
            tracing::warn!(group, target, error, %standing, "the world does not follow");
        } else if before.is_degraded() {
            tracing::info!(group, target, %standing, "the world follows again");
        }
    }

    /// When to step again.
    fn due(&self, now: Instant) -> Instant {
        self.core.rests_until(now).unwrap_or(now + self.config.interval)
    }
}

#[cfg(test)]
mod tests;
