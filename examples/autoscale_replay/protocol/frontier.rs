//! Bad requests by cost: what each policy can do over its knob.

use super::runs::{Cell, Part};
use crate::policy::Kind;

/// A policy at one knob, over all traces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) knob: f64,
    pub(crate) cost: f64,
    pub(crate) bad: f64,
    pub(crate) starts: f64,
}

/// The points of `kind` at `delay`, from cheap to dear. One value of the knob for all traces.
pub(crate) fn curve(cells: &[Cell], kind: Kind, delay: f64) -> Vec<Point> {
    let of = |cell: &&Cell| {
        cell.entry.part == Part::Frontier && cell.entry.kind == kind && cell.delay == delay
    };
    let mut knobs: Vec<f64> = cells.iter().filter(of).map(|cell| cell.entry.knob).collect();
    knobs.sort_by(f64::total_cmp);
    knobs.dedup();
    let mut points: Vec<Point> = knobs
        .into_iter()
        .map(|knob| {
            let here: Vec<&Cell> =
                cells.iter().filter(of).filter(|cell| cell.entry.knob == knob).collect();
            let mean = |value: fn(&Cell) -> f64| {
                here.iter().map(|cell| value(cell)).sum::<f64>() / here.len().max(1) as f64
            };
            Point {
                knob,
                cost: mean(|cell| cell.cost),
                bad: mean(|cell| cell.bad),
                starts: mean(|cell| cell.starts),
            }
        })
        .collect();
    points.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    points
}

/// The bad requests of a curve at a cost, joined by straight lines of the logarithm; none outside
/// of what was played.
pub(crate) fn bad_at(curve: &[Point], cost: f64) -> Option<f64> {
    let pair = curve.windows(2).find(|pair| (pair[0].cost..=pair[1].cost).contains(&cost))?;
    let share = (cost - pair[0].cost) / (pair[1].cost - pair[0].cost).max(f64::MIN_POSITIVE);
    let log = |point: &Point| point.bad.max(1e-3).ln();
    Some((log(&pair[0]) + share * (log(&pair[1]) - log(&pair[0]))).exp())
}
