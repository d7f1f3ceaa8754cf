use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::*;

/// A response of gRPC: a message, then these trailers.
fn call(trailers: Option<&str>) -> Response<TestBody> {
    let mut frames = vec![Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"message")))];
    if let Some(status) = trailers {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", status.parse().unwrap());
        frames.push(Ok(Frame::trailers(fields)));
    }
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, "application/grpc+proto".parse().unwrap());
    response
}

async fn outcome(on: bool, response: Response<TestBody>) -> Vec<String> {
    let (layer, handle) = layer();
    let response = respond(&layer.grpc(on), Method::POST, response).await;
    response.into_body().collect().await.unwrap();
    assert_eq!(active(&handle), 0.0);
    outcomes(&handle)
}

#[tokio::test]
async fn a_status_in_the_trailers_is_an_error_if_it_is_the_servers_fault() {
    for (status, expected) in [
        ("0", "-"),
        ("1", "-"),
        ("5", "-"),
        ("16", "-"),
        ("2", "UNKNOWN"),
        ("4", "DEADLINE_EXCEEDED"),
        ("12", "UNIMPLEMENTED"),
        ("13", "INTERNAL"),
        ("14", "UNAVAILABLE"),
        ("15", "DATA_LOSS"),
        ("99", "UNKNOWN"),
        ("nonsense", "UNKNOWN"),
    ] {
        let seen = outcome(true, call(Some(status))).await;
        assert_eq!(seen, [format!("200 {expected} 1")], "{status}");
    }
}

#[tokio::test]
async fn a_call_that_ends_without_any_status_is_an_error() {
    assert_eq!(outcome(true, call(None)).await, ["200 UNKNOWN 1"]);
}

#[tokio::test]
async fn a_status_in_the_headers_of_a_call_without_a_message_counts() {
    let mut response = Response::new(full(""));
    response.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    response.headers_mut().insert("grpc-status", "14".parse().unwrap());
    assert_eq!(outcome(true, response).await, ["200 UNAVAILABLE 1"]);
}

#[tokio::test]
async fn nothing_is_read_from_trailers_unless_asked_and_only_of_grpc() {
    assert_eq!(outcome(false, call(Some("14"))).await, ["200 - 1"]);
    let mut plain = call(Some("14"));
    plain.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(outcome(true, plain).await, ["200 - 1"]);
}

#[tokio::test]
async fn a_call_of_grpc_web_whose_status_is_in_its_body_is_no_error() {
    for (kind, expected) in [
        ("application/grpc-web", "-"),
        ("application/grpc-web+proto", "-"),
        ("application/grpc-web-text", "-"),
        ("application/grpc", "UNKNOWN"),
        ("Application/gRPC+json", "UNKNOWN"),
        ("application/grpc; charset=utf-8", "UNKNOWN"),
    ] {
        let mut response = call(None);
        response.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        assert_eq!(outcome(true, response).await, [format!("200 {expected} 1")], "{kind}");
    }
}

#[tokio::test]
async fn a_call_dropped_before_its_trailers_is_aborted() {
    let (layer, handle) = layer();
    let response = respond(&layer.grpc(true), Method::POST, call(Some("0"))).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(outcomes(&handle), ["200 aborted 1"]);
}
