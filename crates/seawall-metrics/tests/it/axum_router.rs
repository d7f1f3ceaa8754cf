use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::MatchedPath;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use seawall_metrics::{Recorder, RedLayer};
use tower::ServiceExt;

#[tokio::test]
async fn in_an_axum_router_the_label_is_the_template_and_a_404_is_unmatched() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let measure = RedLayer::new()
        .recorder(recorder)
        .route(|e| e.get::<MatchedPath>().map(MatchedPath::as_str));
    let app = Router::new()
        .route("/users/{id}", get(|| async { "hello" }))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(measure)
        .route_service("/metrics", handle.service());
    let fetch = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for path in ["/users/1", "/users/2", "/wp-login.php", "/.env"] {
        fetch(path).await;
    }
    let count = |route: &str| {
        let over = Duration::from_secs(60);
        let name = "http_server_request_duration_seconds";
        handle.window(name, &[("http_route", route)], over).count
    };
    assert_eq!((count("/users/{id}"), count("unmatched")), (2, 2));
    let (status, text) = fetch("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let hello = "http_server_response_body_size_bytes_sum\
                 {http_request_method=\"GET\",http_route=\"/users/{id}\"} 10\n";
    assert!(text.contains(hello), "{text}");
}
