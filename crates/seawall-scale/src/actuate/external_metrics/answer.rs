//! What the API server hears.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::Key;

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) const GROUP: &str = "external.metrics.k8s.io";
pub(super) const VERSION: &str = "external.metrics.k8s.io/v1beta1";

/// Which metrics there are; also what tells the API server that this service is alive.
pub(super) fn resources<'a>(metrics: impl Iterator<Item = &'a str>) -> Answer {
    let resources: Vec<_> = metrics
        .map(|name| {
            json!({
                "name": name, "singularName": "", "namespaced": true,
                "kind": "ExternalMetricValueList", "verbs": ["get"],
            })
        })
        .collect();
    ok(&json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": VERSION, "resources": resources,
    }))
}

pub(super) fn group() -> Answer {
    let version = json!({ "groupVersion": VERSION, "version": "v1beta1" });
    ok(&json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": GROUP,
        "versions": [version.clone()], "preferredVersion": version,
    }))
}

pub(super) fn values<'a>(found: impl Iterator<Item = (&'a Key, f64, Duration)>) -> Answer {
    let items: Vec<_> = found
        .map(|(key, value, age)| {
            json!({
                "metricName": key.metric, "metricLabels": key.labels,
                "timestamp": timestamp(age), "value": quantity(value),
            })
        })
        .collect();
    ok(&json!({
        "kind": "ExternalMetricValueList", "apiVersion": VERSION, "metadata": {}, "items": items,
    }))
}

pub(super) fn refusal(code: StatusCode, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    answer(code, &body)
}

fn ok(body: &Value) -> Answer {
    answer(StatusCode::OK, body)
}

fn answer(code: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// In thousandths, rounded up: less would ask for less.
fn quantity(value: f64) -> String {
    let thousandths = (value * 1000.0).ceil();
    if thousandths % 1000.0 == 0.0 {
        format!("{:.0}", thousandths / 1000.0)
    } else {
        format!("{thousandths:.0}m")
    }
}

#[expect(clippy::disallowed_methods, reason = "the format asks for the time of day")]
fn timestamp(age: Duration) -> String {
    let now = SystemTime::now();
    let at = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}
