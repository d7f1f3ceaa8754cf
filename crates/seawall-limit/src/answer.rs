//! What a client is told: header fields and problem documents.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11 (the `RateLimit` fields and
//! the problem type), RFC 9457 (problem documents), RFC 9651 (field syntax),
//! RFC 6585 (429).

mod config;
mod fields;
mod grpc;
mod lines;
mod problem;
#[cfg(feature = "tonic")]
mod status;

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};

pub use config::{Answers, RateLimitFields};
pub(crate) use fields::{Fields, PolicyFields, policy_fields};
use lines::Lines;
pub(crate) use problem::Problem;

use crate::body::LimitBody;
use crate::decide::Outcome;
use crate::decision::Decision;
use crate::penalty::Violation;
use crate::policy::Policy;

/// A policy's fixed text, made once.
pub(crate) struct Text {
    /// `"bids";q=50;w=60`
    item: String,
    /// `50;w=60`, as in drafts 6 and 7.
    plain: String,
    /// `"bids";r=`
    state: String,
    /// The whole of it, for admitted requests.
    lines: Lines,
    /// `limit=50, remaining=`
    dictionary: String,
    /// The answer when this policy alone rejects.
    alone: Problem,
}

impl Text {
    pub(crate) fn new(policy: &Policy) -> Self {
        let (name, quota) = (policy.name(), policy.quota());
        let limit = quota.limit();
        // w is a whole number of seconds; a period that is not goes unsaid.
        let window = match quota.period().subsec_nanos() {
            0 => format!(";w={}", quota.period().as_secs().min(MAX_INTEGER)),
            _ => String::new(),
        };
        Self {
            item: format!("\"{name}\";q={limit}{window}"),
            plain: format!("{limit}{window}"),
            state: format!("\"{name}\";r="),
            lines: Lines::new(limit),
            dictionary: format!("limit={limit}, remaining="),
            alone: Problem::quota_exceeded(policy.text(), [name]),
        }
    }
}

/// How a request is to be answered.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) method: Method,
    pub(crate) answers: Answers,
    grpc: bool,
}

impl Manner {
    pub(crate) fn of<A>(request: &Request<A>, answers: Answers) -> Self {
        Self { method: request.method().clone(), answers, grpc: is_grpc(request) }
    }
}

/// The answer to a rejected request: 429, or to gRPC its own status.
pub(crate) fn rejection<B>(decision: &Decision<'_>, manner: &Manner) -> Response<LimitBody<B>> {
    let mut response =
        if manner.grpc { grpc::rejection(decision) } else { problem(decision, &manner.method) };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let ruling = decision.ruling();
    if ruling.outcome == Outcome::Rejected {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(ruling.wait)));
    }
    Fields::of(decision, manner.answers).write(headers);
    response.extensions_mut().insert(Violation);
    response
}

/// The answer of a service that cannot serve now: 503, or to gRPC its own status, and when to come
/// back.
pub(crate) fn unavailable<B>(
    problem: &Problem,
    manner: &Manner,
    wait: Duration,
) -> Response<LimitBody<B>> {
    let mut response = if manner.grpc {
        grpc::unavailable(problem.detail(), wait)
    } else {
        problem.response(StatusCode::SERVICE_UNAVAILABLE, &manner.method)
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds(nanos)));
    response
}

/// The answer to a client that is blocked: 429, or to gRPC its own status, and when to come back.
pub(crate) fn blocked<B>(
    problem: &Problem,
    manner: &Manner,
    wait: Duration,
) -> Response<LimitBody<B>> {
    let mut response = unavailable(problem, manner, wait);
    if !manner.grpc {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    response
}

fn problem<B>(decision: &Decision<'_>, method: &Method) -> Response<LimitBody<B>> {
    let ruling = decision.ruling();
    let built;
    let problem = if ruling.violated.is_power_of_two() {
        &decision.set().limiter().text(ruling.policy).alone
    } else {
        built = Problem::quota_exceeded(decision.message(), decision.violated());
        &built
    };
    problem.response(StatusCode::TOO_MANY_REQUESTS, method)
}

fn is_grpc<A>(request: &Request<A>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    // `application/grpc` and `application/grpc+proto`, not `application/grpc-web`.
    kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

/// Whole seconds, rounded up, so that nobody is sent back too early; at least 1.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000).max(1)
}

/// The greatest Integer of RFC 9651.
const MAX_INTEGER: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests;
