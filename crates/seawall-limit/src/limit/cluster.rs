//! The cluster-wide part of a decision.

use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use tokio::time::Instant;

use super::gate::{Judged, Verdict};
use crate::answer::{self, Fields, Problem};
use crate::body::LimitBody;
use crate::cluster::{Begun, ClusterDecision, ClusterSet, Source};
use crate::key::Key;

/// Decides, at once if that takes no Redis. `fields` are those of the policies before.
pub(crate) fn judge<B>(
    set: &ClusterSet,
    key: Key<'_>,
    now: Instant,
    method: &Method,
    fields: [Option<Fields>; 2],
) -> Judged<B> {
    match set.begin(key, 1, now) {
        Begun::Done(ruling, source) => {
            Judged::Now(verdict(&set.decision(ruling, source), method, fields))
        }
        Begun::Ask(question) => {
            let (set, method) = (set.clone(), method.clone());
            Judged::Later(Box::pin(async move {
                let (ruling, source) = set.finish(question).await;
                verdict(&set.decision(ruling, source), &method, fields)
            }))
        }
    }
}

fn verdict<B>(
    decision: &ClusterDecision<'_>,
    method: &Method,
    mut fields: [Option<Fields>; 2],
) -> Verdict<B> {
    if decision.is_allowed() {
        fields[1] = Some(Fields::of(decision));
        return Verdict::Admit(fields);
    }
    Verdict::Reject(match decision.source() {
        Source::Closed => unavailable(decision, method),
        _ => answer::rejection(decision, method),
    })
}

/// 503: the client did nothing wrong.
fn unavailable<B>(decision: &ClusterDecision<'_>, method: &Method) -> Response<LimitBody<B>> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = Problem::reduced_capacity(DETAIL).response(status, method);
    let wait = decision.retry_after().map_or(1, |wait| wait.as_secs().max(1));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    response
}

const DETAIL: &str = "The quota cannot be checked at the moment. Please try again later.";
