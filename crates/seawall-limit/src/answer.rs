//! What a client is told: header fields and problem documents.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11 (the `RateLimit` fields and
//! the problem type), RFC 9457 (problem documents), RFC 9651 (field syntax),
//! RFC 6585 (429).

mod problem;

use std::io::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

pub(crate) use problem::Problem;

use crate::body::LimitBody;
use crate::decide::Outcome;
use crate::decision::Decision;
use crate::policy::Policy;

/// A policy's fixed text, made once.
pub(crate) struct Text {
    /// `"bids";q=50;w=60`
    item: String,
    /// `"bids";r=`
    state: String,
    /// The answer when this policy alone rejects.
    alone: Problem,
}

impl Text {
    pub(crate) fn new(policy: &Policy) -> Self {
        let (name, quota) = (policy.name(), policy.quota());
        let mut item = format!("\"{name}\";q={}", quota.limit());
        // w is a whole number of seconds; a period that is not goes unsaid.
        if quota.period().subsec_nanos() == 0 {
            item.push_str(&format!(";w={}", quota.period().as_secs().min(MAX_INTEGER)));
        }
        Self {
            item,
            state: format!("\"{name}\";r="),
            alone: Problem::quota_exceeded(policy.text(), [name]),
        }
    }
}

/// The `RateLimit-Policy` field of a set: the same bytes in every response.
pub(crate) fn policy_field<'a>(texts: impl Iterator<Item = &'a Text>) -> Option<HeaderValue> {
    let items: Vec<&str> = texts.map(|text| text.item.as_str()).collect();
    HeaderValue::from_maybe_shared(Bytes::from(items.join(", "))).ok()
}

/// The two `RateLimit` fields of one decision.
pub(crate) struct Fields {
    policies: Option<HeaderValue>,
    state: Option<HeaderValue>,
}

impl Fields {
    pub(crate) fn of(decision: &Decision<'_>) -> Self {
        Self { policies: decision.set().header().cloned(), state: state_field(decision) }
    }

    /// Adds the fields. Both are lists, which several lines make up together,
    /// so a layer inside or outside of this one keeps its own.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if let Some(value) = self.policies {
            headers.append(RATELIMIT_POLICY, value);
        }
        if let Some(value) = self.state {
            headers.append(RATELIMIT, value);
        }
    }
}

/// The answer to a rejected request.
pub(crate) fn rejection<B>(decision: &Decision<'_>, method: &Method) -> Response<LimitBody<B>> {
    let set = decision.set();
    let ruling = decision.ruling();
    let built;
    let problem = if ruling.violated.is_power_of_two() {
        &set.limiter().text(ruling.policy).alone
    } else {
        built = Problem::quota_exceeded(decision.message(), decision.violated());
        &built
    };
    let mut response = problem.response(StatusCode::TOO_MANY_REQUESTS, method);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if ruling.outcome == Outcome::Rejected {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(ruling.wait)));
    }
    Fields::of(decision).write(headers);
    response
}

/// `"bids";r=12;t=15`: r units, to be spent over t seconds.
///
/// If rejected, t is the wait. If not, it is the time in which the quota gives
/// out r units at its sustained rate (or the next one, if r is 0): a client
/// that spreads r over t is never rejected, and one that spends r at once is
/// not either. r is held at q, though the burst may be above it.
fn state_field(decision: &Decision<'_>) -> Option<HeaderValue> {
    let ruling = decision.ruling();
    let policy = decision.set().policy(ruling.policy);
    let r = ruling.remaining.min(policy.quota().limit());
    let t = match ruling.outcome {
        Outcome::Allowed if r > 0 => u64::from(r).saturating_mul(policy.quota().gcra().emission),
        Outcome::Allowed | Outcome::Rejected => ruling.next,
        Outcome::TooLarge => ruling.reset,
    };
    let state = &decision.set().limiter().text(ruling.policy).state;
    // 67 bytes of name and quotes, `;r=`, 10 digits, `;t=`, 11 digits.
    let mut line = [0; 128];
    let mut rest = &mut line[..];
    write!(rest, "{state}{r};t={}", seconds(t)).ok()?;
    let unused = rest.len();
    HeaderValue::from_bytes(&line[..line.len() - unused]).ok()
}

/// Whole seconds, rounded up, so that nobody is sent back too early; at least 1.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000).max(1)
}

/// `RateLimit-Policy`: the quotas that apply.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: how the tightest of them stands.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The greatest Integer of RFC 9651.
const MAX_INTEGER: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests;
