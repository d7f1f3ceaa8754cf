//! Two threads record latencies for two seconds; then the windows are printed
//! as a table, and the start of what Prometheus would scrape.
//!
//! `cargo run --example metrics`

#![expect(clippy::print_stdout, reason = "an example speaks to its terminal")]

use std::thread;
use std::time::Duration;

use metrics::{counter, histogram};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal};
use seawall_metrics::{Error, Handle, Recorder, Window};
use tokio::time::{interval, sleep};

const RUN: Duration = Duration::from_secs(2);

/// Route, requests per ms, median latency in seconds, spread.
const STREAMS: [(&str, u32, f64, f64); 2] =
    [("/auctions", 4, 0.004, 0.6), ("/auctions/{id}/bids", 1, 0.020, 0.9)];

#[tokio::main]
async fn main() -> Result<(), Error> {
    let metrics = Recorder::builder()
        .buckets("request_duration_seconds", &[0.005, 0.02, 0.1, 0.5])
        .install()?;
    metrics::describe_histogram!("request_duration_seconds", "Time to answer a request.");

    let writers = STREAMS.map(|stream| thread::spawn(move || record(stream)));
    sleep(RUN).await;
    for writer in writers {
        if writer.join().is_err() {
            println!("a writer failed");
        }
    }

    table(&metrics);
    exposition(&metrics);
    Ok(())
}

/// Records a log-normal latency stream. Handles are made once, then only used.
fn record((route, per_ms, median, spread): (&'static str, u32, f64, f64)) {
    let duration = histogram!("request_duration_seconds", "route" => route);
    let requests = counter!("requests_total", "route" => route);
    let Ok(latency) = LogNormal::new(median.ln(), spread) else {
        return;
    };
    let mut random = StdRng::seed_from_u64(7);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    runtime.block_on(async {
        let mut every_ms = interval(Duration::from_millis(1));
        for _ in 0..RUN.as_millis() {
            every_ms.tick().await;
            for _ in 0..per_ms {
                duration.record(latency.sample(&mut random));
                requests.increment(1);
            }
        }
    });
}

fn table(metrics: &Handle) {
    println!("request_duration_seconds, in milliseconds\n");
    println!(
        "{:<22} {:>6} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "route", "window", "count", "rate/s", "mean", "p50", "p95", "p99", "p99.9", "max"
    );
    for seconds in [10, 60, 300] {
        let over = Duration::from_secs(seconds);
        for (route, ..) in STREAMS {
            let labels = [("route", route)];
            let window = metrics.window("request_duration_seconds", &labels, over);
            row(route, seconds, &window);
        }
        let all = metrics.window("request_duration_seconds", &[], over);
        row("(all, cells merged)", seconds, &all);
    }
    let window = metrics.window("request_duration_seconds", &[], RUN);
    println!(
        "\nquantiles within {:.1} % of exact; the recorder is {:.1} s old, so no window spans more",
        window.relative_error * 100.0,
        window.span.as_secs_f64()
    );
}

fn row(route: &str, seconds: u64, window: &Window) {
    print!("{route:<22} {:>6} {:>6} {:>8.1}", format!("{seconds} s"), window.count, window.rate);
    for value in [window.mean, window.p50, window.p95, window.p99, window.p999, window.max] {
        print!(" {:>7.2}", value * 1_000.0);
    }
    println!();
}

fn exposition(metrics: &Handle) {
    let text = metrics.render();
    println!("\nGET /metrics answers {} bytes:\n", text.len());
    for line in text.lines().take(18) {
        println!("  {line}");
    }
    println!("  ...");
}
