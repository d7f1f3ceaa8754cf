//! A small service under made-up traffic: live percentiles of the last ten
//! seconds by route, a condition over them, and `/metrics` on a loopback port.
//!
//! `cargo run --release --example metrics`, or with how many seconds it shall
//! run, to look at its address meanwhile: `cargo run --release --example metrics -- 60`
//!
//! In a terminal the table is redrawn in place; into a file or a pipe it is
//! written once, at the end. It ends by itself, after three seconds if not told.

#![expect(clippy::print_stdout, reason = "an example speaks to its terminal")]

use std::error::Error;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use seawall_metrics::{Active, ActiveConfig, Aliases, Handle, Recorder, RedLayer, Resources};
use seawall_signal::{Condition, Evaluator, Signals, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep};
use tower::ServiceExt;

const SECONDS: u64 = 3;
const REDRAW: Duration = Duration::from_millis(250);
const DURATION: &str = "http_server_request_duration_seconds";

/// Route, a path of it, requests per second, median in seconds, spread.
const STREAMS: [(&str, &str, u64, f64, f64); 3] = [
    ("/auctions", "/auctions", 400, 0.004, 0.5),
    ("/auctions/{id}", "/auctions/17", 250, 0.008, 0.6),
    ("/auctions/{id}/bids", "/auctions/17/bids", 100, 0.020, 0.9),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seconds = match std::env::args().nth(1) {
        None => SECONDS,
        Some(given) => given.parse().map_err(|_| format!("not a number of seconds: {given}"))?,
    };
    let metrics = Recorder::builder().install()?;
    let resources = Resources::spawn(Duration::from_secs(1))?;
    let users = Active::new("active_users", ActiveConfig::default())?;

    let app = Router::new()
        .route("/auctions", get(|| answer(0)))
        .route("/auctions/{id}", get(|_: Path<u32>| answer(1)))
        .route("/auctions/{id}/bids", get(|_: Path<u32>| answer(2)))
        .layer(RedLayer::new().route(|e| e.get::<MatchedPath>().map(MatchedPath::as_str)));
    for stream in STREAMS {
        tokio::spawn(traffic(app.clone(), users.clone(), stream));
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let scrape = Router::new().route_service("/metrics", metrics.service());
    tokio::spawn(async move { axum::serve(listener, scrape).await });
    println!("http://{address}/metrics serves until this ends, in {seconds} s\n");

    let slow = "p95(http_request_duration, 10s) > 50ms for 1s";
    let mut slow = Evaluator::new(Condition::parse(slow)?);
    let mut screen = Screen { live: stdout().is_terminal(), drawn: 0 };
    let end = Instant::now() + Duration::from_secs(seconds.min(86_400));
    let mut redraw = interval(REDRAW);
    loop {
        redraw.tick().await;
        let mut signals = Signals::new();
        let now = Instant::now();
        metrics.feed(&mut signals, now);
        resources.feed(&mut signals, now);
        users.publish(now);
        let is_slow = slow.step(&signals, now);
        let mut lines = table(&metrics);
        lines.push(String::new());
        let in_flight = metrics.gauge_value("http_server_active_requests", &[]).unwrap_or(0.0);
        lines.push(format!("{:<22} {in_flight:>7.0}", "in flight"));
        lines.push(format!("{:<22} {:>7.0}", "active users, 5 min", users.estimate()));
        for (name, signal) in [
            ("CPU of the host", "cpu_usage"),
            ("memory of the host", "memory_usage"),
            ("tokio's workers busy", "runtime_usage"),
        ] {
            let share = signals.get(signal).map_or(f64::NAN, |it| it.value * 100.0);
            lines.push(format!("{name:<22} {}", number(share, 7, " %")));
        }
        let answer = format!("{is_slow:?}").to_lowercase();
        lines.push(format!("{} is {answer}", slow.condition()));
        let last = Instant::now() >= end;
        screen.draw(&lines, last)?;
        if last {
            break;
        }
    }

    println!("\nGET /metrics, as Prometheus sees it:\n");
    let text = fetch(&address.to_string()).await?;
    excerpt(&text, |line| {
        line.starts_with(DURATION)
            && line.contains("\"200\",http_route=\"/auctions/{id}/bids")
            && shown(line, ["0.05", "0.1", "+Inf"])
    });
    println!("\nand under the name that older dashboards ask for:\n");
    let aliased = metrics.render_with(&Aliases::required());
    excerpt(&aliased, |line| {
        line.starts_with("http_request_duration_ms")
            && line.contains("\"/auctions/{id}/bids\",status_code=\"200\"")
            && shown(line, ["50.0", "100.0", "+Inf"])
    });
    Ok(())
}

/// Takes as long as its stream says; one request in fifty fails.
async fn answer(stream: usize) -> StatusCode {
    let mut random = StdRng::from_os_rng();
    let (_, _, _, median, spread) = STREAMS[stream];
    if let Ok(latency) = LogNormal::new(median.ln(), spread) {
        sleep(Duration::from_secs_f64(latency.sample(&mut random).min(1.0))).await;
    }
    if random.random_ratio(1, 50) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// Requests at a steady rate, whatever becomes of those before.
async fn traffic(app: Router, users: Active, stream: (&str, &'static str, u64, f64, f64)) {
    let (_, path, per_second, ..) = stream;
    let mut every = interval(Duration::from_micros(1_000_000 / per_second));
    for request in 0_u64.. {
        every.tick().await;
        users.seen((request % 500).to_le_bytes());
        let app = app.clone();
        tokio::spawn(async move {
            let Ok(request) = Request::get(path).body(Body::empty()) else { return };
            let Ok(response) = app.oneshot(request).await;
            let _ = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        });
    }
}

/// No wider than 80 columns: a line that a terminal breaks cannot be redrawn.
fn table(metrics: &Handle) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<22} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "last 10 s, times in ms", "rate/s", "errors", "p50", "p95", "p99", "p99.9", "max"
    )];
    let over = Duration::from_secs(10);
    for route in STREAMS.map(|it| Some(it.0)).into_iter().chain([None]) {
        let label = route.map(|route| ("http_route", route));
        let labels: Vec<_> = label.into_iter().collect();
        let window = metrics.window(DURATION, &labels, over);
        let mut failed = labels.clone();
        failed.push(("error_type", "503"));
        let failed = metrics.window(DURATION, &failed, over).count as f64 / window.count as f64;
        let mut line = format!("{:<22} {:>7.1}", route.unwrap_or("(all)"), window.rate);
        // An empty window has no percentiles, and no share of errors.
        line += &number(failed * 100.0, 6, " %");
        for value in [window.p50, window.p95, window.p99, window.p999, window.max] {
            line += &number(value * 1000.0, 8, "");
        }
        lines.push(line);
    }
    lines
}

