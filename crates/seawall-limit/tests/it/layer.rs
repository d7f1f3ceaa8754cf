//! The quota layer.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use seawall_limit::{ClientIp, Error, Key, LimitLayer, Rule};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::{get, inner, layered, limiter, request, send};

#[tokio::test(start_paused = true)]
async fn the_service_is_not_called_for_a_rejected_request() {
    let (service, calls) = layered();
    for _ in 0..2 {
        assert_eq!(get(&service, "/slow", "1.1.1.1").await.status, StatusCode::OK);
    }
    let rejected = get(&service, "/slow", "1.1.1.1").await;
    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(rejected.header("content-type"), Some("application/problem+json"));
    assert_eq!(rejected.header("cache-control"), Some("no-store"));
    assert_eq!(rejected.header("retry-after"), Some("30"));
    assert_eq!(rejected.header("ratelimit"), Some("\"slow\";r=0;t=30"));
    assert_eq!(rejected.header("ratelimit-policy"), Some("\"slow\";q=2;w=60, \"fast\";q=100;w=1"));
    assert_eq!(
        rejected.json(),
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota exceeded",
            "status": 429,
            "detail": "Slowly, please.",
            "violated-policies": ["slow"],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn coming_back_when_told_succeeds_and_a_second_earlier_does_not() {
    let (service, _) = layered();
    for _ in 0..2 {
        get(&service, "/slow", "1.1.1.1").await;
    }
    tokio::time::advance(Duration::from_secs(29)).await;
    let rejected = get(&service, "/slow", "1.1.1.1").await;
    assert_eq!(
        (rejected.status, rejected.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, Some("1"))
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(get(&service, "/slow", "1.1.1.1").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn admitted_and_failing_responses_tell_how_the_quota_stands() {
    let (service, _) = layered();
    let admitted = get(&service, "/slow", "1.1.1.1").await;
    assert_eq!(admitted.header("ratelimit"), Some("\"slow\";r=1;t=30"));
    assert_eq!(admitted.header("retry-after"), None);
    assert_eq!(admitted.body, "ok");
    let failing = get(&service, "/fail", "1.1.1.1").await;
    assert_eq!(failing.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(failing.header("ratelimit"), Some("\"fast\";r=98;t=1"));
    assert_eq!(failing.header("ratelimit-policy"), Some("\"fast\";q=100;w=1"));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_charges_no_other_policy() {
    let (service, _) = layered();
    for _ in 0..60 {
        get(&service, "/slow", "1.1.1.1").await;
    }
    assert_eq!(get(&service, "/", "1.1.1.1").await.header("ratelimit"), Some("\"fast\";r=97;t=1"));
}

#[tokio::test(start_paused = true)]
async fn all_policies_that_reject_are_listed() {
    let (service, _) = layered();
    for path in std::iter::repeat_n("/slow", 2).chain(std::iter::repeat_n("/", 98)) {
        assert_eq!(get(&service, path, "1.1.1.1").await.status, StatusCode::OK);
    }
    let rejected = get(&service, "/slow", "1.1.1.1").await;
    assert_eq!(rejected.json()["violated-policies"], serde_json::json!(["slow", "fast"]));
    assert_eq!(rejected.json()["detail"], "Slowly, please.");
    assert_eq!(rejected.header("retry-after"), Some("30"));
}

#[tokio::test(start_paused = true)]
async fn exempt_and_allowed_requests_are_neither_charged_nor_told() {
    let (service, calls) = layered();
    for _ in 0..300 {
        assert_eq!(get(&service, "/health", "1.1.1.1").await.header("ratelimit"), None);
        assert_eq!(get(&service, "/slow", "192.0.2.1").await.header("ratelimit"), None);
        assert_eq!(get(&service, "/slow", "2001:db8:1::9").await.status, StatusCode::OK);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 900);
    assert_eq!(
        get(&service, "/slow", "1.1.1.1").await.header("ratelimit"),
        Some("\"slow\";r=1;t=30")
    );
}

#[tokio::test(start_paused = true)]
async fn a_forged_header_is_no_way_onto_the_allow_list() {
    let (service, _) = layered();
    let forged = || {
        let mut request = request(Method::GET, "/slow", "1.1.1.1");
        request.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
        request
    };
    for _ in 0..2 {
        send(&service, forged()).await;
    }
    assert_eq!(send(&service, forged()).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(start_paused = true)]
async fn clients_behind_a_trusted_proxy_do_not_share() {
    let (service, _) = layered();
    for client in ["1.1.1.1", "2.2.2.2", "3.3.3.3"] {
        let mut request = request(Method::GET, "/slow", "10.0.0.1");
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        assert_eq!(send(&service, request).await.header("ratelimit"), Some("\"slow\";r=1;t=30"));
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_subscriber_share() {
    let (service, _) = layered();
    assert_eq!(
        get(&service, "/slow", "2001:db8::1").await.header("ratelimit"),
        Some("\"slow\";r=1;t=30")
    );
    assert_eq!(
        get(&service, "/slow", "2001:db8::ffff:2").await.header("ratelimit"),
        Some("\"slow\";r=0;t=30")
    );
    assert_eq!(get(&service, "/slow", "2001:db8::3").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(get(&service, "/slow", "2001:db8:0:1::1").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn clients_without_an_address_share_one_quota_and_are_not_let_through() {
    let (service, _) = layered();
    let bare = || Request::get("/slow").body(Full::<Bytes>::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(send(&service, bare()).await.status, StatusCode::OK);
    }
    assert_eq!(send(&service, bare()).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(start_paused = true)]
async fn an_extension_of_the_server_and_a_key_of_the_user_are_taken() {
    #[derive(Clone)]
    struct ConnectInfo(SocketAddr);

    let (inner, _) = inner();
    let layer = LimitLayer::new(limiter())
        .identify(ClientIp::direct().peer(|ext| ext.get::<ConnectInfo>().map(|info| info.0.ip())))
        .key_by(|head| head.headers.get("x-api-key")?.to_str().ok().map(Key::Text))
        .rule(Rule::any().policy("slow"))
        .build()
        .unwrap();
    let service = layer.layer(inner);
    let ask = |key: Option<&str>, peer: &str| {
        let mut request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse().unwrap()));
        if let Some(key) = key {
            request.headers_mut().insert("x-api-key", key.parse().unwrap());
        }
        let service = service.clone();
        async move { send(&service, request).await.header("ratelimit").unwrap().to_owned() }
    };
    assert_eq!(ask(Some("k"), "1.1.1.1:1").await, "\"slow\";r=1;t=30");
    assert_eq!(ask(Some("k"), "2.2.2.2:1").await, "\"slow\";r=0;t=30");
    assert_eq!(ask(None, "1.1.1.1:1").await, "\"slow\";r=1;t=30");
    assert_eq!(ask(None, "1.1.1.1:2").await, "\"slow\";r=0;t=30");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_head_request_has_no_content() {
    let (service, _) = layered();
    for _ in 0..2 {
        get(&service, "/slow", "1.1.1.1").await;
    }
    let rejected = send(&service, request(Method::HEAD, "/slow", "1.1.1.1")).await;
    assert_eq!((rejected.status, rejected.body.len()), (StatusCode::TOO_MANY_REQUESTS, 0));
    assert_eq!(rejected.header("retry-after"), Some("30"));
    let length = get(&service, "/slow", "1.1.1.1").await.body.len().to_string();
    assert_eq!(rejected.header("content-length"), Some(length.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_at_any_point_is_charged_once() {
    let layer = LimitLayer::new(limiter()).rule(Rule::any().policy("fast")).build().unwrap();
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, ()>>()
    });
    let mut service = layer.layer(hangs);
    let mut left = 100;
    for polls in 0..3 {
        let service = service.ready().await.unwrap();
        let call = service.call(request(Method::GET, "/", "1.1.1.1"));
        let mut call = pin!(call);
        for _ in 0..polls {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        left -= 1;
    }
    // The same limiter, around a service that answers.
    let answered = get(&layer.layer(inner().0), "/", "1.1.1.1").await;
    assert_eq!(answered.header("ratelimit"), Some(format!("\"fast\";r={};t=1", left - 1).as_str()));
}

#[tokio::test(start_paused = true)]
async fn two_layers_both_keep_their_fields() {
    let (inner, _) = inner();
    let layer =
        |name: &str| LimitLayer::new(limiter()).rule(Rule::any().policy(name)).build().unwrap();
    let service = layer("fast").layer(layer("slow").layer(inner));
    let answer = get(&service, "/", "1.1.1.1").await;
    let states: Vec<_> = answer.headers.get_all("ratelimit").iter().collect();
    assert_eq!(states, ["\"slow\";r=1;t=30", "\"fast\";r=99;t=1"]);
}

#[test]
fn a_layer_that_cannot_work_is_not_built() {
    let build = |layer: seawall_limit::LimitLayerBuilder| {
        layer.rule(Rule::any().policy("fast")).build().err()
    };
    let bad = Some(Error::Network { text: "10.0.0.0/99".into() });
    assert_eq!(
        build(LimitLayer::new(limiter()).identify(ClientIp::trusting(["10.0.0.0/99"]))),
        bad
    );
    assert_eq!(build(LimitLayer::new(limiter()).allow(["10.0.0.0/99"])), bad);
    let prefix = build(LimitLayer::new(limiter()).identify(ClientIp::direct().ipv6_prefix(0)));
    assert!(matches!(prefix, Some(Error::OutOfRange { field: "ipv6_prefix", .. })));
    assert_eq!(build(LimitLayer::new(limiter())), None);
}
