use futures_util::StreamExt;

use super::*;

#[tokio::test]
async fn a_request_dropped_before_its_headers_is_cancelled_and_no_server_error() {
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<TestBody>, Infallible>>());
    {
        let mut response = pin!(layer.layer(inner).oneshot(request(Method::GET)));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(response.as_mut().poll(&mut cx).is_pending());
        assert_eq!(active(&handle), 1.0);
        assert!(outcomes(&handle).is_empty());
    }
    assert_eq!(outcomes(&handle), ["- cancelled 1"]);
    assert_eq!(active(&handle), 0.0);
    assert!(handle.window(FIRST_BYTE, &[], MINUTE).is_empty());
}

#[tokio::test]
async fn a_request_dropped_before_its_first_poll_is_cancelled_too() {
    use tower_service::Service;
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<TestBody>, Infallible>>());
    drop(layer.layer(inner).call(request(Method::GET)));
    assert_eq!(outcomes(&handle), ["- cancelled 1"]);
    assert_eq!(active(&handle), 0.0);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_counted_and_passed_on() {
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| async {
        Err::<Response<TestBody>, _>(std::io::Error::other("down"))
    });
    let error = layer.layer(inner).oneshot(request(Method::GET)).await.unwrap_err();
    assert_eq!(error.to_string(), "down");
    assert_eq!(outcomes(&handle), ["- service_error 1"]);
    assert_eq!(active(&handle), 0.0);
}

#[tokio::test]
async fn a_panic_in_the_future_or_in_the_call_is_counted_and_leaves_nothing_in_flight() {
    let (layer, handle) = layer();
    let polled = layer.clone();
    let in_future = tokio::spawn(async move {
        let inner = service_fn(|_: Request<()>| async {
            if true {
                panic!("expected by the test");
            }
            Ok::<Response<TestBody>, Infallible>(Response::new(full("")))
        });
        polled.layer(inner).oneshot(request(Method::GET)).await.is_ok()
    });
    assert!(in_future.await.unwrap_err().is_panic());
    let in_call = tokio::spawn(async move {
        let inner = service_fn(|_: Request<()>| {
            if true {
                panic!("expected by the test");
            }
            pending::<Result<Response<TestBody>, Infallible>>()
        });
        layer.layer(inner).oneshot(request(Method::GET)).await.is_ok()
    });
    assert!(in_call.await.unwrap_err().is_panic());
    assert_eq!(outcomes(&handle), ["- panic 2"]);
    assert_eq!(active(&handle), 0.0);
}

#[tokio::test]
async fn a_panic_that_a_layer_outside_catches_is_still_a_panic() {
    use futures_util::FutureExt;
    let (layer, handle) = layer();
    let inner = service_fn(|_: Request<()>| async {
        if true {
            panic!("expected by the test");
        }
        Ok::<Response<TestBody>, Infallible>(Response::new(full("")))
    });
    let mut call = Box::pin(layer.layer(inner).oneshot(request(Method::GET)));
    // As a catch-panic layer does: the future is dropped when all is calm again.
    assert!(std::panic::AssertUnwindSafe(&mut call).catch_unwind().await.is_err());
    drop(call);
    assert_eq!(outcomes(&handle), ["- panic 1"]);
    assert_eq!(active(&handle), 0.0);
}

/// Sends one frame, then panics.
fn panicking_body() -> TestBody {
    let frames = stream::iter(0..2).map(|n| {
        assert!(n == 0, "expected by the test");
        Ok(Frame::data(Bytes::from_static(b"hello")))
    });
    StreamBody::new(frames).boxed_unsync()
}

#[tokio::test]
async fn a_panic_in_the_body_is_the_services_fault_and_no_abort_of_the_client() {
    use futures_util::FutureExt;
    // As a server does: the task that polls the body unwinds with it. And with the panic caught
    // by somebody who still holds the body.
    for caught in [false, true] {
        let (layer, handle) = layer();
        let response = respond(&layer, Method::GET, Response::new(panicking_body())).await;
        let mut body = response.into_body();
        if caught {
            body.frame().await.unwrap().unwrap();
            assert!(std::panic::AssertUnwindSafe(body.frame()).catch_unwind().await.is_err());
            drop(body);
        } else {
            assert!(tokio::spawn(body.collect()).await.unwrap_err().is_panic());
        }
        assert_eq!(outcomes(&handle), ["200 panic 1"], "{caught}");
        assert_eq!(active(&handle), 0.0);
    }
}

#[tokio::test]
async fn a_status_of_500_and_above_is_its_own_error_type() {
    let (layer, handle) = layer();
    // More than are kept where no lock is needed, and each twice.
    let all = [200, 404, 500, 503, 503, 201, 204, 301, 200, 201, 204, 301, 404, 500];
    for status in all {
        let mut response = Response::new(full("x"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let response = respond(&layer, Method::GET, response).await;
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(
        outcomes(&handle),
        ["500 500 2", "503 503 2", "200 - 2", "201 - 2", "204 - 2", "301 - 2", "404 - 2"]
    );
}

#[tokio::test]
async fn many_requests_of_every_kind_are_each_counted_once() {
    let (layer, handle) = layer();
    for n in 0..300 {
        let response = respond(&layer, Method::GET, Response::new(chunks(vec![Ok("a"), Ok("b")])));
        match n % 3 {
            0 => drop(response),
            1 => drop(response.await),
            _ => drop(response.await.into_body().collect().await.unwrap()),
        }
    }
    let window = handle.window(DURATION, &[], MINUTE);
    // A future that was never polled has not called the service.
    assert_eq!(window.count, 200);
    assert_eq!(outcomes(&handle), ["200 aborted 100", "200 - 100"]);
    assert_eq!(active(&handle), 0.0);
}
