//! The fields that tell how a quota stands, in each of their forms.

use std::io::Write as _;

use bytes::Bytes;
use http::header::ACCESS_CONTROL_EXPOSE_HEADERS;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Answers, RateLimitFields, Text, seconds};
use crate::decide::Outcome;
use crate::decision::Decision;
use crate::wall;

/// The `RateLimit-Policy` field of a set in its two forms: the same bytes in
/// every response, made once.
#[derive(Default)]
pub(crate) struct PolicyFields {
    list: Option<HeaderValue>,
    plain: Option<HeaderValue>,
}

pub(crate) fn policy_fields<'a>(texts: impl Iterator<Item = &'a Text> + Clone) -> PolicyFields {
    let join =
        |items: Vec<&str>| HeaderValue::from_maybe_shared(Bytes::from(items.join(", "))).ok();
    PolicyFields {
        list: join(texts.clone().map(|text| text.item.as_str()).collect()),
        plain: join(texts.map(|text| text.plain.as_str()).collect()),
    }
}

/// The fields of one decision.
pub(crate) struct Fields {
    policies: Option<HeaderValue>,
    state: State,
    answers: Answers,
}

enum State {
    /// One field, as text.
    One(Option<HeaderValue>),
    /// Three fields, as numbers.
    Three {
        limit: u32,
        remaining: u32,
        reset: u64,
    },
    None,
}

impl Fields {
    pub(crate) fn of(decision: &Decision<'_>, answers: Answers) -> Self {
        let PolicyFields { list, plain } = decision.set().header();
        let (policies, state) = match answers.fields {
            RateLimitFields::Draft11 => (list, State::One(list_state(decision))),
            RateLimitFields::Draft07 => (plain, State::One(dictionary_state(decision))),
            RateLimitFields::Draft06 => (plain, three(decision)),
            RateLimitFields::Draft03
            | RateLimitFields::XRateLimit
            | RateLimitFields::XRateLimitEpoch => (&None, three(decision)),
            RateLimitFields::None => (&None, State::None),
        };
        Self { policies: policies.clone(), state, answers }
    }

    /// Adds the fields. Lists are added to: several lines make up one, so a
    /// layer inside or outside of this one keeps its own. Of the others, which
    /// can only stand once, those of the layer inside stay.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { policies, state, answers } = self;
        if let Some(value) = policies {
            headers.append(RATELIMIT_POLICY, value);
        }
        match state {
            State::One(Some(value)) if answers.fields == RateLimitFields::Draft11 => {
                headers.append(RATELIMIT, value);
            }
            State::One(Some(value)) => {
                headers.entry(RATELIMIT).or_insert(value);
            }
            State::Three { limit, remaining, reset } => {
                let names = match answers.fields {
                    RateLimitFields::XRateLimit | RateLimitFields::XRateLimitEpoch => &X_NAMES,
                    _ => &NAMES,
                };
                if !headers.contains_key(&names[0]) {
                    let reset = match answers.fields {
                        RateLimitFields::XRateLimitEpoch => epoch(reset),
                        _ => reset,
                    };
                    let values = [limit.into(), remaining.into(), reset];
                    for (name, value) in names.iter().zip(values) {
                        headers.insert(name.clone(), HeaderValue::from(value));
                    }
                }
            }
            State::One(None) | State::None => {}
        }
        if answers.expose {
            let names = HeaderValue::from_static(exposed(answers.fields));
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}

/// `"bids";r=12;t=15`: r units, to be spent over t seconds.
///
/// If rejected, t is the wait. If not, it is the time in which the quota gives
/// out r units at its sustained rate (or the next one, if r is 0): a client
/// that spreads r over t is never rejected, and one that spends r at once is
/// not either. r is held at q, though the burst may be above it.
fn list_state(decision: &Decision<'_>) -> Option<HeaderValue> {
    let ruling = decision.ruling();
    let quota = decision.set().policy(ruling.policy).quota();
    let r = ruling.remaining.min(quota.limit());
    let t = match ruling.outcome {
        Outcome::Allowed if r > 0 => u64::from(r).saturating_mul(quota.gcra().emission),
        Outcome::Allowed | Outcome::Rejected => ruling.next,
        Outcome::TooLarge => ruling.reset,
    };
    let Text { state, lines, .. } = decision.set().limiter().text(ruling.policy);
    let t = seconds(t);
    let make = || line(format_args!("{state}{r};t={t}"));
    // Otherwise t is as good as arbitrary.
    if ruling.outcome == Outcome::Allowed && r > 0 { lines.get(r, t, make) } else { make() }
}

/// `limit=50, remaining=12, reset=15`.
fn dictionary_state(decision: &Decision<'_>) -> Option<HeaderValue> {
    let text = &decision.set().limiter().text(decision.ruling().policy).dictionary;
    line(format_args!("{text}{}, reset={}", remaining(decision), reset(decision)))
}

fn three(decision: &Decision<'_>) -> State {
    let (limit, remaining) = (decision.limit(), remaining(decision));
    State::Three { limit, remaining, reset: reset(decision) }
}

fn remaining(decision: &Decision<'_>) -> u32 {
    decision.ruling().remaining.min(decision.limit())
}

/// Seconds until the quota is whole again; if rejected, until it has something
/// again: `Retry-After` must not be earlier.
fn reset(decision: &Decision<'_>) -> u64 {
    let ruling = decision.ruling();
    seconds(if ruling.outcome == Outcome::Rejected { ruling.next } else { ruling.reset })
}

fn line(text: std::fmt::Arguments<'_>) -> Option<HeaderValue> {
    // 67 bytes of name and quotes, `;r=`, 10 digits, `;t=`, 11 digits.
    let mut line = [0; 128];
    let mut rest = &mut line[..];
    rest.write_fmt(text).ok()?;
    let unused = rest.len();
    HeaderValue::from_bytes(&line[..line.len() - unused]).ok()
}

fn epoch(after: u64) -> u64 {
    // Rounded up like the time from now.
    wall::seconds().saturating_add(after).saturating_add(1)
}

const fn exposed(fields: RateLimitFields) -> &'static str {
    match fields {
        RateLimitFields::Draft11 | RateLimitFields::Draft07 => {
            "ratelimit, ratelimit-policy, retry-after"
        }
        RateLimitFields::Draft06 => {
            "ratelimit-limit, ratelimit-remaining, ratelimit-reset, ratelimit-policy, retry-after"
        }
        RateLimitFields::Draft03 => {
            "ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after"
        }
        RateLimitFields::XRateLimit | RateLimitFields::XRateLimitEpoch => {
            "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, retry-after"
        }
        RateLimitFields::None => "retry-after",
    }
}

/// `RateLimit-Policy`: the quotas that apply.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: how the tightest of them stands.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const NAMES: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];
const X_NAMES: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
