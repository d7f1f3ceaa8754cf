//! The answer to a gRPC call: RESOURCE_EXHAUSTED or UNAVAILABLE, and when to come back.
//!
//! A response of trailers only (gRPC over HTTP/2): status 200, everything in the
//! head. `grpc-status-details-bin` is a `google.rpc.Status` with `RetryInfo` and
//! `QuotaFailure`, `grpc-retry-pushback-ms` what gRPC's own retries obey.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};

use crate::body::LimitBody;
use crate::decision::Decision;

pub(crate) fn rejection<B>(decision: &Decision<'_>) -> Response<LimitBody<B>> {
    let details = details(decision);
    answer(RESOURCE_EXHAUSTED, decision.message(), &details, pushback(decision))
}

/// UNAVAILABLE: the client did nothing wrong, and may come back after `wait`.
pub(crate) fn unavailable<B>(message: &str, wait: Duration) -> Response<LimitBody<B>> {
    let mut status = status(UNAVAILABLE, message);
    retry_info(&mut status, wait);
    answer(UNAVAILABLE, message, &status, millis(wait))
}

fn answer<B>(code: u64, message: &str, details: &[u8], pushback: String) -> Response<LimitBody<B>> {
    let mut response = Response::new(LimitBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from(code));
    let encoded = STANDARD_NO_PAD.encode(details);
    let fields = [(MESSAGE, percent(message)), (DETAILS, encoded), (PUSHBACK, pushback)];
    for (name, text) in fields {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    response
}

/// The `google.rpc.Status` of a rejection, in Protocol Buffers.
pub(crate) fn details(decision: &Decision<'_>) -> Vec<u8> {
    let mut status = status(RESOURCE_EXHAUSTED, decision.message());
    if let Some(wait) = decision.retry_after() {
        retry_info(&mut status, wait);
    }
    let mut failure = Vec::new();
    for policy in decision.violated() {
        let mut violation = Vec::new();
        bytes(&mut violation, 1, policy.as_bytes());
        bytes(&mut violation, 2, b"Quota exceeded");
        bytes(&mut failure, 1, &violation);
    }
    any(&mut status, "type.googleapis.com/google.rpc.QuotaFailure", &failure);
    status
}

/// Milliseconds, rounded up; negative forbids the retry.
pub(crate) fn pushback(decision: &Decision<'_>) -> String {
    decision.retry_after().map_or_else(|| "-1".into(), millis)
}

fn millis(wait: Duration) -> String {
    wait.as_nanos().div_ceil(1_000_000).max(1).to_string()
}

fn status(code: u64, message: &str) -> Vec<u8> {
    let mut status = Vec::new();
    number(&mut status, 1, code);
    bytes(&mut status, 2, message.as_bytes());
    status
}

fn retry_info(status: &mut Vec<u8>, wait: Duration) {
    let mut duration = Vec::new();
    number(&mut duration, 1, wait.as_secs());
    number(&mut duration, 2, wait.subsec_nanos().into());
    let mut info = Vec::new();
    bytes(&mut info, 1, &duration);
    any(status, "type.googleapis.com/google.rpc.RetryInfo", &info);
}

fn any(status: &mut Vec<u8>, url: &str, value: &[u8]) {
    let mut any = Vec::new();
    bytes(&mut any, 1, url.as_bytes());
    bytes(&mut any, 2, value);
    bytes(status, 3, &any);
}

/// A varint; 0 is the default and goes unsaid.
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value > 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// As `grpc-message` wants it: printable ASCII but `%` as it is, the rest escaped.
fn percent(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

const RESOURCE_EXHAUSTED: u64 = 8;
const UNAVAILABLE: u64 = 14;
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests;
