//! The client layer, also against our own server side.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall_limit::{
    Answers, LimitLayer, Limiter, ObeyConfig, ObeyError, ObeyLayer, Policy, Quota, RateLimitFields,
    Rule,
};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{inner, request as served};

type Server = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

fn request(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

fn layer(max_wait: u64) -> ObeyLayer {
    let max_wait = Duration::from_secs(max_wait);
    ObeyLayer::new(ObeyConfig { max_wait, ..ObeyConfig::default() }).unwrap()
}

/// Answers 429 with `Retry-After: 30` to the first request, 200 to others, and counts.
fn rejects_once() -> (Server, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::default());
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert("retry-after", "30".parse().unwrap());
        }
        std::future::ready(Ok(response))
    });
    (BoxCloneSyncService::new(service), calls)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_said_wait_is_sent_nothing_until_then() {
    let (server, calls) = rejects_once();
    let client = layer(60).layer(server);
    let start = Instant::now();
    let rejected = client.clone().oneshot(request("http://a/")).await.unwrap();
    assert_eq!((rejected.status().as_u16(), start.elapsed()), (429, Duration::ZERO));
    let served = client.clone().oneshot(request("http://a/")).await.unwrap();
    assert_eq!(served.status(), 200);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(30) && waited <= Duration::from_secs(34), "{waited:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_fails_at_once_and_sends_nothing() {
    let (server, calls) = rejects_once();
    let client = layer(10).layer(server);
    client.clone().oneshot(request("http://a/")).await.unwrap();
    let start = Instant::now();
    let error = client.clone().oneshot(request("http://a/")).await.unwrap_err();
    assert_eq!(error, ObeyError::Limited { retry_after: Duration::from_secs(30) });
    assert!(error.is_retryable());
    assert_eq!((start.elapsed(), calls.load(Ordering::Relaxed)), (Duration::ZERO, 1));
    tokio::time::advance(Duration::from_secs(25)).await;
    assert!(client.oneshot(request("http://a/")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_host_does_not_hold_up_another() {
    let (server, _) = rejects_once();
    let client = layer(0).layer(server);
    client.clone().oneshot(request("http://a/")).await.unwrap();
    assert!(client.clone().oneshot(request("http://a/")).await.is_err());
    assert!(client.clone().oneshot(request("http://b/")).await.is_ok());
    assert!(client.oneshot(request("http://a:81/")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_takes_nothing_from_others() {
    let (server, calls) = rejects_once();
    let client = layer(60).layer(server);
    client.clone().oneshot(request("http://a/")).await.unwrap();
    for _ in 0..5 {
        let waiting = client.clone().oneshot(request("http://a/"));
        assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());
    }
    assert!(client.oneshot(request("http://a/")).await.is_ok());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

/// A server with 10 a minute behind a counter of rejections.
fn limited(fields: RateLimitFields) -> (Server, Arc<AtomicUsize>) {
    let quota = Quota::per(10, Duration::from_secs(60)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let layer = LimitLayer::new(limiter)
        .rule(Rule::any().policy("p"))
        .answers(Answers { fields, expose: false })
        .build()
        .unwrap();
    let service = layer.layer(inner().0);
    let rejections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&rejections);
    let server = service_fn(move |_: Request<Full<Bytes>>| {
        let (service, counter) = (service.clone(), Arc::clone(&counter));
        async move {
            let request = served(http::Method::GET, "/", "1.1.1.1");
            let response = service.oneshot(request).await?;
            if response.status() == 429 {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(response.map(|_| Full::default()))
        }
    });
    (BoxCloneSyncService::new(server), rejections)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_obeys_is_never_rejected_by_our_own_server() {
    for fields in [
        RateLimitFields::Draft11,
        RateLimitFields::Draft07,
        RateLimitFields::Draft06,
        RateLimitFields::Draft03,
        RateLimitFields::XRateLimit,
        RateLimitFields::XRateLimitEpoch,
    ] {
        let (server, rejections) = limited(fields);
        let client = layer(3_600).layer(server);
        for _ in 0..40 {
            let response = client.clone().oneshot(request("http://a/")).await.unwrap();
            assert_eq!(response.status(), 200, "{fields:?}");
        }
        assert_eq!(rejections.load(Ordering::Relaxed), 0, "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_all_served_and_hardly_one_is_rejected() {
    let (server, rejections) = limited(RateLimitFields::Draft11);
    let client = layer(3_600).layer(server);
    let start = Instant::now();
    let one = || client.clone().oneshot(request("http://a/"));
    one().await.unwrap();
    let all = futures_util::future::join_all((0..50).map(|_| one())).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(rejections.load(Ordering::Relaxed) <= 5, "{rejections:?}");
    // 40 more than the burst, at 10 a minute, and a little for the jitter.
    assert!(start.elapsed() < Duration::from_secs(600), "{:?}", start.elapsed());
}

#[test]
fn bounds_crossed_are_refused() {
    let error = ObeyLayer::new(ObeyConfig { jitter_percent: 101, ..ObeyConfig::default() });
    assert!(error.unwrap_err().to_string().contains("jitter_percent is 101"));
}
