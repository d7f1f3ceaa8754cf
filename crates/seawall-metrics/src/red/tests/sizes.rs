use http::Version;

use super::*;

const REQUEST_SIZE: &str = "http_server_request_body_size_bytes";

async fn recorded(request: Request<()>) -> Option<f64> {
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(full(""))) });
    drop(layer.layer(inner).oneshot(request).await.unwrap());
    let window = handle.window(REQUEST_SIZE, &[], MINUTE);
    (window.count == 1).then_some(window.sum)
}

#[tokio::test]
async fn the_size_of_a_request_is_what_was_announced_and_no_guess() {
    let with = |name: &str, value: &str, version| {
        Request::builder().version(version).header(name, value).body(()).unwrap()
    };
    let (old, new) = (Version::HTTP_11, Version::HTTP_2);
    assert_eq!(recorded(with("content-length", "1234", old)).await, Some(1234.0));
    assert_eq!(recorded(with("content-length", "1234", new)).await, Some(1234.0));
    // HTTP/1 without either header: there is no body.
    assert_eq!(recorded(with("accept", "*/*", old)).await, Some(0.0));
    assert_eq!(recorded(with("transfer-encoding", "chunked", old)).await, None);
    assert_eq!(recorded(with("accept", "*/*", new)).await, None);
    assert_eq!(recorded(with("content-length", "many", old)).await, None);
    assert_eq!(recorded(with("content-length", "-5", old)).await, None);
}

#[tokio::test]
async fn a_client_that_announces_more_than_there_is_does_not_ruin_the_sum() {
    let announcing =
        |length: u64| Request::builder().header("content-length", length).body(()).unwrap();
    // The largest that hyper lets in: 1000 more would not change such a sum.
    assert_eq!(recorded(announcing(u64::MAX - 2)).await, None);
    assert_eq!(recorded(announcing((1 << 40) + 1)).await, None);
    let most = 1_u64 << 40;
    assert_eq!(recorded(announcing(most)).await, Some(most as f64));
}
