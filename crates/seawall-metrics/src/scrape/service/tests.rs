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

#[tokio::test]
async fn a_service_with_aliases_serves_them_in_every_format() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("x_total").increment(3);
        metrics::histogram!("x_seconds").record(0.25);
    });
    let aliases = Aliases::new()
        .with(crate::Alias::new("y_total", "x_total"))
        .with(crate::Alias::new("plain", "x_total"))
        .with(crate::Alias::new("x", "x_total"))
        .with(crate::Alias::new("x_ms", "x_seconds").scale(1000.0));
    let service = handle.service().with_aliases(aliases);
    let ask = async |accept: &str| {
        let request = Request::builder().header(ACCEPT, accept).body(()).unwrap();
        let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let kind = parts.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
        (kind, String::from_utf8(body.to_vec()).unwrap())
    };
    let (kind, text) = ask("*/*").await;
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert!(text.contains("# TYPE y_total counter\ny_total 3\n"), "{text}");
    assert!(text.contains("\nx_ms_sum 250\n") && text.contains("\nx_total 3\n"), "{text}");
    let (kind, text) = ask("application/openmetrics-text; version=1.0.0").await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.contains("# TYPE y counter\ny_total 3\n"), "{text}");
    assert!(text.contains("# TYPE plain unknown\nplain 3\n"), "{text}");
    assert!(text.contains("\nx_ms_sum 250\n"), "{text}");
    // In OpenMetrics that is the name of the counter's own family.
    assert!(!text.contains("Alias of x_total.\n# TYPE x "), "{text}");
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
    #[cfg(feature = "protobuf")]
    {
        let protobuf = "application/vnd.google.protobuf;\
                        proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let request = Request::builder().header(ACCEPT, protobuf).body(()).unwrap();
        let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let kind = parts.headers[CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("application/vnd.google.protobuf"), "{kind}");
        let body = body.collect().await.unwrap().to_bytes();
        assert!(body.windows(4).any(|bytes| bytes == b"x_ms"));
    }
}
