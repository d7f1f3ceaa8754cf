//! The overload layer: permits from the call to the end of the body.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_limit::{
    Criticality, Deadline, Overload, OverloadConfig, OverloadLayer, OverloadService, Pressure,
    Priority, QuotaUsed,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt, service_fn};

use crate::support::{inner, send};

fn small(limit: usize, queue: usize) -> Overload {
    let config = OverloadConfig {
        min_limit: limit,
        max_limit: limit,
        max_queue: queue,
        ..OverloadConfig::default()
    };
    Overload::new(&config).unwrap()
}

fn to(path: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(path).body(Full::default()).unwrap()
}

type Streaming = BoxCloneSyncService<Request<Full<Bytes>>, Response<Frames>, Infallible>;
type Sender = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// Answers at once, with a body that goes on for as long as the sender lives.
fn streaming(overload: &Overload) -> (OverloadService<Streaming>, Sender) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        std::future::ready(Ok(Response::new(Frames(receiver))))
    });
    let service = BoxCloneSyncService::new(service);
    (OverloadLayer::new(overload.clone()).layer(service), sender)
}

struct Frames(mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx).map(|item| item.map(|result| result.map(Frame::data)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_held_to_the_end_of_the_body() {
    let overload = small(1, 0);
    let (service, sender) = streaming(&overload);
    let mut body = service.oneshot(to("/")).await.unwrap().into_body();
    assert_eq!(overload.status().inflight, 1);
    sender.send(Ok(Bytes::from_static(b"a"))).unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(overload.status().inflight, 1);
    drop(sender);
    assert!(body.frame().await.is_none());
    assert_eq!(overload.status().inflight, 0, "the body need not be dropped");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_or_is_dropped_gives_the_permit_back() {
    let overload = small(1, 0);
    let (service, sender) = streaming(&overload);
    let mut body = service.oneshot(to("/")).await.unwrap().into_body();
    sender.send(Err(std::io::Error::other("reset"))).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(overload.status().inflight, 0);

    let (service, _sender) = streaming(&overload);
    let response = service.oneshot(to("/")).await.unwrap();
    assert_eq!(overload.status().inflight, 1);
    drop(response);
    assert_eq!(overload.status().inflight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_content_holds_nothing() {
    let overload = small(1, 0);
    let service =
        OverloadLayer::new(overload.clone()).layer(service_fn(|_: Request<Full<Bytes>>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
    let response = service.oneshot(to("/")).await.unwrap();
    assert!(response.body().is_end_stream());
    assert_eq!(overload.status().inflight, 0, "a server would not poll it");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_clones_that_were_polled_ready_hold_nothing() {
    let overload = small(10, 0);
    let (service, calls) = inner();
    let service = OverloadLayer::new(overload.clone()).layer(service);
    let mut idle: Vec<_> = (0..1_000).map(|_| service.clone()).collect();
    for connection in &mut idle {
        let ready = ServiceExt::<Request<Full<Bytes>>>::ready(connection).now_or_never();
        assert!(ready.unwrap().is_ok());
    }
    assert_eq!(overload.status().inflight, 0);
    assert_eq!(send(&service, to("/")).await.status, StatusCode::OK);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_that_reset_at_once_leak_no_permit_at_any_point() {
    let overload = small(2, 8);
    let service =
        OverloadLayer::new(overload.clone()).layer(service_fn(|_: Request<Full<Bytes>>| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Infallible>(Response::new(Full::from("late")))
        }));
    for polls in 0..1_000 {
        let mut call = Box::pin(service.clone().oneshot(to("/")));
        for _ in 0..polls % 3 {
            assert!(call.as_mut().now_or_never().is_none());
        }
        let waits = service.clone().oneshot(to("/"));
        drop(call);
        drop(waits);
    }
    let status = overload.status();
    assert_eq!((status.inflight, status.queued), (0, 0));
    assert_eq!(send(&service, to("/")).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_or_fails_gives_the_permit_back() {
    let overload = small(1, 0);
    let layer = OverloadLayer::new(overload.clone());
    let panics = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        if overload_is_on_fire() {
            panic!("on purpose");
        }
        Ok::<Response<Full<Bytes>>, Infallible>(Response::default())
    }));
    assert!(tokio::spawn(panics.oneshot(to("/"))).await.is_err());
    assert_eq!(overload.status().inflight, 0);

    let fails = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("down"))
    }));
    assert!(fails.oneshot(to("/")).await.is_err());
    assert_eq!(overload.status().inflight, 0);
}

fn overload_is_on_fire() -> bool {
    true
}

#[tokio::test(start_paused = true)]
async fn a_rejected_client_is_told_when_to_come_back_and_not_all_the_same() {
    let overload = small(1, 0);
    let (service, calls) = inner();
    let service = OverloadLayer::new(overload.clone()).message("Full up.").layer(service);
    let _held = overload.try_acquire(Criticality::Critical).unwrap();
    let mut waits = HashSet::new();
    for _ in 0..50 {
        let answer = send(&service, to("/")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        assert_eq!(answer.json()["type"], kind);
        assert_eq!(answer.json()["status"], 503);
        assert_eq!(answer.json()["detail"], "Full up.");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&wait));
        waits.insert(wait);
    }
    assert!(waits.len() >= 4, "{waits:?}");
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 0);

    let head = Request::builder().method(Method::HEAD).uri("/").body(Full::default()).unwrap();
    let answer = send(&service, head).await;
    assert!(answer.body.is_empty() && answer.header("content-length").is_some());
}

#[tokio::test(start_paused = true)]
async fn health_routes_pass_whatever_the_load() {
    let overload = small(1, 0);
    let (service, _) = inner();
    let service = OverloadLayer::new(overload.clone()).bypass("/internal/").layer(service);
    let _held = overload.try_acquire(Criticality::Critical).unwrap();
    for path in ["/health", "/healthz", "/readyz", "/livez", "/health/db", "/internal/x"] {
        assert_eq!(send(&service, to(path)).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/healthy", "/", "/api/health"] {
        let status = send(&service, to(path)).await.status;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_served_once_a_slot_is_free() {
    let overload = small(1, 4);
    let (service, calls) = inner();
    let service = OverloadLayer::new(overload.clone()).layer(service);
    let held = overload.try_acquire(Criticality::Critical).unwrap();
    let mut call = Box::pin(service.clone().oneshot(to("/")));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 0);
    drop(held);
    assert_eq!(call.await.unwrap().status(), StatusCode::OK);

    let _held = overload.try_acquire(Criticality::Critical).unwrap();
    let mut late = to("/");
    late.extensions_mut().insert(Deadline(Instant::now() + Duration::from_millis(20)));
    let start = Instant::now();
    assert_eq!(send(&service, late).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.elapsed().as_millis(), 20);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn priority_comes_from_the_extension_or_the_closure_and_quota_from_its_layer() {
    let overload = small(1_000, 0);
    // A little less than half of the arrivals is to go; it is told apart by the quota only.
    let (service, _) = inner();
    let by_extension = OverloadLayer::new(overload.clone()).layer(service.clone());
    let by_path = OverloadLayer::new(overload.clone())
        .classify(|head| match head.uri.path() {
            "/bids" => Criticality::CriticalPlus.into(),
            _ => Criticality::Sheddable.into(),
        })
        .layer(service);
    let with = |user: u32, used: Option<f32>| {
        let mut request = to("/");
        request.extensions_mut().insert(Priority::new(Criticality::Sheddable).user(&user));
        if let Some(used) = used {
            request.extensions_mut().insert(QuotaUsed(used));
        }
        request
    };
    for user in 0..400 {
        let used = (user % 2 == 0).then_some(1.0);
        assert_eq!(send(&by_extension, with(user, used)).await.status, StatusCode::OK);
    }
    overload.set_pressure(Pressure { cpu: Some(0.94), ..Pressure::default() });
    tokio::time::advance(Duration::from_millis(150)).await;
    let (mut spent, mut fresh) = (0, 0);
    for user in 0..400 {
        let used = (user % 2 == 0).then_some(1.0);
        let passed = send(&by_extension, with(user, used)).await.status == StatusCode::OK;
        *(if user % 2 == 0 { &mut spent } else { &mut fresh }) += u32::from(passed);
    }
    assert_eq!(fresh, 200, "nobody with quota left is shed");
    assert!((10..100).contains(&spent), "{spent} of 200 near their quota were let in");

    overload.set_pressure(Pressure { cpu: Some(1.0), ..Pressure::default() });
    tokio::time::advance(Duration::from_millis(150)).await;
    assert_eq!(send(&by_path, to("/bids")).await.status, StatusCode::OK);
    assert_eq!(send(&by_path, to("/")).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_changed_after_use_leaves_services_as_they_were() {
    let overload = small(1, 0);
    let (service, _) = inner();
    let layer = OverloadLayer::new(overload.clone());
    let before = layer.layer(service.clone());
    let after = layer.bypass("/open").layer(service);
    let _held = overload.try_acquire(Criticality::Critical).unwrap();
    assert_eq!(send(&before, to("/open")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&after, to("/open")).await.status, StatusCode::OK);
}

#[test]
fn each_request_counts_once_by_criticality_and_outcome() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let overload = small(1, 0);
        let held = overload.try_acquire(Criticality::Critical).unwrap();
        assert!(overload.try_acquire(Criticality::Sheddable).is_err());
        assert!(overload.acquire(Criticality::Sheddable).now_or_never().unwrap().is_err());
        drop(held);
    });
    let mut counted = Vec::new();
    for (key, _, description, value) in recorder.snapshotter().snapshot().into_vec() {
        let (_, key) = key.into_parts();
        assert!(description.is_some(), "{key} is not described");
        if let DebugValue::Counter(count @ 1..) = value {
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            counted.push(format!("{} {} {count}", key.name(), labels.join(" ")));
        }
    }
    counted.sort();
    let name = "seawall_limit_overload_requests_total default";
    assert_eq!(
        counted,
        [
            format!("{name} critical admitted 1"),
            format!("{name} sheddable no_slot 1"),
            format!("{name} sheddable queue_full 1"),
        ]
    );
}

#[cfg(feature = "serde")]
#[test]
fn configuration_is_read_with_defaults_and_refuses_what_it_does_not_know() {
    let config: OverloadConfig = toml::from_str("max_wait = \"250ms\"\nname = \"api\"").unwrap();
    assert_eq!(config.max_wait, Duration::from_millis(250));
    assert_eq!(config.initial_limit, OverloadConfig::default().initial_limit);
    assert!(toml::from_str::<OverloadConfig>("max_weight = 1").is_err());
}
