//! The run: load that follows the trace, watched every second, judged at the end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::boot::{self, Market};
use crate::error::Failure;
use crate::load::calibrate::{self, SHARE};
use crate::load::client::Client;
use crate::load::crowd::Crowd;
use crate::load::driver;
use crate::load::schedule::Schedule;
use crate::load::trace::Shape;
use crate::load::wish::Wishes;
use crate::observe::Observer;
use crate::progress::{Step, say};
use crate::report::{self, Run};
use crate::settings::Settings;

/// Users that are signed in before the run.
const SESSIONS: u64 = 64;

pub async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load(args.config.as_deref())?;
    let duration = Duration::from_secs(args.duration);
    let shape = Shape::load(args.trace.as_deref(), duration, args.compress)?;
    let market = boot::open(args, &settings).await?;
    // A person who presses Ctrl-C wants everything gone, not a report.
    let outcome = tokio::select! {
        outcome = measure(args, &market, shape) => Some(outcome),
        _ = tokio::signal::ctrl_c() => None,
    };
    market.close().await;
    let Some(outcome) = outcome else {
        say("\ninterrupted; everything is stopped and removed");
        return Ok(ExitCode::from(130));
    };
    publish(args, &outcome?)
}

async fn measure(args: &Args, market: &Market, shape: Shape) -> Result<Run, Failure> {
    let load = LoadRuntime::start()?;
    let client = Client::new(market.address());
    let step = Step::spin("users");
    let sessions = SESSIONS.min(market.size().users);
    let crowd = Arc::new(load.run(Crowd::sign_in(client, sessions)).await??);
    step.done(&format!("{sessions} signed in"));

    let wishes = |salt: u64| {
        Wishes::new(market.size(), sessions as usize, StdRng::seed_from_u64(args.seed ^ salt))
    };
    let (peak, peak_reason) = match args.rate {
        Some(rate) => (rate, "as asked for by --rate; caches start cold".to_owned()),
        None => {
            let step =
                Step::count("calibrate", calibrate::LENGTH.as_secs(), "{msg} [{bar:40}] {elapsed}");
            let capacity = {
                let crowd = Arc::clone(&crowd);
                let wishes = wishes(1)?;
                let ticking = tick(step.bar().clone());
                tokio::select! {
                    capacity = load.run(async move { calibrate::capacity(&crowd, wishes).await }) => capacity?,
                    () = ticking => 0.0,
                }
            };
            let peak = round(capacity * SHARE).max(1.0);
            step.done(&format!(
                "this machine copes with {capacity:.0} arrivals/s when callers wait"
            ));
            let share = SHARE * 100.0;
            (
                peak,
                format!(
                    "{share:.0} % of the {capacity:.0}/s that this machine coped with in a closed loop, which warmed the caches"
                ),
            )
        }
    };
    say(&format!(
        "load        {} s of {}, {:.0} s of the trace a second, peak {peak:.0} arrivals/s: {peak_reason}",
        args.duration,
        shape.name(),
        shape.compression()
    ));

    let schedule = Schedule::new(shape.clone(), peak, StdRng::seed_from_u64(args.seed ^ 2));
    let observer = Observer::start(market, &crowd, shape.clone(), peak)?;
    let driven = {
        let (crowd, wishes) = (Arc::clone(&crowd), wishes(3)?);
        load.run(async move { driver::run(&crowd, schedule, wishes).await })
    };
    driven.await?;
    let watched = observer.stop().await;
    Ok(Run {
        trace: shape.name().to_owned(),
        compression: shape.compression(),
        seconds: args.duration,
        peak,
        peak_reason,
        seed: args.seed,
        rows: market.rows(),
        machine: market.machine(),
        stats: crowd.stats(),
        ticks: watched.ticks,
        nodes: market.node_names(),
        decisions: watched.decisions,
    })
}

fn publish(args: &Args, run: &Run) -> Result<ExitCode, Failure> {
    let slos = report::verdict::judge(run);
    say(&report::table::render(run, &slos));
    if let Some(folder) = args.report.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| Failure::Write { path: folder.to_owned(), source })?;
    }
    std::fs::write(&args.report, report::html::render(run, &slos))
        .map_err(|source| Failure::Write { path: args.report.clone(), source })?;
    say(&format!("report      {}", args.report.display()));
    let held = slos.iter().all(|slo| slo.held);
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Two figures are all that a calibration of seconds can claim.
fn round(rate: f64) -> f64 {
    if rate < 100.0 {
        return rate.round();
    }
    let step = 10_f64.powf(rate.log10().floor() - 1.0);
    (rate / step).round() * step
}

async fn tick(bar: indicatif::ProgressBar) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bar.inc(1);
    }
}

/// A runtime of its own for the load; dropping it inside another runtime would block.
struct LoadRuntime(Option<Runtime>);

impl LoadRuntime {
    fn start() -> Result<Self, Failure> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("load")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|source| Failure::System { what: "starting a runtime for the load", source })
    }

    /// Runs `work` over there and waits for it here.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let gone = Failure::Load { what: "its task ended early" };
        match &self.0 {
            Some(runtime) => runtime.spawn(work).await.map_err(|_| gone),
            None => Err(gone),
        }
    }
}

impl Drop for LoadRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
