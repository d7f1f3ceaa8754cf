use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::Recorder;

async fn ask(request: http::request::Builder) -> (http::response::Parts, Bytes) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || metrics::counter!("x_total").increment(3));
    let response = handle.service().oneshot(request.body(()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

async fn answer(method: Method) -> (http::response::Parts, Bytes) {
    ask(Request::builder().method(method)).await
}

#[tokio::test]
async fn a_scrape_states_the_version_of_its_format() {
    let (parts, body) = answer(Method::GET).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert_eq!(parts.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains("# TYPE x_total counter\nx_total 3\n"), "{text}");
    let open = Request::builder().header(ACCEPT, "application/openmetrics-text; version=1.0.0");
    let (parts, body) = ask(open).await;
    assert_eq!(
        parts.headers[CONTENT_TYPE],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains("# TYPE x counter\nx_total 3\n"), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
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

#[tokio::test]
async fn a_scraper_that_refuses_gzip_gets_plain_bytes() {
    let refuses = Request::builder().header(ACCEPT_ENCODING, "gzip;q=0, identity");
    let (parts, body) = ask(refuses).await;
    assert!(!parts.headers.contains_key(CONTENT_ENCODING));
    assert!(body.starts_with(b"# HELP"));
    assert!(parts.headers[VARY].to_str().unwrap().contains("accept"));
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_compressed_scrape_is_smaller_and_unpacks_to_the_same() {
    use std::io::Read as _;

    let (_, plain) = answer(Method::GET).await;
    let takes = Request::builder().header(ACCEPT_ENCODING, "deflate, gzip;q=0.8");
    let (parts, body) = ask(takes).await;
    assert_eq!(parts.headers[CONTENT_ENCODING], "gzip");
    assert_eq!(parts.headers[VARY], "accept, accept-encoding");
    assert!(body.len() * 2 < plain.len(), "{} of {}", body.len(), plain.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
}
