//! How would each policy have done under this traffic?
//!
//! ```sh
//! cargo run --release --example autoscale_replay -- --trace FILE.csv
//! cargo run --release --example autoscale_replay -- --all FOLDER --report OUT
//! ```
//!
//! Plays a trace (`timestamp_s,value`, any scale) against the policy of seawall-scale and those
//! that a team would use instead, in the simulator `seawall_scale::sim`, all at one setting; or
//! every trace of a folder by the whole protocol of docs/scores.md.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints")]

mod forecasts;
mod policy;
mod protocol;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use policy::{Kind, Setting, Stage};
use protocol::Protocol;
use seawall_scale::sim::{Join, Score, Trace};
use serde::Serialize;

#[derive(Parser)]
#[command(about = "Scores scaling policies on a traffic trace")]
struct Arguments {
    /// A file of `timestamp_s,value` lines, evenly spaced. Default: a day that is made up.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Plays every `*.csv` of a folder by the protocol of docs/scores.md instead.
    #[arg(long, conflicts_with_all = ["trace", "json"])]
    all: Option<PathBuf>,
    /// With `--all`: the folder for the tables as markdown and the plot.
    #[arg(long, requires = "all")]
    report: Option<PathBuf>,
    /// With `--all`: the defaults only, at one start delay and seed.
    #[arg(long, requires = "all")]
    quick: bool,
    /// With `--all`: how good the forecasts are, instead of the policies.
    #[arg(long, requires = "all")]
    forecasts: bool,
    /// One JSON object a line, instead of a table.
    #[arg(long)]
    json: bool,
    /// Instances that the 99.9th percentile of the trace keeps busy to 70 %.
    #[arg(long, default_value_t = 40.0)]
    peak_instances: f64,
    /// Seconds from a launch until an instance serves.
    #[arg(long, default_value_t = 90.0)]
    start_delay: f64,
    /// How the points of the trace are joined.
    #[arg(long, value_enum, default_value_t = Joined::Line)]
    join: Joined,
    /// Of arrivals and start delays.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The utilisation that the others aim at.
    #[arg(long, default_value_t = 0.7)]
    target: f64,
    /// What a bad request costs beside the capacity for one, to ours.
    #[arg(long)]
    price: Option<f64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Joined {
    Line,
    Held,
}

/// A line of the answer.
#[derive(Serialize)]
struct Line {
    policy: &'static str,
    slo_violation_ratio: f64,
    instance_hours: f64,
    scale_events: u64,
    vs_oracle: f64,
    starts_per_day: f64,
    reversals: u64,
    dropped_ratio: f64,
}

impl Line {
    fn new(policy: &'static str, score: &Score, least: f64) -> Self {
        Self {
            policy,
            slo_violation_ratio: score.bad_ratio(),
            instance_hours: score.instance_hours(),
            scale_events: score.changes,
            vs_oracle: score.instance_seconds / least,
            starts_per_day: score.starts_per_day(),
            reversals: score.reversals,
            dropped_ratio: score.dropped / score.requests.max(1.0),
        }
    }
}

fn main() -> ExitCode {
    match replay(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    for (name, value, least, most) in [
        ("--peak-instances", arguments.peak_instances, 1.0, 10_000.0),
        ("--start-delay", arguments.start_delay, 0.0, 86_400.0),
        ("--target", arguments.target, 0.01, 1.0),
        ("--price", arguments.price.unwrap_or(1.0), 0.001, 10_000.0),
    ] {
        if !(least..=most).contains(&value) {
            return Err(format!("{name} is {value}: must be {least} to {most}").into());
        }
    }
    if let Some(folder) = &arguments.all {
        if arguments.forecasts {
            return forecasts::play(folder);
        }
        return protocol::play(&whole(arguments, folder));
    }
    let trace = match &arguments.trace {
        Some(path) => read(path)?,
        None => made_up()?,
    };
    let join = match arguments.join {
        Joined::Line => Join::Line,
        Joined::Held => Join::Held,
    };
    let setting = Setting {
        join,
        peak_instances: arguments.peak_instances,
        start_delay: arguments.start_delay,
        seed: arguments.seed,
        most_ticks: usize::MAX,
    };
    let stage = Stage::new(&trace, setting);
    if !arguments.json {
        let columns = ["bad %", "inst. h", "cost", "changes", "starts/day", "reversals"];
        println!(
            "{:<16} {:>8} {:>10} {:>7} {:>8} {:>10} {:>9}",
            "policy", columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]
        );
    }
    for kind in Kind::ALL {
        let knob = match kind {
            Kind::Seawall => arguments.price.unwrap_or_else(|| kind.default_knob()),
            _ => arguments.target,
        };
        let (score, _) = stage.play(&mut *kind.build(knob, None, &stage));
        let line = Line::new(kind.name(), &score, stage.least.instance_seconds);
        if arguments.json {
            println!("{}", serde_json::to_string(&line)?);
        } else {
            println!(
                "{:<16} {:>8.2} {:>10.1} {:>7.2} {:>8} {:>10.0} {:>9}",
                line.policy,
                line.slo_violation_ratio * 100.0,
                line.instance_hours,
                line.vs_oracle,
                line.scale_events,
                line.starts_per_day,
                line.reversals,
            );
        }
    }
    Ok(())
}

/// The protocol; an option that was given takes the place of what it would vary.
fn whole(arguments: &Arguments, folder: &Path) -> Protocol {
    let quick = arguments.quick;
    Protocol {
        folder: folder.to_owned(),
        seeds: if quick { vec![arguments.seed] } else { vec![1, 2, 3] },
        delays: if quick { vec![arguments.start_delay] } else { vec![90.0, 300.0] },
        peak_instances: arguments.peak_instances,
        quick,
        report: arguments.report.clone(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn read(path: &Path) -> Result<Trace, Box<dyn std::error::Error>> {
    let named = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    Ok(Trace::parse(&text).map_err(|error| named(&error))?)
}

/// A day with a night, a noon, and a flash crowd in the evening.
fn made_up() -> Result<Trace, Box<dyn std::error::Error>> {
    let minute = |minute: u32| {
        let day = (f64::from(minute) / 1440.0 * std::f64::consts::TAU).cos();
        let crowd = if (1140..1170).contains(&minute) { 900.0 } else { 0.0 };
        600.0 - 500.0 * day + crowd
    };
    Ok(Trace::new(60.0, (0..1440).map(minute).collect())?)
}