fn number(value: f64, width: usize, unit: &str) -> String {
    if value.is_nan() {
        format!("{:>1$}", "-", width + unit.len())
    } else {
        format!("{value:>width$.1}{unit}")
    }
}

/// Draws over what it drew before, if it draws for a terminal.
struct Screen {
    live: bool,
    drawn: usize,
}

impl Screen {
    fn draw(&mut self, lines: &[String], last: bool) -> std::io::Result<()> {
        if !self.live && !last {
            return Ok(());
        }
        let mut out = stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in lines {
            let clear = if self.live { "\x1b[2K" } else { "" };
            writeln!(out, "{clear}{line}")?;
        }
        self.drawn = lines.len();
        out.flush()
    }
}

/// A scrape over the wire.
async fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// A bucket of these bounds, the sum or the count.
fn shown(line: &str, bounds: [&str; 3]) -> bool {
    !line.contains("_bucket") || bounds.iter().any(|le| line.contains(&format!("le=\"{le}\"")))
}

/// The lines wanted, as they are, and how many lines there are in all.
fn excerpt(text: &str, wanted: impl Fn(&str) -> bool) {
    for line in text.lines().filter(|line| wanted(line)) {
        println!("  {line}");
    }
    println!("  ... of {} lines", text.lines().count());
}
