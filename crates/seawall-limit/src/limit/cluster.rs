//! The cluster-wide part of a decision.

use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use super::gate::{Judged, Verdict};
use crate::answer::{self, Fields, Manner, Problem};
use crate::body::LimitBody;
use crate::cluster::{Begun, ClusterDecision, ClusterSet, Source};
use crate::key::Key;
use crate::penalty::Violation;

/// Decides, at once if that takes no Redis. `fields` are those of the policies before.
pub(crate) fn judge<B>(
    set: &ClusterSet,
    key: Key<'_>,
    now: Instant,
    manner: Manner,
    fields: [Option<Fields>; 2],
) -> Judged<B> {
    match set.begin(key, 1, now) {
        Begun::Done(ruling, source) => {
            Judged::Now(verdict(&set.decision(ruling, source), &manner, fields))
        }
        Begun::Ask(question) => {
            let set = set.clone();
            Judged::Later(Box::pin(async move {
                let (ruling, source) = set.finish(question).await;
                verdict(&set.decision(ruling, source), &manner, fields)
            }))
        }
    }
}

fn verdict<B>(
    decision: &ClusterDecision<'_>,
    manner: &Manner,
    mut fields: [Option<Fields>; 2],
) -> Verdict<B> {
    if decision.is_allowed() {
        fields[1] = Some(Fields::of(decision, manner.answers));
        return Verdict::Admit(fields);
    }
    Verdict::Reject(Box::new(match decision.source() {
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
