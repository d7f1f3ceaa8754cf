//! Rules whose policies count what responses tell.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use seawall_limit::{Count, Error, LimitLayer, Limiter, Policy, Quota, Rule};
use tower::{Layer as _, Service as _, service_fn};

use crate::support::{Answer, request, send};

const HOUR: Duration = Duration::from_secs(3_600);

fn limiter(units: u32, debt: u32) -> Limiter {
    let quota = Quota::per(units, HOUR).unwrap().with_debt(debt).unwrap();
    let other = Quota::per(1_000, HOUR).unwrap();
    let policies = [Policy::new("tries", quota), Policy::new("all", other)];
    Limiter::builder().policies(policies).build().unwrap()
}

/// `/401` answers so, `/bytes/n` with so many bytes, `/fail` not at all; and `x-cost` as asked.
async fn serve(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let path = request.uri().path();
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
    if let Some(status) = path.strip_prefix("/").and_then(|it| it.parse::<u16>().ok()) {
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
    } else if let Some(bytes) = path.strip_prefix("/bytes/") {
        *response.body_mut() = Full::new(Bytes::from(vec![7; bytes.parse().unwrap()]));
    } else if path == "/fail" {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    } else if path == "/never" {
        std::future::pending::<()>().await;
    }
    if let Some(cost) = request.headers().get("x-cost") {
        response.headers_mut().insert("x-cost", cost.clone());
    }
    Ok(response)
}

fn layer(limiter: &Limiter, count: Count) -> LimitLayer {
    LimitLayer::new(limiter.clone())
        .rule(Rule::any().policy("all"))
        .rule(Rule::any().policy("tries").count(count))
        .build()
        .unwrap()
}

async fn get(layer: &LimitLayer, path: &str) -> Answer {
    send(&layer.layer(service_fn(serve)), request(Method::GET, path, "1.1.1.1")).await
}

fn left(limiter: &Limiter, policy: &str) -> u32 {
    let key: std::net::IpAddr = "1.1.1.1".parse().unwrap();
    let set = limiter.set(&[policy]).unwrap();
    limiter.peek(key, &set, tokio::time::Instant::now()).remaining()
}

#[tokio::test(start_paused = true)]
async fn only_the_statuses_that_count_are_charged_and_the_fields_tell_so() {
    let limiter = limiter(3, 0);
    let layer = layer(&limiter, Count::statuses([StatusCode::UNAUTHORIZED]));
    for _ in 0..50 {
        assert_eq!(get(&layer, "/200").await.status, StatusCode::OK);
    }
    assert_eq!((left(&limiter, "tries"), left(&limiter, "all")), (3, 950));
    for rest in [2, 1, 0] {
        let answer = get(&layer, "/401").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let fields: Vec<_> = answer.headers.get_all("ratelimit").iter().collect();
        let tries = fields[1].to_str().unwrap();
        assert!(tries.starts_with(&format!("\"tries\";r={rest}")), "{tries}");
    }
    let answer = get(&layer, "/200").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.json()["violated-policies"], serde_json::json!(["tries"]));
    assert_eq!(left(&limiter, "all"), 947, "who is not let in is charged nothing");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_what_counts_requests_settles_nothing() {
    let limiter = limiter(3, 0);
    let count = Count::statuses([StatusCode::UNAUTHORIZED]);
    let layer = layer(&limiter, count);
    let key: std::net::IpAddr = "1.1.1.1".parse().unwrap();
    let _ = limiter.drain(key, &limiter.set(&["all"]).unwrap(), tokio::time::Instant::now());
    for _ in 0..5 {
        assert_eq!(get(&layer, "/401").await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(left(&limiter, "tries"), 3);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_were_handed_on_count_also_of_a_body_that_nobody_reads_on() {
    let limiter = limiter(10, 100);
    let layer = layer(&limiter, Count::Bytes { unit: 1_000 });
    assert_eq!(get(&layer, "/bytes/2001").await.body.len(), 2_001);
    assert_eq!(left(&limiter, "tries"), 7, "a unit that was begun counts");
    let body = StreamBody::new(stream::iter(
        (0..9).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[1; 1_000])))),
    ));
    let mut body = Some(body);
    let mut service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, std::io::Error>(Response::new(body.take().unwrap())))
    }));
    let response = service.call(request(Method::GET, "/", "1.1.1.1")).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..3 {
        assert_eq!(body.frame().await.unwrap().unwrap().data_ref().unwrap().len(), 1_000);
    }
    assert_eq!(left(&limiter, "tries"), 7, "not before the end");
    drop(body);
    assert_eq!(left(&limiter, "tries"), 4);
    // As debt: 50 units on 4.
    assert_eq!(get(&layer, "/bytes/50000").await.status, StatusCode::OK);
    let answer = get(&layer, "/bytes/0").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(wait, 47 * 360, "46 units of debt and one to spend");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_up_or_fails_counts_as_an_attempt_and_no_bytes() {
    let limiter = limiter(9, 0);
    let attempts = layer(&limiter, Count::statuses([StatusCode::UNAUTHORIZED]));
    let mut service = attempts.layer(service_fn(serve));
    assert!(service.call(request(Method::GET, "/fail", "1.1.1.1")).await.is_err());
    assert_eq!(left(&limiter, "tries"), 8);
    let call = service.call(request(Method::GET, "/never", "1.1.1.1"));
    assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
    assert_eq!(left(&limiter, "tries"), 7);
    let bytes = layer(&limiter, Count::Bytes { unit: 1 });
    let mut service = bytes.layer(service_fn(serve));
    assert!(service.call(request(Method::GET, "/fail", "1.1.1.1")).await.is_err());
    assert_eq!(left(&limiter, "tries"), 7);
}

