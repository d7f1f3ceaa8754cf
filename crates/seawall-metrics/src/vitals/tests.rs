use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::request::Builder;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use metrics::with_local_recorder;
use proptest::prelude::*;
use tower::ServiceExt;

use super::*;
use crate::{Handle, Recorder};

fn service(config: VitalsConfig) -> (VitalsService, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let service = with_local_recorder(&recorder, || VitalsService::new(config)).unwrap();
    (service, handle)
}

/// A beacon as a browser sends it.
fn post() -> Builder {
    Request::post("/vitals")
        .header("host", "shop.example")
        .header("origin", "https://shop.example")
        .header("content-type", "text/plain;charset=UTF-8")
}

async fn send(service: &VitalsService, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    service.clone().oneshot(request).await.unwrap()
}

async fn body(service: &VitalsService, body: &str) -> StatusCode {
    send(service, post().body(Full::from(body.to_owned())).unwrap()).await.status()
}

fn rejected(handle: &Handle, reason: &str) -> u64 {
    handle.counter_value("web_vitals_rejected_total", &[("reason", reason)]).unwrap()
}

fn taken(handle: &Handle, metric: &str, rating: &str) -> u64 {
    handle.counter_value("web_vitals_total", &[("metric", metric), ("rating", rating)]).unwrap()
}

#[tokio::test]
async fn a_beacon_is_recorded_in_base_units_and_rated() {
    let (service, handle) = service(VitalsConfig::default());
    let text = "TTFB=812.5000&CLS=0.0213&FCP=1800&LCP=4000.1&INP=72";
    assert_eq!(body(&service, text).await, StatusCode::NO_CONTENT);
    let minute = Duration::from_secs(60);
    for (metric, expected) in [
        ("web_vitals_ttfb_seconds", 0.8125),
        ("web_vitals_cls_score", 0.0213),
        ("web_vitals_fcp_seconds", 1.8),
        ("web_vitals_lcp_seconds", 4.0001),
        ("web_vitals_inp_seconds", 0.072),
    ] {
        let window = handle.window(metric, &[], minute);
        assert_eq!(window.count, 1, "{metric}");
        assert!((window.sum - expected).abs() < 1e-9, "{metric} {}", window.sum);
    }
    assert_eq!(taken(&handle, "ttfb", "needs-improvement"), 1);
    assert_eq!(taken(&handle, "cls", "good"), 1);
    assert_eq!(taken(&handle, "fcp", "good"), 1);
    assert_eq!(taken(&handle, "lcp", "poor"), 1);
    assert_eq!(taken(&handle, "inp", "good"), 1);
    assert_eq!(handle.counter_value("web_vitals_total", &[]), Some(5));
}

#[tokio::test]
async fn the_thresholds_are_the_published_ones_and_belong_to_the_better_side() {
    let (service, handle) = service(VitalsConfig::default());
    for (key, good, poor) in [
        ("LCP", 2500.0, 4000.0),
        ("INP", 200.0, 500.0),
        ("CLS", 0.1, 0.25),
        ("TTFB", 800.0, 1800.0),
        ("FCP", 1800.0, 3000.0),
    ] {
        for value in [good, good + 0.01, poor, poor + 0.01] {
            assert_eq!(body(&service, &format!("{key}={value}")).await, 204);
        }
        let metric = key.to_lowercase();
        let rated = ["good", "needs-improvement", "poor"].map(|it| taken(&handle, &metric, it));
        assert_eq!(rated, [1, 2, 1], "{key}");
    }
}

#[tokio::test]
async fn garbage_is_refused_and_counted_and_never_a_server_error() {
    let (service, handle) = service(VitalsConfig::default());
    let malformed =
        ["", "hello", "LCP", "LCP=", "LCP=fast", "LCP=1&", "{\"LCP\":1}", "LCP=1=2", "\u{fc}"];
    for text in malformed {
        assert_eq!(body(&service, text).await, 400, "{text}");
    }
    assert_eq!(rejected(&handle, "malformed"), malformed.len() as u64);
    let binary = post().body(Full::from(&[0xff, 0xfe, b'=', b'1'][..])).unwrap();
    assert_eq!(send(&service, binary).await.status(), 400);
    assert_eq!(body(&service, &"A=1&".repeat(20)).await, 400);
    assert_eq!(handle.counter_value("web_vitals_total", &[]), Some(0));
}

