//! What came of the run: a table for the terminal, a page for the browser.

mod charts;
pub mod html;
pub mod plot;
pub mod table;
pub mod verdict;

use crate::load::stats::Stats;

/// One second of the service's own view.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// Arrivals a second that the schedule asks for.
    pub offered: f64,
    /// Reads served by each node since the last tick, in the order of [`Run::nodes`].
    pub reads: Vec<u64>,
    pub l1_hits: u64,
    pub l2_hits: u64,
    pub misses: u64,
    /// Share of all cores, 0 to 1.
    pub cpu: f64,
    /// Instances that the scaling engine wants.
    pub instances: u32,
}

impl Tick {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.l1_hits += other.l1_hits;
        self.l2_hits += other.l2_hits;
        self.misses += other.misses;
        for (sum, more) in self.reads.iter_mut().zip(&other.reads) {
            *sum += more;
        }
    }

    /// Share of look-ups that `hits` of this tick answered, NaN when there were none.
    pub fn ratio(&self, hits: u64) -> f64 {
        let lookups = self.l1_hits + self.l2_hits + self.misses;
        if lookups == 0 { f64::NAN } else { hits as f64 / lookups as f64 }
    }
}

/// Everything that the report shows.
#[derive(Clone, Debug)]
pub struct Run {
    pub trace: String,
    pub compression: f64,
    pub seconds: u64,
    pub peak: f64,
    /// Where the peak came from, in a sentence.
    pub peak_reason: String,
    pub seed: u64,
    pub rows: String,
    pub machine: String,
    pub stats: Stats,
    pub ticks: Vec<Tick>,
    pub nodes: Vec<String>,
    pub decisions: Vec<Decided>,
}

impl Run {
    /// Hits in L1, hits in L2, misses, over the run.
    pub fn cache(&self) -> (u64, u64, u64) {
        self.ticks.iter().fold((0, 0, 0), |(l1, l2, miss), tick| {
            (l1 + tick.l1_hits, l2 + tick.l2_hits, miss + tick.misses)
        })
    }

    /// Reads per node over the run.
    pub fn reads(&self) -> Vec<(&str, u64)> {
        let sum =
            |index: usize| self.ticks.iter().filter_map(|tick| tick.reads.get(index)).sum::<u64>();
        self.nodes.iter().enumerate().map(|(index, name)| (name.as_str(), sum(index))).collect()
    }
}

/// One decision of the scaling engine that changed something.
#[derive(Clone, Debug)]
pub struct Decided {
    pub second: u64,
    pub from: u32,
    pub to: u32,
    pub reason: String,
}
