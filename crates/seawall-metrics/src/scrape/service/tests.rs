use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::Recorder;

async fn answer(method: Method) -> (http::response::Parts, Bytes) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || metrics::counter!("x_total").increment(3));
    let request = Request::builder().method(method).body(()).unwrap();
    let response = handle.service().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_scrape_states_the_version_of_its_format() {
    let (parts, body) = answer(Method::GET).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert_eq!(parts.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains("# TYPE x_total counter\nx_total 3\n"), "{text}");
}

#[tokio::test]
async fn a_head_request_has_the_headers_and_no_body() {
    let (parts, body) = answer(Method::HEAD).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(parts.headers.contains_key(CONTENT_TYPE));
    assert!(body.is_empty());
}

#[tokio::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let (parts, body) = answer(method).await;
        assert_eq!(parts.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(parts.headers[ALLOW], "GET, HEAD");
        assert!(body.is_empty());
    }
}
