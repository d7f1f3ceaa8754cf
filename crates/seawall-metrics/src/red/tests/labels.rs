use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use super::*;

async fn get(layer: &RedLayer, request: Request<()>) {
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(full("x"))) });
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
}

fn values(handle: &Handle, label: &str) -> Vec<String> {
    let mut values: Vec<String> =
        series(handle, DURATION).into_iter().map(|(labels, _)| labels[label].clone()).collect();
    values.sort();
    values.dedup();
    values
}

#[tokio::test]
async fn paths_and_made_up_methods_never_become_labels() {
    let (layer, handle) = layer();
    for n in 0..10_000 {
        let request = Request::builder()
            .method(format!("FOO{n}").as_str())
            .uri(format!("/no/{n}"))
            .body(())
            .unwrap();
        get(&layer, request).await;
    }
    assert_eq!(values(&handle, "http_route"), ["unmatched"]);
    assert_eq!(values(&handle, "http_request_method"), ["_OTHER"]);
    assert_eq!(handle.window(DURATION, &[], MINUTE).count, 10_000);
}

#[tokio::test]
async fn the_route_is_the_template_and_standard_methods_keep_their_names() {
    let (layer, handle) = layer();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] {
        get(&layer, request(method.parse().unwrap())).await;
    }
    assert_eq!(values(&handle, "http_route"), ["/x/{id}"]);
    assert_eq!(values(&handle, "http_request_method").len(), 9);
    let post = [("http_request_method", "POST"), ("http_route", "/x/{id}")];
    assert_eq!(handle.window(DURATION, &post, MINUTE).count, 1);
    assert_eq!(handle.window(FIRST_BYTE, &post, MINUTE).count, 1);
}

#[tokio::test]
async fn routes_beyond_the_bound_are_folded_and_still_counted() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let layer = RedLayer::new().recorder(recorder).route(|e| e.get::<String>().map(String::as_str));
    for n in 0..1_100 {
        let mut request = request(Method::GET);
        request.extensions_mut().insert(format!("/route/{n}"));
        get(&layer, request).await;
    }
    let other = [("http_route", "_OTHER")];
    assert_eq!(handle.window(DURATION, &other, MINUTE).count, 1_100 - 1_024);
    assert_eq!(handle.window(DURATION, &[], MINUTE).count, 1_100);
    assert_eq!(values(&handle, "http_route").len(), 1_025);
}

/// Counts how often it is asked for a handle.
struct Counting(Arc<AtomicUsize>);

impl metrics::Recorder for Counting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.fetch_add(1, Relaxed);
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.fetch_add(1, Relaxed);
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.fetch_add(1, Relaxed);
        Histogram::noop()
    }
}

#[tokio::test]
async fn no_key_is_built_for_a_route_seen_before() {
    let asked = Arc::new(AtomicUsize::new(0));
    let layer = RedLayer::new().recorder(Counting(asked.clone()));
    get(&layer, request(Method::GET)).await;
    let first = asked.load(Relaxed);
    for _ in 0..100 {
        get(&layer, request(Method::GET)).await;
    }
    assert_eq!((first, asked.load(Relaxed)), (5, 5));
}
