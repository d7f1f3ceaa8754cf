use std::sync::Arc;

use super::Elector;
use crate::actuate::{ActuateError, Actuator, Boxed, Observed, Outcome, Phase};

/// An actuator that writes only while its engine leads; the others see [`Outcome::NotLeading`].
/// Before each write the store of the lease is asked once more.
#[derive(Debug)]
pub struct Led<A> {
    actuator: A,
    elector: Arc<Elector>,
}

impl<A: Actuator> Led<A> {
    /// Lets `elector` decide about the writes of `actuator`.
    #[must_use]
    pub fn new(actuator: A, elector: Arc<Elector>) -> Self {
        Self { actuator, elector }
    }
}

impl<A: Actuator> Actuator for Led<A> {
    fn name(&self) -> &'static str {
        self.actuator.name()
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        self.actuator.observe()
    }

    /// Also fails if the store of the lease cannot be asked; then nothing was written.
    fn apply<'a>(
        &'a self,
        target: u32,
        reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(async move {
            let Some(term) = self.elector.leads() else { return Ok(Outcome::NotLeading) };
            let confirmed = self.elector.confirm(term).await.map_err(|error| {
                ActuateError::Unreachable { phase: Phase::Apply, source: Box::new(error) }
            })?;
            if !confirmed {
                return Ok(Outcome::NotLeading);
            }
            self.actuator.apply(target, reason).await
        })
    }

    fn is_writer(&self) -> bool {
        self.elector.leads().is_some() && self.actuator.is_writer()
    }
}
