use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::api::Api;
use super::wire::Autoscalers;
use super::workload::Workload;
use crate::actuate::answer::Tried;
use crate::actuate::{ActuateError, Phase, Warning};

/// Who else scales the workload, looked up once a minute.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    known: Mutex<Option<(Instant, Option<Warning>)>>,
}

impl Rivals {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) async fn check(
        &self,
        api: &Api,
        workload: &Workload,
        phase: Phase,
    ) -> Result<Option<Warning>, ActuateError> {
        let known = self.known().clone();
        if let Some((at, warning)) = known
            && at.elapsed() < LOOK_EVERY
        {
            return Ok(warning);
        }
        let tried = Tried { phase, action: "list", object: "horizontalpodautoscalers.autoscaling" };
        let warning = match api.get::<Autoscalers>(&workload.rivals_path(), tried).await {
            Ok(all) => all.items.into_iter().find_map(|it| {
                let target = it.spec.scale_target_ref;
                workload.is(&target.api_version, &target.kind, &target.name).then_some(
                    Warning::OtherAutoscaler {
                        kind: "HorizontalPodAutoscaler",
                        name: it.metadata.name,
                    },
                )
            }),
            // A cluster without that API has none of them.
            Err(ActuateError::NotFound { .. }) => None,
            Err(ActuateError::Forbidden { .. }) => Some(Warning::RivalsUnknown),
            Err(error) => return Err(error),
        };
        *self.known() = Some((Instant::now(), warning.clone()));
        Ok(warning)
    }

    fn known(&self) -> MutexGuard<'_, Option<(Instant, Option<Warning>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