#[tokio::test]
async fn one_bad_part_is_counted_and_the_others_are_taken() {
    let (service, handle) = service(VitalsConfig::default());
    let text = "LCP=1000&FID=3&CLS=-1&INP=NaN&TTFB=inf&FCP=600001&LCP=9";
    assert_eq!(body(&service, text).await, 204);
    assert_eq!(handle.counter_value("web_vitals_total", &[]), Some(1));
    assert_eq!(taken(&handle, "lcp", "good"), 1);
    // FID is no longer a web vital, and the second LCP is one too many.
    assert_eq!(rejected(&handle, "unknown_metric"), 2);
    assert_eq!(rejected(&handle, "out_of_bounds"), 4);
    assert!(!handle.render().contains("FID"));
}

#[tokio::test]
async fn only_pages_of_the_same_host_may_post_unless_others_are_named() {
    let from = |origin: Option<&str>| {
        let mut request = Request::post("/vitals")
            .header("host", "shop.example")
            .header("content-type", "text/plain");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Full::from("LCP=1")).unwrap()
    };
    let (own, handle) = service(VitalsConfig::default());
    for (origin, status) in [
        (Some("https://shop.example"), 204),
        (Some("HTTPS://Shop.Example"), 204),
        (Some("https://shop.example.evil.test"), 403),
        (Some("https://evil.test"), 403),
        (Some("null"), 403),
        (None, 403),
    ] {
        assert_eq!(send(&own, from(origin)).await.status(), status, "{origin:?}");
    }
    assert_eq!(rejected(&handle, "origin"), 4);
    // HTTP/2: the host is in the address.
    let request = Request::post("https://shop.example/vitals")
        .header("origin", "https://shop.example")
        .header("content-type", "text/plain")
        .body(Full::from("LCP=1"))
        .unwrap();
    assert_eq!(send(&own, request).await.status(), 204);
    let origins = vec!["https://www.example".to_owned()];
    let (named, _) = service(VitalsConfig { origins, ..VitalsConfig::default() });
    assert_eq!(send(&named, from(Some("https://www.example"))).await.status(), 204);
    assert_eq!(send(&named, from(Some("https://shop.example"))).await.status(), 403);
}

#[tokio::test]
async fn other_types_are_refused_before_the_body_is_read() {
    let (service, handle) = service(VitalsConfig::default());
    for (kind, status) in [
        (Some("application/json"), 415),
        (Some("text/plainer"), 415),
        (None, 415),
        (Some("application/x-www-form-urlencoded"), 204),
        (Some("Text/Plain"), 204),
    ] {
        let mut request = post();
        let headers = request.headers_mut().unwrap();
        headers.remove("content-type");
        if let Some(kind) = kind {
            headers.insert("content-type", kind.parse().unwrap());
        }
        let request = request.body(Full::from("LCP=1")).unwrap();
        assert_eq!(send(&service, request).await.status(), status, "{kind:?}");
    }
    assert_eq!(rejected(&handle, "content_type"), 3);
}

