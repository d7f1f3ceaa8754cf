//! What the layer asks of a request, and what a rejected one is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};

use super::acquire::Acquire;
use super::engine::Outcome;
use super::handle::Overload;
use super::priority::{Deadline, Priority, QuotaUsed};
use crate::answer::{self, Manner, Problem};
use crate::body::LimitBody;
use crate::limit::Head;

pub(crate) type Classify = dyn Fn(&Head<'_>) -> Priority + Send + Sync;

/// Everything that services of one layer share.
pub(crate) struct Desk {
    pub(crate) overload: Overload,
    pub(crate) classify: Option<Arc<Classify>>,
    /// Paths that pass, with all below them.
    pub(crate) bypass: Vec<Box<str>>,
    pub(crate) problem: Problem,
    turn: AtomicU32,
}

impl Desk {
    pub(crate) fn new(overload: Overload) -> Self {
        Self {
            overload,
            classify: None,
            bypass: HEALTH.map(Into::into).into(),
            problem: Problem::reduced_capacity(DETAIL),
            turn: AtomicU32::new(0),
        }
    }

    /// The same with a turn of its own.
    pub(crate) fn copy(&self) -> Self {
        Self {
            overload: self.overload.clone(),
            classify: self.classify.clone(),
            bypass: self.bypass.clone(),
            problem: self.problem.clone(),
            turn: AtomicU32::new(0),
        }
    }

    /// Asks for a permit; `None` if the request needs none.
    pub(crate) fn ask<B>(&self, request: &Request<B>) -> Option<Acquire> {
        let path = request.uri().path();
        if self.bypass.iter().any(|prefix| is_below(path, prefix)) {
            return None;
        }
        let extensions = request.extensions();
        let mut priority = match &self.classify {
            Some(classify) => classify(&Head {
                method: request.method(),
                uri: request.uri(),
                headers: request.headers(),
                extensions,
            }),
            None => extensions.get::<Priority>().copied().unwrap_or_default(),
        };
        if let Some(QuotaUsed(used)) = extensions.get() {
            priority = priority.quota_used(*used);
        }
        let deadline = extensions.get::<Deadline>().map(|deadline| deadline.0);
        Some(self.overload.acquire_until(priority, deadline))
    }

    /// 503, or gRPC's UNAVAILABLE, and when to come back: not all at once.
    pub(crate) fn rejection<B>(&self, manner: &Manner) -> Response<LimitBody<B>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9) >> 16;
        let wait = u64::from(turn) % RETRY + 1;
        answer::unavailable(&self.problem, manner, Duration::from_secs(wait))
    }
}

/// What a response says of the service's load.
pub(crate) fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Outcome::Overloaded,
        // A quota further in: answered without any work, so that it says nothing of the service.
        StatusCode::TOO_MANY_REQUESTS => Outcome::Failure,
        status if status.is_server_error() => Outcome::Failure,
        _ => Outcome::Success,
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The paths by which orchestrators ask for health.
const HEALTH: [&str; 4] = ["/health", "/healthz", "/livez", "/readyz"];
/// Each rejected request is told so many seconds at most.
const RETRY: u64 = 5;
const DETAIL: &str = "The service is at capacity. Please try again later.";
