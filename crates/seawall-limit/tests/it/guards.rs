//! The guard layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use seawall_limit::{BodyTooLarge, GuardBody, GuardLayer, GuardService, Guards};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::send;

type Reader<B> =
    GuardService<BoxCloneSyncService<Request<GuardBody<B>>, Response<Full<Bytes>>, Infallible>>;

/// Reads the body and answers its length, or 400 with the error's text. Bodies
/// may have 100 bytes; the other guards are the default.
fn reader<B>() -> (Reader<B>, Arc<AtomicUsize>)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let read = service_fn(move |request: Request<GuardBody<B>>| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            Ok(match request.into_body().collect().await {
                Ok(body) => Response::new(Full::from(body.to_bytes().len().to_string())),
                Err(error) => {
                    assert_eq!(error.downcast_ref::<BodyTooLarge>().unwrap().limit, 100);
                    Response::builder().status(400).body(Full::from(error.to_string())).unwrap()
                }
            })
        }
    });
    let layer = GuardLayer::new(Guards { max_body: 100, ..Guards::default() });
    (layer.layer(BoxCloneSyncService::new(read)), calls)
}

fn empty(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

fn sized(length: usize) -> Request<Full<Bytes>> {
    Request::post("/").body(Full::from(vec![b'x'; length])).unwrap()
}

/// A body whose length is not known beforehand.
fn chunked(
    lengths: &[usize],
) -> Request<impl Body<Data = Bytes, Error = Infallible> + Send + 'static> {
    let frames: Vec<_> =
        lengths.iter().map(|length| Ok(Frame::data(vec![b'x'; *length].into()))).collect();
    Request::post("/").body(StreamBody::new(futures_util::stream::iter(frames))).unwrap()
}

#[tokio::test]
async fn a_url_of_2048_bytes_passes_and_2049_is_414() {
    let (service, calls) = reader();
    let url = |length: usize| format!("/?{}", "u".repeat(length - 2));
    assert_eq!(send(&service, empty(&url(2_048))).await.status, StatusCode::OK);
    assert_eq!(send(&service, empty(&url(2_049))).await.status, StatusCode::URI_TOO_LONG);
    // Scheme and authority do not count.
    let absolute = format!("http://example.com{}", url(2_048));
    assert_eq!(send(&service, empty(&absolute)).await.status, StatusCode::OK);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn fifty_headers_pass_and_51_are_431() {
    let (service, calls) = reader();
    let with = |count: usize| {
        let mut request = empty("/");
        for _ in 0..count {
            request.headers_mut().append("cookie", "a=b".parse().unwrap());
        }
        request
    };
    assert_eq!(send(&service, with(50)).await.status, StatusCode::OK);
    let answer = send(&service, with(51)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn header_lines_of_32_kib_together_pass_and_a_byte_more_is_431() {
    let (service, calls) = reader();
    let with = |length: usize| {
        let mut request = empty("/");
        // "cookie" and ": \r\n" make ten.
        for length in [length - 30_000 - 10, 30_000 - 10] {
            request.headers_mut().append("cookie", "x".repeat(length).parse().unwrap());
        }
        request
    };
    assert_eq!(send(&service, with(32 * 1_024)).await.status, StatusCode::OK);
    let answer = send(&service, with(32 * 1_024 + 1)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_hundred_parameters_pass_and_101_are_400() {
    let (service, calls) = reader();
    let with = |count: usize| empty(&format!("/?{}", vec!["a=1"; count].join("&")));
    assert_eq!(send(&service, with(100)).await.status, StatusCode::OK);
    assert_eq!(send(&service, with(101)).await.status, StatusCode::BAD_REQUEST);
    // Empty ones count.
    assert_eq!(
        send(&service, empty(&format!("/?{}", "&".repeat(99)))).await.status,
        StatusCode::OK
    );
    assert_eq!(
        send(&service, empty(&format!("/?{}", "&".repeat(100)))).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_declared_body_one_byte_too_large_is_413_before_it_is_read() {
    let (service, calls) = reader();
    assert_eq!(send(&service, sized(100)).await.body, "100");
    let refused = send(&service, sized(101)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        refused.json(),
        serde_json::json!({
            "type": "about:blank",
            "title": "Payload Too Large",
            "status": 413,
            "detail": "The body is larger than 100 bytes.",
        })
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_content_length_is_believed_where_the_body_knows_nothing() {
    let (service, calls) = reader();
    let mut request = chunked(&[1]);
    request.headers_mut().insert("content-length", "101".parse().unwrap());
    assert_eq!(send(&service, request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_streamed_body_one_byte_too_large_is_413_whatever_the_handler_says() {
    let (service, calls) = reader();
    assert_eq!(send(&service, chunked(&[60, 0, 40])).await.body, "100");
    let refused = send(&service, chunked(&[60, 40, 1])).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(send(&service, chunked(&[1_000])).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_connection_header_is_not_sent_over_http_2() {
    let (service, _) = reader();
    let mut request = sized(101);
    *request.version_mut() = Version::HTTP_2;
    let refused = send(&service, request).await;
    assert_eq!(
        (refused.status, refused.header("connection")),
        (StatusCode::PAYLOAD_TOO_LARGE, None)
    );
}

#[tokio::test]
async fn a_handler_that_reads_nothing_is_left_alone() {
    let ignores = service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
    });
    let layer = GuardLayer::new(Guards { max_body: 100, ..Guards::default() });
    let service = layer.layer(BoxCloneSyncService::new(ignores));
    assert_eq!(send(&service, chunked(&[60, 60])).await.body, "done");
}

#[tokio::test]
async fn a_body_that_tripped_gives_out_nothing_more() {
    let (tell, hear) = std::sync::mpsc::channel();
    let polls = service_fn(move |request: Request<GuardBody<_>>| {
        let tell = tell.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                tell.send(
                    frame
                        .map(|frame: Frame<Bytes>| frame.into_data().unwrap().len())
                        .map_err(|error| error.to_string()),
                )
                .unwrap();
            }
            assert!(body.is_end_stream());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let service = GuardLayer::new(Guards { max_body: 100, ..Guards::default() }).layer(polls);
    let response = service.oneshot(chunked(&[60, 60, 10])).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let seen: Vec<_> = hear.try_iter().collect();
    assert_eq!(seen, [Ok(60), Err("the request body is larger than 100 bytes".to_owned())]);
}

#[tokio::test]
async fn a_refused_head_request_has_no_content() {
    let (service, _) = reader();
    let mut request = empty(&format!("/?{}", "u".repeat(3_000)));
    *request.method_mut() = Method::HEAD;
    let refused = send(&service, request).await;
    assert_eq!((refused.status, refused.body.len()), (StatusCode::URI_TOO_LONG, 0));
}