#[tokio::test]
async fn a_large_body_is_refused_whether_it_says_so_or_not() {
    let (service, handle) = service(VitalsConfig::default());
    let announced = post().header("content-length", "1025").body(Full::from("LCP=1")).unwrap();
    assert_eq!(send(&service, announced).await.status(), 413);
    let endless = stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[b'A'; 100])))
    });
    let request = post().body(StreamBody::new(endless)).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(rejected(&handle, "too_large"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_or_breaks_off_is_given_up() {
    let (service, handle) = service(VitalsConfig::default());
    let part = || stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("LCP=1")))]);
    let slow = post().body(StreamBody::new(part().chain(stream::pending()))).unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(service.clone().oneshot(slow).await.unwrap().status(), 400);
    assert_eq!(start.elapsed().as_secs(), 5);
    let broken = part().chain(stream::iter([Err(std::io::Error::other("gone"))]));
    let broken = post().body(StreamBody::new(broken)).unwrap();
    assert_eq!(service.clone().oneshot(broken).await.unwrap().status(), 400);
    assert_eq!(rejected(&handle, "body"), 2);
    assert_eq!(handle.counter_value("web_vitals_total", &[]), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_to_the_rate_and_strangers_do_not_use_it_up() {
    let config = VitalsConfig { max_per_second: 10, ..VitalsConfig::default() };
    let (service, handle) = service(config);
    for _ in 0..100 {
        let stranger = Request::post("/vitals").body(Full::from("LCP=1")).unwrap();
        assert_eq!(send(&service, stranger).await.status(), 403);
    }
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(body(&service, "LCP=1").await.as_u16());
    }
    assert_eq!(statuses.iter().filter(|it| **it == 204).count(), 10);
    assert_eq!(rejected(&handle, "rate"), 20);
    tokio::time::advance(Duration::from_millis(500)).await;
    let mut taken = 0;
    while body(&service, "LCP=1").await == 204 {
        taken += 1;
    }
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn the_script_is_at_most_a_kilobyte_and_names_what_the_service_takes() {
    assert!(VITALS_SCRIPT.len() <= 1024, "{} bytes", VITALS_SCRIPT.len());
    assert!(VITALS_SCRIPT.is_ascii());
    for key in ["LCP", "INP", "CLS", "TTFB", "FCP"] {
        assert!(VITALS_SCRIPT.contains(&format!("v.{key}=")), "{key}");
    }
    let (service, _) = service(VitalsConfig::default());
    let get = Request::get("/vitals").body(Full::default()).unwrap();
    let response = send(&service, get).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, VITALS_SCRIPT);
    let head = Request::head("/vitals").body(Full::default()).unwrap();
    let response = send(&service, head).await;
    assert_eq!(response.status(), 200);
    // What a GET would have had, or nothing: never the 0 of its own body.
    let length = VITALS_SCRIPT.len().to_string();
    assert_eq!(response.headers()["content-length"], length.as_str());
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    let put = Request::put("/vitals").body(Full::default()).unwrap();
    let response = send(&service, put).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"GET, HEAD, POST".parse().unwrap())
    );
}

#[tokio::test]
async fn the_service_stands_in_a_router_as_it_is() {
    let (service, handle) = service(VitalsConfig::default());
    let app = axum::Router::new().route_service("/vitals", service);
    let request = post().body(axum::body::Body::from("LCP=1200.5")).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 204);
    assert_eq!(taken(&handle, "lcp", "good"), 1);
}

#[test]
fn settings_out_of_bounds_are_named() {
    let config = VitalsConfig::default();
    for (config, says) in [
        (VitalsConfig { max_bytes: 63, ..config.clone() }, "max_bytes is 63: must be 64 to 65536"),
        (VitalsConfig { max_per_second: 0, ..config.clone() }, "max_per_second is 0"),
        (VitalsConfig { timeout: Duration::ZERO, ..config.clone() }, "timeout is 0"),
        (VitalsConfig { origins: vec!["shop.example".into()], ..config }, "origins is 0"),
    ] {
        let error = VitalsService::new(config).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    // None of these is ever what a browser writes: nobody could post.
    let with = |origin: &str| {
        let origins = vec!["https://a.example".to_owned(), origin.to_owned()];
        VitalsConfig { origins, ..VitalsConfig::default() }.validate()
    };
    for wrong in [
        "",
        "https://",
        "://shop.example",
        "https://shop.example/",
        "https://shop.example/shop",
        "https://shop.example?a",
        "https://user@shop.example",
        "https://shop.example ",
        "https://*.shop.example",
        "https://shop.example:443",
        "http://shop.example:80",
    ] {
        let error = with(wrong).unwrap_err().to_string();
        assert!(error.starts_with("origins is 1: must be"), "{wrong}: {error}");
    }
    for right in ["https://shop.example", "http://[::1]:8080", "https://shop.example:8443"] {
        assert!(with(right).is_ok(), "{right}");
    }
}

proptest! {
    #[test]
    fn no_body_panics_and_what_is_taken_is_in_bounds(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "((LCP|CLS|INP|x)=(-?[0-9]{1,9}(\\.[0-9])?|1e99|NaN)&?){0,8}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(parts) = beacon::read(&body) {
            for (vital, value) in parts.into_iter().flatten() {
                prop_assert!(value >= 0.0 && value <= vital.most());
            }
        }
    }
}