#[tokio::test(start_paused = true)]
async fn a_service_may_say_itself_what_a_request_cost() {
    let limiter = limiter(100, 0);
    let cost = |answered: &seawall_limit::Answered<'_>| {
        let cost = answered.headers.get("x-cost").and_then(|cost| cost.to_str().ok());
        cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
    };
    let layer = layer(&limiter, Count::by(cost));
    let service = layer.layer(service_fn(serve));
    let mut costly = request(Method::GET, "/", "1.1.1.1");
    costly.headers_mut().insert("x-cost", 42.into());
    let _ = send(&service, costly).await;
    let _ = get(&layer, "/").await;
    assert_eq!(left(&limiter, "tries"), 58);
}

#[test]
fn a_policy_that_counts_two_things_is_refused() {
    let bytes = |unit| Rule::any().policy("tries").count(Count::Bytes { unit });
    let build = |rules: [Rule; 2]| {
        rules
            .into_iter()
            .fold(LimitLayer::new(limiter(1, 0)), seawall_limit::LimitLayerBuilder::rule)
            .build()
    };
    assert!(build([bytes(5), bytes(5)]).is_ok());
    for other in [bytes(6), Rule::any().policy("tries"), bytes(0)] {
        let error = build([bytes(5), other]).unwrap_err();
        assert!(matches!(error, Error::TwoCounts { .. } | Error::OutOfRange { .. }), "{error}");
    }
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_file_says_what_its_rules_count() {
    let text = r#"
        [[policies]]
        name = "tries"
        limit = 2
        per = "1h"
        [[rules]]
        prefix = "/"
        policies = ["tries"]
        counts = { statuses = [401, 403] }
    "#;
    let config: seawall_limit::LayerConfig = toml::from_str(text).unwrap();
    let layer = config.build().unwrap();
    for path in ["/200", "/403", "/200", "/401"] {
        assert_ne!(get(&layer, path).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(get(&layer, "/200").await.status, StatusCode::TOO_MANY_REQUESTS);
    let bad = text.replace("401", "9999");
    let config: seawall_limit::LayerConfig = toml::from_str(&bad).unwrap();
    let error = config.build().unwrap_err().to_string();
    assert!(error.contains("rules[0]") && error.contains("9999"), "{error}");
}
