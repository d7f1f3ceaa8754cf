use std::collections::BTreeMap;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::advance;
use tower_service::Service;

use super::selector::Selector;
use super::*;

const BASE: &str = "/apis/external.metrics.k8s.io/v1beta1";

fn metrics() -> ExternalMetrics {
    ExternalMetrics::new(ExternalMetricsConfig::default()).unwrap()
}

async fn ask(metrics: &ExternalMetrics, method: &str, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(()).unwrap();
    let answer = metrics.service().call(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, serde_json::from_slice(&body).unwrap())
}

async fn values(metrics: &ExternalMetrics, selector: &str) -> Vec<String> {
    let path = format!("{BASE}/namespaces/shop/seawall-instances?labelSelector={selector}");
    let (status, body) = ask(metrics, "GET", &path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["kind"], "ExternalMetricValueList");
    assert_eq!(body["apiVersion"], "external.metrics.k8s.io/v1beta1");
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_hpa_finds_the_value_of_the_group_that_it_selects() {
    let metrics = metrics();
    let web = metrics.series("seawall-instances", &[("group", "web")]).unwrap();
    let jobs = metrics.series("seawall-instances", &[("group", "jobs")]).unwrap();
    web.publish(4.0);
    jobs.publish(0.0);
    assert_eq!(values(&metrics, "group%3Dweb").await, ["4"]);
    assert_eq!(values(&metrics, "group=jobs").await, ["0"]);
    assert_eq!(values(&metrics, "").await, ["0", "4"]);
    assert_eq!(values(&metrics, "group=none").await, Vec::<String>::new());
    let path = format!("{BASE}/namespaces/shop/seawall-instances");
    let (_, body) = ask(&metrics, "GET", &path).await;
    assert_eq!(body["items"][1]["metricLabels"], json!({ "group": "web" }));
    assert_eq!(body["items"][1]["metricName"], "seawall-instances");
    let at = body["items"][1]["timestamp"].as_str().unwrap();
    assert!(humantime::parse_rfc3339(at).is_ok(), "{at}");
}

#[tokio::test(start_paused = true)]
async fn numbers_are_quantities_and_never_rounded_to_fewer() {
    let metrics = metrics();
    let web = metrics.series("seawall-instances", &[]).unwrap();
    for (value, text) in
        [(1.5, "1500m"), (0.0001, "1m"), (2.9999, "3"), (1e12, "1000000000000"), (-1.5, "-1500m")]
    {
        web.publish(value);
        assert_eq!(values(&metrics, "").await, [text]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_stale_series_fails_the_question_and_never_makes_the_sum_smaller() {
    let metrics = metrics();
    let path = format!("{BASE}/namespaces/shop/seawall-instances");
    let web = metrics.series("seawall-instances", &[("group", "web")]).unwrap();
    let jobs = metrics.series("seawall-instances", &[("group", "jobs")]).unwrap();
    web.publish(4.0);
    assert_eq!(ask(&metrics, "GET", &path).await.0, StatusCode::SERVICE_UNAVAILABLE);
    jobs.publish(3.0);
    assert_eq!(ask(&metrics, "GET", &path).await.0, StatusCode::OK);
    advance(Duration::from_secs(61)).await;
    web.publish(4.0);
    let (status, body) = ask(&metrics, "GET", &path).await;
    assert_eq!((status, &body["kind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("Status")));
    assert_eq!(values(&metrics, "group=web").await, ["4"]);
    web.publish(f64::NAN);
    let of_web = format!("{path}?labelSelector=group=web");
    assert_eq!(ask(&metrics, "GET", &of_web).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let newer = metrics.series("seawall-instances", &[("group", "web")]).unwrap();
    newer.publish(5.0);
    web.remove();
    assert_eq!(values(&metrics, "group=web").await, ["5"], "the newer one stays");
    newer.remove();
    assert_eq!(ask(&metrics, "GET", &of_web).await.1["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_api_server_finds_out_what_there_is() {
    let metrics = metrics();
    let _web = metrics.series("seawall-instances", &[("group", "web")]).unwrap();
    let _jobs = metrics.series("seawall-instances", &[("group", "jobs")]).unwrap();
    let (status, body) = ask(&metrics, "GET", BASE).await;
    assert_eq!((status, &body["kind"]), (StatusCode::OK, &json!("APIResourceList")));
    assert_eq!(body["resources"].as_array().unwrap().len(), 1);
    assert_eq!(body["resources"][0]["name"], "seawall-instances");
    let (_, body) = ask(&metrics, "GET", "/apis/external.metrics.k8s.io").await;
    assert_eq!(body["preferredVersion"]["version"], "v1beta1");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_or_not_understood_is_said_as_kubernetes_says_it() {
    let metrics = metrics();
    let _web = metrics.series("seawall-instances", &[]).unwrap();
    let path = format!("{BASE}/namespaces/shop/seawall-instances");
    for (method, path, code) in [
        ("GET", format!("{BASE}/namespaces/shop/other"), 404),
        ("GET", "/".to_owned(), 404),
        ("GET", format!("{path}/more"), 404),
        ("GET", format!("{path}?labelSelector=group%20in%20(web"), 400),
        ("GET", format!("{path}?labelSelector=%3D"), 400),
        ("DELETE", path.clone(), 405),
    ] {
        let (status, body) = ask(&metrics, method, &path).await;
        assert_eq!(status.as_u16(), code, "{method} {path}");
        assert_eq!((&body["kind"], &body["code"]), (&json!("Status"), &json!(code)));
    }
    for bad in ["", "Upper", "a/b", "a b"] {
        assert!(metrics.series(bad, &[]).is_err(), "{bad:?}");
    }
}

#[test]
fn selectors_mean_what_they_mean_in_kubernetes() {
    let labels: BTreeMap<Box<str>, Box<str>> =
        [("group", "web"), ("zone", "a")].map(|(name, value)| (name.into(), value.into())).into();
    for (selector, holds) in [
        ("", true),
        ("group=web", true),
        ("group==web,zone=a", true),
        ("group=web,zone=b", false),
        ("group!=web", false),
        ("other!=x", true),
        ("group in (api, web)", true),
        ("group in (api),zone", false),
        ("group notin (api,jobs), zone in (a)", true),
        ("zone", true),
        ("!zone", false),
        ("!other", true),
    ] {
        let parsed = Selector::parse(selector).unwrap();
        assert_eq!(parsed.matches(&labels), holds, "{selector}");
    }
    for bad in ["=", "a in (", "a in b)", "(a)", "a near (b)", "a=b c", "!"] {
        assert_eq!(Selector::parse(bad), None, "{bad}");
    }
}
