//! Problem documents (RFC 9457), serialised once.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::body::LimitBody;

/// A serialised problem document; a clone shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    json: Bytes,
    /// What it says to people, for answers in other forms; empty where there are none.
    detail: Bytes,
}

impl Problem {
    /// 429 by the draft's problem type.
    pub(crate) fn quota_exceeded<'a>(
        detail: &str,
        violated: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut json =
            open(QUOTA_EXCEEDED, "Quota exceeded", StatusCode::TOO_MANY_REQUESTS, detail);
        json.push_str(",\"violated-policies\":[");
        for (index, name) in violated.into_iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            push_string(&mut json, name);
        }
        json.push_str("]}");
        Self { json: json.into(), detail: Bytes::new() }
    }

    /// 503 by the draft's problem type.
    pub(crate) fn reduced_capacity(detail: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut json = open(REDUCED_CAPACITY, "Temporary reduced capacity", status, detail);
        json.push_str(",\"violated-policies\":[]}");
        Self { json: json.into(), detail: Bytes::copy_from_slice(detail.as_bytes()) }
    }

    /// 429 by the draft's problem type, with a puzzle to solve.
    pub(crate) fn challenge(puzzle: &str, bits: u8, seconds: u64, field: &HeaderName) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let detail = "Solve the challenge and send the solution with the same request.";
        let mut json = open(ABNORMAL_USAGE, "Abnormal usage detected", status, detail);
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            ",\"violated-policies\":[\"challenge\"],\"challenge\":{{\"puzzle\":\"{puzzle}\",\
             \"algorithm\":\"sha-256-zero-bits\",\"difficulty\":{bits},\"expires-in\":{seconds},\
             \"solution-field\":\"{field}\"}}}}"
        );
        Self { json: json.into(), detail: Bytes::new() }
    }

    /// 429 by the draft's problem type, for a client that is blocked.
    pub(crate) fn blocked(detail: &str) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut json = open(ABNORMAL_USAGE, "Abnormal usage detected", status, detail);
        json.push_str(",\"violated-policies\":[\"penalty\"]}");
        Self { json: json.into(), detail: Bytes::copy_from_slice(detail.as_bytes()) }
    }

    /// A status without a problem type of its own.
    pub(crate) fn plain(status: StatusCode, detail: &str) -> Self {
        let mut json =
            open("about:blank", status.canonical_reason().unwrap_or_default(), status, detail);
        json.push('}');
        Self { json: json.into(), detail: Bytes::new() }
    }

    pub(crate) fn detail(&self) -> &str {
        std::str::from_utf8(&self.detail).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The answer. HEAD gets the same fields and no content.
    pub(crate) fn response<B>(
        &self,
        status: StatusCode,
        method: &Method,
    ) -> Response<LimitBody<B>> {
        let head = *method == Method::HEAD;
        let body = if head { LimitBody::empty() } else { LimitBody::full(self.json.clone()) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if head {
            // What GET would have: the server cannot tell from an empty body.
            let length = HeaderValue::from(self.json.len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
        response
    }
}

fn open(kind: &str, title: &str, status: StatusCode, detail: &str) -> String {
    let mut json = String::from("{\"type\":");
    push_string(&mut json, kind);
    json.push_str(",\"title\":");
    push_string(&mut json, title);
    json.push_str(",\"status\":");
    json.push_str(status.as_str());
    json.push_str(",\"detail\":");
    push_string(&mut json, detail);
    json
}

/// A JSON string (RFC 8259, section 7).
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => json.extend(['\\', char]),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            plain => json.push(plain),
        }
    }
    json.push('"');
}

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const ABNORMAL_USAGE: &str =
    "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
