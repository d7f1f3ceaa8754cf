//! The cluster-wide part of a decision.

use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use super::gate::{Judged, Told, Verdict};
use crate::answer::{self, Fields, Manner, Problem};
use crate::body::LimitBody;
use crate::cluster::{Begun, ClusterDecision, ClusterSet, Source};
use crate::key::Key;
use crate::penalty::Violation;

/// Decides, at once if that takes no Redis. `told` has the fields of the policies before.
pub(crate) fn judge<B>(
    set: &ClusterSet,
    key: Key<'_>,
    now: Instant,
    manner: Manner,
    told: &mut Told,
) -> Judged<B> {
    match set.begin(key, 1, now) {
        Begun::Done(ruling, source) => {
            match verdict(&set.decision(ruling, source), &manner, told) {
                Ok(()) => Judged::Admit,
                Err(response) => Judged::Reject(response),
            }
        }
        Begun::Ask(question) => {
            let (set, mut told) = (set.clone(), std::mem::take(told));
            Judged::Later(Box::pin(async move {
                let (ruling, source) = set.finish(question).await;
                match verdict(&set.decision(ruling, source), &manner, &mut told) {
                    Ok(()) => Verdict::Admit(told),
                    Err(response) => Verdict::Reject(response),
                }
            }))
        }
    }
}

/// Adds the fields, or gives the answer.
fn verdict<B>(
    decision: &ClusterDecision<'_>,
    manner: &Manner,
    told: &mut Told,
) -> Result<(), Box<Response<LimitBody<B>>>> {
    if decision.is_allowed() {
        told[1] = Some(Fields::of(decision, manner.answers));
        return Ok(());
    }
    Err(Box::new(match decision.source() {
        Source::Closed => unavailable(decision, manner),
        Source::Blocked => {
            let mut response = answer::rejection(decision, manner);
            // An operator's order is obeyed, and no quota was violated.
            response.extensions_mut().remove::<Violation>();
            response
        }
        _ => answer::rejection(decision, manner),
    }))
}

/// 503, or gRPC's UNAVAILABLE: the client did nothing wrong.
fn unavailable<B>(decision: &ClusterDecision<'_>, manner: &Manner) -> Response<LimitBody<B>> {
    let wait = decision.retry_after().unwrap_or(Duration::from_secs(1));
    answer::unavailable(&Problem::reduced_capacity(DETAIL), manner, wait)
}

const DETAIL: &str = "The quota cannot be checked at the moment. Please try again later.";
