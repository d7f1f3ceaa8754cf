//! How would each policy have done under this traffic?
//!
//! ```sh
//! cargo run --release --example autoscale_replay -- --trace FILE.csv --timeline PAGE.html
//! cargo run --release --example autoscale_replay -- --all FOLDER --report OUT
//! ```
//!
//! Plays a trace (`timestamp_s,value`, any scale) against the policy of seawall-scale and those
//! that a team would use instead, in the simulator `seawall_scale::sim`, all at one setting; or
//! every trace of a folder by the whole protocol of docs/scores.md.
#![expect(clippy::print_stderr, reason = "it prints")]

mod forecasts;
mod line;
mod policy;
mod protocol;
mod timeline;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use line::Line;
use policy::{Kind, Setting, Stage};
use protocol::Protocol;
use seawall_scale::sim::{Join, Trace, TraceError};
use timeline::Run;

#[derive(Parser)]
#[command(about = "Scores scaling policies on a traffic trace")]
struct Arguments {
    /// A file of `timestamp_s,value` lines; holes are filled. Default: a day that is made up.
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
    /// Writes a page with a timeline of each policy to this file.
    #[arg(long, conflicts_with = "all")]
    timeline: Option<PathBuf>,
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

fn main() -> ExitCode {
    match replay(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has seen enough, as `head` has.
        Err(error) if error.downcast_ref().is_some_and(closed) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
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
    let mut runs = Vec::new();
    for kind in Kind::ALL {
        let knob = match kind {
            Kind::Seawall => arguments.price.unwrap_or_else(|| kind.default_knob()),
            _ => arguments.target,
        };
        let (score, ready) = stage.play(&mut *kind.build(knob, None, &stage));
        let line = Line::new(kind.name(), &score, stage.least.instance_seconds);
        if arguments.json {
            writeln!(io::stdout(), "{}", serde_json::to_string(&line)?)?;
        }
        runs.push(Run { line, ready });
    }
    if !arguments.json {
        write!(io::stdout(), "{}", line::table(runs.iter().map(|run| &run.line))?)?;
    }
    let Some(path) = arguments.timeline.as_ref() else { return Ok(()) };
    let name = arguments.trace.as_ref().and_then(|path| path.file_stem());
    let title = name.map_or_else(|| "a day".into(), |name| name.to_string_lossy());
    std::fs::write(path, timeline::page(&title, &stage, &runs)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if !arguments.json {
        writeln!(io::stdout(), "\ntimelines: {}", path.display())?;
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

/// A trace; one that is uneven is made even, and that is said.
pub(crate) fn read(path: &Path) -> Result<Trace, Box<dyn std::error::Error>> {
    let named = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    match Trace::parse(&text) {
        Err(TraceError::Uneven { line, .. }) => {
            let trace = Trace::parse_uneven(&text).map_err(|error| named(&error))?;
            let (path, step) = (path.display(), trace.step());
            eprintln!("{path}: line {line} is uneven: holes are filled, at steps of {step} s");
            Ok(trace)
        }
        read => Ok(read.map_err(|error| named(&error))?),
    }
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
