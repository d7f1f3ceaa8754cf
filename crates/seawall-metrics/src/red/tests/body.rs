use futures_util::StreamExt;

use super::*;

fn size(handle: &Handle) -> (u64, f64) {
    let window = handle.window(BODY_SIZE, &[], MINUTE);
    (window.count, window.sum)
}

#[tokio::test(start_paused = true)]
async fn the_duration_runs_to_the_end_of_the_body_and_the_first_byte_to_the_headers() {
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_millis(490)).await;
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"late")))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(late).boxed_unsync()))
    });
    let response = layer.layer(inner).oneshot(request(Method::GET)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let first_byte = handle.window(FIRST_BYTE, &[], MINUTE);
    let duration = handle.window(DURATION, &[], MINUTE);
    assert_eq!((first_byte.count, duration.count), (1, 1));
    assert!((0.010..0.015).contains(&first_byte.max), "{first_byte:?}");
    assert!((0.500..0.505).contains(&duration.max), "{duration:?}");
    assert_eq!(size(&handle), (1, 4.0));
}

#[tokio::test(start_paused = true)]
async fn the_duration_runs_to_an_end_that_comes_late_without_any_data() {
    for trailers in [false, true] {
        let (layer, handle) = layer();
        let inner = service_fn(move |_: Request<()>| async move {
            let end = stream::once(async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok::<_, std::io::Error>(Frame::<Bytes>::trailers(http::HeaderMap::new()))
            });
            // Either the trailers come late, or nothing does.
            let end = end.filter(move |_| std::future::ready(trailers));
            Ok::<_, Infallible>(Response::new(StreamBody::new(end).boxed_unsync()))
        });
        let response = layer.layer(inner).oneshot(request(Method::GET)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let duration = handle.window(DURATION, &[], MINUTE);
        assert_eq!(duration.count, 1);
        assert!((0.500..0.505).contains(&duration.max), "{trailers} {duration:?}");
        assert_eq!(outcomes(&handle), ["200 - 1"]);
    }
}

#[tokio::test]
async fn a_body_is_complete_with_its_trailers_without_a_last_poll() {
    let (layer, handle) = layer();
    let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(http::HeaderMap::new())];
    let body = StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync();
    let mut body = respond(&layer, Method::GET, Response::new(body)).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    // A server of HTTP/2 has sent the end of the stream with them.
    drop(body);
    assert_eq!(outcomes(&handle), ["200 - 1"]);
    assert_eq!(size(&handle), (1, 1.0));
}

#[tokio::test]
async fn a_body_dropped_before_its_first_poll_is_aborted() {
    let (layer, handle) = layer();
    let response = respond(&layer, Method::GET, Response::new(full("hello"))).await;
    assert_eq!(active(&handle), 1.0);
    drop(response);
    assert_eq!(outcomes(&handle), ["200 aborted 1"]);
    assert_eq!(active(&handle), 0.0);
    assert_eq!(size(&handle), (1, 0.0));
}

#[tokio::test]
async fn a_body_dropped_midway_is_aborted_with_the_bytes_that_were_sent() {
    let (layer, handle) = layer();
    let response = Response::new(chunks(vec![Ok("hello"), Ok("world"), Ok("!")]));
    let mut body = respond(&layer, Method::GET, response).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(outcomes(&handle), ["200 aborted 1"]);
    assert_eq!(size(&handle), (1, 10.0));
}

#[tokio::test]
async fn a_body_that_fails_is_one_error_even_if_it_is_polled_on() {
    let (layer, handle) = layer();
    let broken = vec![Ok("hello"), Err(std::io::Error::other("gone")), Ok("x")];
    let mut body = respond(&layer, Method::GET, Response::new(chunks(broken))).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap_err();
    while body.frame().await.is_some() {}
    drop(body);
    assert_eq!(outcomes(&handle), ["200 body_error 1"]);
    assert_eq!(size(&handle), (1, 5.0));
}

#[tokio::test]
async fn a_body_whose_announced_bytes_were_all_taken_is_complete_without_a_last_poll() {
    let (layer, handle) = layer();
    let mut response = Response::new(chunks(vec![Ok("hello"), Ok("world")]));
    response.headers_mut().insert("content-length", "10".parse().unwrap());
    let mut body = respond(&layer, Method::GET, response).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(outcomes(&handle), ["200 - 1"]);
    assert_eq!(size(&handle), (1, 10.0));
}

#[tokio::test]
async fn a_body_no_server_would_poll_is_complete_with_its_headers() {
    for (method, status, text) in [
        (Method::HEAD, 200, "hello"),
        (Method::GET, 204, "hello"),
        (Method::GET, 304, "hello"),
        (Method::GET, 101, "hello"),
        (Method::GET, 200, ""),
    ] {
        let (layer, handle) = layer();
        let mut response = Response::new(full(text));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        drop(respond(&layer, method, response).await);
        assert_eq!(outcomes(&handle), [format!("{status} - 1")]);
        assert_eq!(active(&handle), 0.0);
    }
}

#[tokio::test]
async fn the_body_itself_passes_unchanged() {
    let (layer, _) = layer();
    let response = respond(&layer, Method::GET, Response::new(full("hello"))).await;
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, "hello");
}
