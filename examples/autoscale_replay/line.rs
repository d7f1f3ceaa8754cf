//! The numbers of one policy on one trace.

use std::fmt::Write as _;

use seawall_scale::sim::Score;
use serde::Serialize;

/// A line of the answer; in JSON what is promised, and no more.
#[derive(Serialize)]
pub(crate) struct Line {
    pub(crate) policy: &'static str,
    pub(crate) slo_violation_ratio: f64,
    pub(crate) instance_hours: f64,
    pub(crate) scale_events: u64,
    pub(crate) vs_oracle: f64,
    #[serde(skip)]
    pub(crate) starts_per_day: f64,
    #[serde(skip)]
    pub(crate) reversals: u64,
}

impl Line {
    pub(crate) fn new(policy: &'static str, score: &Score, least: f64) -> Self {
        Self {
            policy,
            slo_violation_ratio: score.bad_ratio(),
            instance_hours: score.instance_hours(),
            scale_events: score.changes,
            vs_oracle: score.instance_seconds / least,
            starts_per_day: score.starts_per_day(),
            reversals: score.reversals,
        }
    }
}

/// Aligned, for a terminal.
pub(crate) fn table<'a>(lines: impl Iterator<Item = &'a Line>) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "{:<16} {:>8} {:>10} {:>7} {:>8} {:>10} {:>9}",
        "policy", "bad %", "inst. h", "cost", "changes", "starts/day", "reversals"
    )?;
    for line in lines {
        writeln!(
            text,
            "{:<16} {:>8.2} {:>10.1} {:>7.2} {:>8} {:>10.0} {:>9}",
            line.policy,
            line.slo_violation_ratio * 100.0,
            line.instance_hours,
            line.vs_oracle,
            line.scale_events,
            line.starts_per_day,
            line.reversals,
        )?;
    }
    Ok(text)
}
