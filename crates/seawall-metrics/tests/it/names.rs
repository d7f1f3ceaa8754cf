//! Everything this crate records by itself, with the required aliases, judged by promtool and stored by a
//! real Prometheus.

use std::convert::Infallible;
use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::{Request, Response};
use seawall_devstack::Prometheus;
use seawall_metrics::{
    Active, ActiveConfig, Aliases, Handle, ListenerConfig, Recorder, RedLayer, VitalsConfig,
    VitalsService,
};
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::prometheus::{eventually, scraped_by, value};

/// One of each: requests, web vitals, active users, resources, the required metrics of others.
async fn everything() -> (Recorder, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let layer = RedLayer::new().recorder(recorder.clone());
    let service = layer.layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("answer")))
    }));
    let answer = service.oneshot(Request::new(Body::empty())).await.unwrap();
    axum::body::to_bytes(Body::new(answer.into_body()), 100).await.unwrap();
    let vitals = metrics::with_local_recorder(&recorder, || {
        metrics::describe_counter!("seawall_cache_requests_total", "Reads, by what ended them.");
        metrics::counter!("seawall_cache_requests_total",
            "cache" => "items", "layer" => "l1", "result" => "hit")
        .increment(7);
        metrics::describe_histogram!("db_query_duration_seconds", "Time of queries.");
        metrics::histogram!("db_query_duration_seconds", "query_type" => "select", "table" => "bids")
            .record(0.25);
        let active = Active::new("active_users", ActiveConfig::default()).unwrap();
        active.seen("user-17");
        active.publish(Instant::now());
        #[cfg(feature = "resources")]
        {
            let mut sampler = seawall_metrics::Sampler::new();
            let now = Instant::now();
            sampler.sample_system(now);
            sampler.sample_process();
            sampler.sample_cgroup(now);
            sampler.sample_runtime(&tokio::runtime::Handle::current(), now);
        }
        VitalsService::new(VitalsConfig::default()).unwrap()
    });
    let beacon = Request::post("/vitals")
        .header("host", "shop.example")
        .header("origin", "https://shop.example")
        .header("content-type", "text/plain");
    let beacon = beacon.body(Body::from("LCP=1200.5&CLS=0.02&TTFB=80&FCP=600&INP=48")).unwrap();
    assert_eq!(vitals.oneshot(beacon).await.unwrap().status(), 204);
    (recorder, handle)
}

/// What `promtool check metrics` finds.
fn findings(prometheus: &Prometheus, text: &str) -> Vec<String> {
    let mut promtool = Command::new(prometheus.promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_default_metrics_follow_the_rules_and_of_the_required_names_only_milliseconds_do_not() {
    let (_recorder, handle) = everything().await;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let service = handle.service().with_aliases(Aliases::required());
    let listener = service.listen(any, ListenerConfig::default()).await.unwrap();
    // It asks for OpenMetrics, and for protobuf.
    for feature in ["exemplar-storage", "native-histograms"] {
        let stack = scraped_by(&listener, |stack| stack.prometheus_feature(feature)).await;
        let prometheus = stack.prometheus().unwrap();
        if feature == "exemplar-storage" {
            let found = findings(prometheus, &handle.render());
            assert_eq!(found, Vec::<String>::new());
            let found = findings(prometheus, &handle.render_with(&Aliases::required()));
            assert!(!found.is_empty(), "milliseconds are no longer found");
            for finding in &found {
                let (name, text) = finding.split_once(' ').unwrap();
                let named = ["http_request_duration_ms", "db_query_duration_ms"].contains(&name);
                assert!(named && text.contains("unit"), "{finding}");
            }
        }
        let all = || async { value(prometheus, "cache_hits_total").await == Some(7.0) };
        eventually("a scrape with the aliases", all).await;
        assert_eq!(value(prometheus, "up").await, Some(1.0), "{feature}");
        // Seconds x 1000, whichever form they came in.
        let (sum, count, seconds) = if feature == "exemplar-storage" {
            (
                "http_request_duration_ms_sum",
                "db_query_duration_ms_bucket{le=\"500.0\"}",
                "http_server_request_duration_seconds_sum",
            )
        } else {
            (
                "histogram_sum(http_request_duration_ms)",
                "histogram_count(db_query_duration_ms)",
                "histogram_sum(http_server_request_duration_seconds)",
            )
        };
        let (ms, seconds) = (value(prometheus, sum).await, value(prometheus, seconds).await);
        let (ms, seconds) = (ms.unwrap(), seconds.unwrap());
        assert!(ms > 0.0 && (ms / (seconds * 1000.0) - 1.0).abs() < 1e-9, "{ms} {seconds}");
        assert_eq!(value(prometheus, count).await, Some(1.0), "{feature}");
    }
}
