//! What was to be reached, and what was.

use super::frontier::{Point, bad_at, curve};
use super::report::Means;
use super::runs::{Cell, MEASURING};
use crate::policy::Kind;

pub(crate) struct Bar {
    pub(crate) text: String,
    pub(crate) met: bool,
}

/// The bars for one start delay.
pub(crate) fn bars(cells: &[Cell], means: &Means, titles: &[String], delay: f64) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut bar = |met: bool, text: String| bars.push(Bar { text, met });
    let ours = means.mean(Kind::Seawall);
    let defaults = MEASURING.map(|kind| (means.mean(kind).j(), kind.name()));
    let best = defaults.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
    let share = ours.j() / best.0;
    bar(
        share <= 0.75,
        format!("mean J {:.2}: {share:.2} of the best default, {}", ours.j(), best.1),
    );

    let fresh = curve(cells, Kind::Fresh, delay);
    let own = curve(cells, Kind::Seawall, delay);
    if let Some(fixed) = fresh.iter().map(j).min_by(f64::total_cmp) {
        let least = own.iter().map(j).min_by(f64::total_cmp).unwrap_or(f64::NAN);
        let at = own.iter().find(|point| point.knob == Kind::Seawall.default_knob()).map(j);
        let at = at.unwrap_or(least);
        bar(
            at < fixed,
            format!("mean J of the frontier {at:.2}, the best fixed fresh target {fixed:.2}"),
        );
    }
    let mut worst = Vec::new();
    for (index, title) in titles.iter().enumerate() {
        let of = |kind| means.at(kind, index).j();
        let best = MEASURING.map(of).into_iter().fold(f64::INFINITY, f64::min);
        let share = of(Kind::Seawall) / best;
        if share > 1.1 {
            worst.push(format!("{title} {share:.2}"));
        }
    }
    let list = if worst.is_empty() { "none".to_owned() } else { worst.join(", ") };
    bar(worst.is_empty(), format!("traces above 1.1 of the best default: {list}"));

    let fewer = |rival: &[Point], from: f64, to: f64| {
        let costs = (0..=20_u32).map(|step| from + (to - from) * f64::from(step) / 20.0);
        let shares = costs.filter_map(|cost| Some(bad_at(&own, cost)? / bad_at(rival, cost)?));
        shares.fold(None, |most: Option<f64>, share| Some(most.map_or(share, |m| m.max(share))))
    };
    for (kind, least) in [(Kind::Fresh, 0.3), (Kind::Keda, 0.6), (Kind::Hpa, 0.6)] {
        let rival = curve(cells, kind, delay);
        let (Some(first), Some(last)) = (rival.first(), rival.last()) else { continue };
        for (from, to, what) in [(1.5, 1.7, "1.5 to 1.7"), (first.cost, last.cost, "any")] {
            if let Some(share) = fewer(&rival, from, to) {
                let (less, name) = ((1.0 - share) * 100.0, kind.name());
                bar(
                    1.0 - share >= least,
                    format!(
                        "at equal mean cost ({what}) at least {less:.0} % fewer bad than {name}"
                    ),
                );
            }
        }
    }
    let (starts, keda) = (ours.starts, means.mean(Kind::Keda).starts);
    bar(starts <= 1.3 * keda, format!("{starts:.0} starts a day, {:.2} of keda's", starts / keda));
    bars
}

fn j(point: &Point) -> f64 {
    point.cost + 0.2 * point.bad
}
