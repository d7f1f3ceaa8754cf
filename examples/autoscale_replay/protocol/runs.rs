//! Which runs there are, and the numbers of each.

use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;
use seawall_scale::sim::baselines::Pipeline;

use super::{Named, Protocol};
use crate::policy::{Kind, Setting, Stage};

/// What a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    /// Policies at their defaults.
    Defaults,
    /// Over their knob.
    Frontier,
    /// All by the same pipeline.
    Equal(&'static str),
}

/// One policy at one knob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) part: Part,
    pub(crate) kind: Kind,
    pub(crate) knob: f64,
    pipeline: Option<Pipeline>,
}

/// One load, and everybody who plays it.
pub(crate) struct Job<'a> {
    pub(crate) trace: &'a Named,
    pub(crate) index: usize,
    pub(crate) setting: Setting,
    pub(crate) entries: Vec<Entry>,
    /// About how many decisions.
    pub(crate) cost: u64,
}

/// The numbers of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) trace: usize,
    pub(crate) delay: f64,
    pub(crate) seed: u64,
    pub(crate) entry: Entry,
    /// Per cent of the requests.
    pub(crate) bad: f64,
    /// Beside the least that is possible.
    pub(crate) cost: f64,
    pub(crate) starts: f64,
    /// Per cent of the requests.
    pub(crate) dropped: f64,
}

impl Cell {
    /// One number for both: a convenience, see the frontier.
    pub(crate) fn j(&self) -> f64 {
        self.cost + 0.2 * self.bad
    }
}

pub(crate) struct Plan<'a> {
    pub(crate) jobs: Vec<Job<'a>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(protocol: &Protocol, traces: &'a [Named]) -> Self {
        let mut jobs = Vec::new();
        let (delay, seed) = (protocol.delays[0], protocol.seeds[0]);
        let every = Setting {
            join: traces[0].join,
            peak_instances: protocol.peak_instances,
            start_delay: delay,
            seed,
            most_ticks: usize::MAX,
        };
        for (index, trace) in traces.iter().enumerate() {
            let mut add = |setting: Setting, entries: Vec<Entry>| {
                let setting = Setting { join: trace.join, ..setting };
                let ticks = (trace.trace.duration() / trace.trace.step().clamp(1.0, 15.0)) as usize;
                let cost = (ticks.min(setting.most_ticks) * entries.len()) as u64;
                jobs.push(Job { trace, index, setting, entries, cost });
            };
            for start_delay in protocol.delays.iter().copied() {
                for seed in protocol.seeds.iter().copied() {
                    add(Setting { start_delay, seed, ..every }, defaults());
                }
                if !protocol.quick {
                    add(Setting { start_delay, most_ticks: FRONTIER_TICKS, ..every }, frontier());
                }
            }
            if !protocol.quick {
                add(Setting { most_ticks: FRONTIER_TICKS, ..every }, equal());
            }
        }
        // The long ones first, so that the last ones to end are short.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.cost));
        Self { jobs }
    }
}

fn defaults() -> Vec<Entry> {
    let entry = |kind: Kind| Entry {
        part: Part::Defaults,
        kind,
        knob: kind.default_knob(),
        pipeline: None,
    };
    Kind::ALL.into_iter().map(entry).collect()
}

fn frontier() -> Vec<Entry> {
    let entry = |kind, knob| Entry { part: Part::Frontier, kind, knob, pipeline: None };
    let mut entries: Vec<_> = PRICES.iter().map(|knob| entry(Kind::Seawall, *knob)).collect();
    for kind in MEASURING.into_iter().chain([Kind::Fresh]) {
        entries.extend(TARGETS.iter().map(|knob| entry(kind, *knob)));
    }
    entries
}

fn equal() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, pipeline) in [("fresh", Pipeline::FRESH), ("late", LATE)] {
        entries.extend([Kind::Seawall].into_iter().chain(MEASURING).map(|kind| Entry {
            part: Part::Equal(name),
            kind,
            knob: kind.default_knob(),
            pipeline: Some(pipeline),
        }));
    }
    entries
}

/// On `threads` threads, in any order; the cells come back sorted.
pub(crate) fn play(jobs: &[Job<'_>], threads: usize, bar: &ProgressBar) -> Vec<Cell> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut cells = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            bar.set_message(job.trace.title());
            let stage = Stage::new(&job.trace.trace, job.setting);
            for entry in &job.entries {
                let mut policy = entry.kind.build(entry.knob, entry.pipeline, &stage);
                let (score, _) = stage.play(&mut *policy);
                cells.push(Cell {
                    trace: job.index,
                    delay: job.setting.start_delay,
                    seed: job.setting.seed,
                    entry: *entry,
                    bad: score.bad_ratio() * 100.0,
                    cost: score.instance_seconds / stage.least.instance_seconds,
                    starts: score.starts_per_day(),
                    dropped: score.dropped / score.requests.max(1.0) * 100.0,
                });
            }
            bar.inc(job.cost);
        }
        cells
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

/// Those with a target and a pipeline of their own.
pub(crate) const MEASURING: [Kind; 4] =
    [Kind::Hpa, Kind::Keda, Kind::TargetTracking, Kind::Knative];

pub(crate) const TARGETS: [f64; 6] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

pub(crate) const PRICES: [f64; 8] = [3.0, 6.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// Of an HPA, for all.
const LATE: Pipeline = Pipeline::HPA;

/// The frontier is many runs: of each trace the first ten days, as the research did.
const FRONTIER_TICKS: usize = 60_000;

impl Cell {
    /// Of a run that was not made.
    pub(crate) const NOTHING: Self = Self {
        trace: 0,
        delay: 0.0,
        seed: 0,
        entry: Entry { part: Part::Defaults, kind: Kind::Seawall, knob: 0.0, pipeline: None },
        bad: f64::NAN,
        cost: f64::NAN,
        starts: f64::NAN,
        dropped: f64::NAN,
    };
}
