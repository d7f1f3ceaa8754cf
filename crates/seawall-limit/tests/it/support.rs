//! A service that counts its calls, and short cuts around requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use seawall_limit::{ClientIp, LimitLayer, LimitService, Limiter, PeerAddr, Policy, Quota, Rule};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) type Inner =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// Answers 200 "ok", or 500 to `/fail`, and counts.
pub(crate) fn inner() -> (Inner, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
        if request.uri().path() == "/fail" {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        std::future::ready(Ok(response))
    });
    (BoxCloneSyncService::new(service), calls)
}

/// `slow`: 2 a minute; `fast`: 100 a second.
pub(crate) fn limiter() -> Limiter {
    Limiter::builder()
        .policy(
            Policy::new("slow", Quota::per(2, Duration::from_secs(60)).unwrap())
                .message("Slowly, please."),
        )
        .policy(Policy::new("fast", Quota::per(100, Duration::from_secs(1)).unwrap()))
        .build()
        .unwrap()
}

/// `fast` everywhere, `slow` under `/slow`; proxies in 10/8; 192.0.2.1 is allowed.
pub(crate) fn layered() -> (LimitService<Inner>, Arc<AtomicUsize>) {
    let (inner, calls) = inner();
    let layer = LimitLayer::new(limiter())
        .identify(ClientIp::trusting(["10.0.0.0/8"]))
        .rule(Rule::any().policy("fast"))
        .rule(Rule::path_prefix("/slow").policy("slow"))
        .rule(Rule::path_prefix("/health").exempt())
        .allow(["192.0.2.1", "2001:db8:1::/48"])
        .build()
        .unwrap();
    (layer.layer(inner), calls)
}

pub(crate) fn request(method: Method, path: &str, peer: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    request
        .extensions_mut()
        .insert(PeerAddr((peer.parse::<std::net::IpAddr>().unwrap(), 4_000).into()));
    request
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) async fn send<S, A, B>(service: &S, request: Request<A>) -> Answer
where
    S: Service<Request<A>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get<S, B>(service: &S, path: &str, peer: &str) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    send(service, request(Method::GET, path, peer)).await
}
