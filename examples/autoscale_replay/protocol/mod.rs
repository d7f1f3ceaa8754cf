//! The whole protocol over a folder of traces: defaults at two start delays and three seeds, a
//! frontier of each policy over its knob, and all policies behind one pipeline of metrics.

mod bars;
mod frontier;
mod report;
mod runs;
mod svg;

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use seawall_scale::sim::{Join, Trace};

pub(crate) use report::table;
use runs::Plan;

/// What is to be played.
pub(crate) struct Protocol {
    pub(crate) folder: PathBuf,
    pub(crate) seeds: Vec<u64>,
    pub(crate) delays: Vec<f64>,
    pub(crate) peak_instances: f64,
    /// Only the defaults, one delay and one seed: a quick look.
    pub(crate) quick: bool,
    /// Where the markdown and the plot go.
    pub(crate) report: Option<PathBuf>,
    pub(crate) jobs: usize,
}

/// A trace by its name, and a way to join its points.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) trace: Trace,
    pub(crate) join: Join,
}

impl Named {
    /// Coarse traces are played twice, and both are named.
    pub(crate) fn title(&self) -> String {
        match self.join {
            Join::Held => format!("{} (held)", self.name),
            Join::Line => self.name.clone(),
        }
    }
}

/// Plays it all, prints the tables, and writes them.
pub(crate) fn play(protocol: &Protocol) -> Result<(), Box<dyn std::error::Error>> {
    let traces = read_all(&protocol.folder)?;
    let jobs = Plan::new(protocol, &traces).jobs;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")?;
    let ticks = jobs.iter().map(|job| job.cost).sum();
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(ticks).with_style(style);
    let cells = runs::play(&jobs, protocol.jobs, &bar);
    bar.finish_and_clear();
    report::tell(protocol, &traces, &cells)
}

/// Every `*.csv` of the folder, in order of names; those of 300 s and more with both joins.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Named>, Box<dyn std::error::Error>> {
    let entries = std::fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    paths.sort();
    let mut traces = Vec::new();
    for path in paths {
        let trace = crate::read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if trace.step() >= COARSE {
            let trace = trace.clone();
            traces.push(Named { name: name.clone(), trace, join: Join::Held });
        }
        traces.push(Named { name, trace, join: Join::Line });
    }
    if traces.is_empty() {
        return Err(format!("{}: no file ends in .csv", folder.display()).into());
    }
    Ok(traces)
}

fn named(path: &Path, error: &dyn std::error::Error) -> String {
    format!("{}: {error}", path.display())
}

/// From this step on a straight line between points tells the future.
const COARSE: f64 = 300.0;
