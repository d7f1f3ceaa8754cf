//! The request layer below a real server: what hyper does with futures and bodies, and clients with
//! connections.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use seawall_metrics::{Handle, Recorder, RedLayer, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(30);
const DURATION: &str = "http_server_request_duration_seconds";

async fn serve(app: Router) -> (SocketAddr, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let measure = RedLayer::new()
        .recorder(recorder)
        .route(|e| e.get::<MatchedPath>().map(MatchedPath::as_str));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app.layer(measure);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (addr, handle)
}

async fn connect(addr: SocketAddr, requests: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(requests.as_bytes()).await.unwrap();
    stream
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// How often each status and error type came, and what is in flight.
fn counted(handle: &Handle) -> (BTreeMap<String, u64>, f64) {
    let mut all = BTreeMap::new();
    for metric in handle.snapshot().metrics.iter().filter(|metric| metric.name == DURATION) {
        for series in &metric.series {
            let label = |name: &str| {
                let found = series.labels.iter().find(|(label, _)| label == name);
                found.map_or("-", |(_, value)| value.as_str())
            };
            let Value::Histogram(took) = &series.value else { panic!("no histogram") };
            let outcome = format!("{} {}", label("http_response_status_code"), label("error_type"));
            *all.entry(outcome).or_default() += took.count;
        }
    }
    (all, handle.gauge_value("http_server_active_requests", &[]).unwrap_or(0.0))
}

async fn becomes(handle: &Handle, outcomes: &[(&str, u64)]) {
    let wanted: BTreeMap<String, u64> =
        outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect();
    let there = async {
        while counted(handle) != (wanted.clone(), 0.0) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LONG, there).await.is_ok(), "{:?}, not {wanted:?}", counted(handle));
}

fn chunks(count: usize) -> Body {
    let all = stream::iter(0..count).map(|_| Ok::<_, Infallible>(Bytes::from_static(b"chunk")));
    Body::from_stream(all)
}

#[tokio::test]
async fn what_a_server_sends_to_its_end_is_ok_once_whatever_its_body_is() {
    let app = Router::new()
        .route("/full", get(|| async { "hello" }))
        .route("/chunks", get(|| async { chunks(3) }))
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route("/unchanged", get(|| async { StatusCode::NOT_MODIFIED }));
    let (addr, handle) = serve(app).await;
    // One connection, as browsers do.
    let mut all = String::new();
    for path in ["/full", "/chunks", "/nothing", "/unchanged", "/none"] {
        all += &(request("GET", path) + &request("HEAD", path));
    }
    all += "GET /full HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut stream = connect(addr, &all).await;
    let mut answers = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answers)).await.unwrap().unwrap();
    becomes(&handle, &[("200 -", 5), ("204 -", 2), ("304 -", 2), ("404 -", 2)]).await;
    let (sent, minute) = ("http_server_response_body_size_bytes", Duration::from_secs(60));
    // Both GETs of `/full`, and the chunks; of HEAD nothing.
    assert!((handle.window(sent, &[], minute).sum - 25.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_cancelled_before_the_headers_and_aborted_after_them() {
    let endless = || async {
        let all = stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[7; 1024])));
        Body::from_stream(all)
    };
    let app =
        Router::new().route("/never", get(pending::<StatusCode>)).route("/endless", get(endless));
    let (addr, handle) = serve(app).await;
    let in_flight = |wanted: f64| {
        let handle = handle.clone();
        async move {
            while counted(&handle).1 < wanted {
                sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let waiting = connect(addr, &request("GET", "/never")).await;
    timeout(LONG, in_flight(1.0)).await.unwrap();
    drop(waiting);
    becomes(&handle, &[("- cancelled", 1)]).await;
    let mut reading = connect(addr, &request("GET", "/endless")).await;
    reading.read_exact(&mut [0; 4096]).await.unwrap();
    drop(reading);
    becomes(&handle, &[("- cancelled", 1), ("200 aborted", 1)]).await;
}

#[tokio::test]
async fn a_body_that_panics_or_fails_below_a_server_is_the_servers_fault() {
    let broken = || async {
        let frames = [Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))];
        Body::from_stream(stream::iter(frames))
    };
    let panics = || async {
        let frames = stream::iter(0..2).map(|n| {
            assert!(n == 0, "expected by the test");
            Ok::<_, Infallible>(Bytes::from_static(b"x"))
        });
        Body::from_stream(frames)
    };
    let app = Router::new().route("/broken", get(broken)).route("/panics", get(panics));
    let (addr, handle) = serve(app).await;
    for path in ["/broken", "/panics"] {
        let mut stream = connect(addr, &request("GET", path)).await;
        // It ends by a close or by a reset.
        let _ = timeout(LONG, stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
    becomes(&handle, &[("200 body_error", 1), ("200 panic", 1)]).await;
}

#[cfg(feature = "listener")]
#[tokio::test]
async fn a_connection_that_changes_its_protocol_ends_with_its_headers_and_goes_on() {
    use axum::extract::Request;
    use axum::http::Response;
    use hyper_util::rt::TokioIo;

    let upgrade = |mut request: Request| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut word = [0; 4];
            io.read_exact(&mut word).await.unwrap();
            io.write_all(&word).await.unwrap();
        });
        let head = Response::builder().status(101).header("connection", "upgrade");
        head.header("upgrade", "echo").body(Body::empty()).unwrap()
    };
    let (addr, handle) = serve(Router::new().route("/socket", get(upgrade))).await;
    let ask = "GET /socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut stream = connect(addr, ask).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LONG, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    // Open still, and no request any more.
    becomes(&handle, &[("101 -", 1)]).await;
    stream.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    timeout(LONG, stream.read_exact(&mut word)).await.unwrap().unwrap();
    assert_eq!(&word, b"ping");
    becomes(&handle, &[("101 -", 1)]).await;
}
