//! The cluster-wide part of a decision.

use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use super::count::Count;
use super::gate::{Admitted, Judged, Verdict};
use super::open::{Held, Open};
use super::rule::Sets;
use crate::answer::{self, Fields, Manner, Problem};
use crate::body::LimitBody;
use crate::cluster::{Admission, ClusterDecision, ClusterSet, Source, Started};
use crate::key::Key;
use crate::penalty::Violation;

/// Decides, at once if that takes no Redis. `admitted` has what the policies before said.
pub(crate) fn judge<B>(
    sets: &Sets,
    key: Key<'_>,
    now: Instant,
    manner: Manner,
    admitted: &mut Admitted,
) -> Judged<B> {
    let begun = sets.cluster.as_ref().map(|set| (set, set.begin(key, 1, now)));
    let mut source = Source::Unenforced;
    let question = match begun {
        Some((set, Started::Done(said))) => {
            source = said.source;
            if let Err(response) = verdict(&set.decision(said), &manner, admitted) {
                return Judged::Reject(response);
            }
            if sets.cluster_settled.is_empty() {
                return Judged::Admit;
            }
            None
        }
        Some((set, Started::Ask(question))) => Some((set.clone(), question)),
        None => None,
    };
    let admissions = sets.cluster_settled.iter();
    let admissions: Vec<_> = admissions
        .map(|(set, count)| (set.clone(), set.admission(key, now), count.clone()))
        .collect();
    let charged = sets.cluster.as_ref().filter(|_| !admissions.is_empty());
    let charged = charged.map(|set| set.charged(key));
    let mut admitted = std::mem::take(admitted);
    Judged::Later(Box::pin(async move {
        if let Some((set, question)) = question {
            let said = set.finish(question).await;
            source = said.source;
            if let Err(response) = verdict(&set.decision(said), &manner, &mut admitted) {
                return Verdict::Reject(response);
            }
        }
        match admit(admissions, &manner, &mut admitted).await {
            Ok(()) => Verdict::Admit(admitted),
            Err(response) => {
                admitted.dismiss();
                // All or none: what was charged a moment ago is given back.
                if let Some(charged) = charged {
                    charged.refund(1, source);
                }
                Verdict::Reject(response)
            }
        }
    }))
}

/// Lets in what responses tell the cost of.
async fn admit<B>(
    admissions: Vec<(ClusterSet, Admission, Count)>,
    manner: &Manner,
    admitted: &mut Admitted,
) -> Result<(), Box<Response<LimitBody<B>>>> {
    for (set, admission, count) in admissions {
        match admission.run().await {
            Ok(reservation) => {
                let open = admitted.open.get_or_insert_with(|| Box::new(Open::new(manner.answers)));
                open.hold(Held::Cluster(reservation), &count);
            }
            Err(said) => return Err(rejection(&set.decision(said), manner)),
        }
    }
    Ok(())
}

/// Adds the fields, or gives the answer.
fn verdict<B>(
    decision: &ClusterDecision<'_>,
    manner: &Manner,
    admitted: &mut Admitted,
) -> Result<(), Box<Response<LimitBody<B>>>> {
    if decision.is_allowed() {
        if decision.is_enforced() {
            admitted.fields[1] = Some(Fields::of(decision, manner.answers));
        }
        return Ok(());
    }
    admitted.dismiss();
    Err(rejection(decision, manner))
}

fn rejection<B>(decision: &ClusterDecision<'_>, manner: &Manner) -> Box<Response<LimitBody<B>>> {
    Box::new(match decision.source() {
        Source::Closed => unavailable(decision, manner),
        Source::Blocked => {
            let mut response = answer::rejection(decision, manner);
            // An operator's order is obeyed, and no quota was violated.
            response.extensions_mut().remove::<Violation>();
            response
        }
        _ => answer::rejection(decision, manner),
    })
}

/// 503, or gRPC's UNAVAILABLE: the client did nothing wrong.
fn unavailable<B>(decision: &ClusterDecision<'_>, manner: &Manner) -> Response<LimitBody<B>> {
    let wait = decision.retry_after().unwrap_or(Duration::from_secs(1));
    answer::unavailable(&Problem::reduced_capacity(DETAIL), manner, wait)
}

const DETAIL: &str = "The quota cannot be checked at the moment. Please try again later.";
