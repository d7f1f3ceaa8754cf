//! How good are the forecasts? Weighted quantile loss and coverage over every trace of a folder.
#![expect(clippy::print_stdout, reason = "it prints")]

use std::path::Path;

use indicatif::ProgressBar;
use seawall_scale::forecast::{
    Autoregression, Calibrated, Ensemble, Forecaster, HoltWinters, Last, Seasonal, SeasonalNaive,
};
use seawall_scale::sim::{Join, Trace};

use crate::protocol::{Named, read_all, table};

/// Levels of the loss.
const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Seconds ahead.
const AHEAD: [f64; 3] = [300.0, 900.0, 3_600.0];

const NAMES: [&str; 6] =
    ["seasonal_naive", "holt_winters", "last", "autoregression", "seasonal", "ensemble"];

/// What one forecaster got on one trace at one distance.
#[derive(Clone, Copy, Default)]
struct Sum {
    loss: f64,
    load: f64,
    count: f64,
    /// Of the distance.
    steps: f64,
    /// Within 10 % to 90 %, and below 95 %.
    within: Share,
    below: Share,
}

/// How often a bound held, of the times that there was one.
#[derive(Clone, Copy, Default)]
struct Share {
    held: f64,
    of: f64,
}

impl Share {
    fn count(&mut self, held: Option<bool>) {
        self.held += f64::from(u8::from(held == Some(true)));
        self.of += f64::from(u8::from(held.is_some()));
    }

    /// Forecasts of `steps` overlap: with less than ten that do not there is no rate to speak of.
    fn held(self, steps: f64) -> Option<f64> {
        (self.of >= 10.0 * steps.max(1.0)).then(|| self.held / self.of)
    }
}

impl Sum {
    fn loss(&self) -> f64 {
        2.0 * self.loss / (LEVELS.len() as f64 * self.load.max(f64::MIN_POSITIVE))
    }
}

/// Prints the loss of each forecaster on each trace, and means.
pub(crate) fn play(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut traces = read_all(folder)?;
    traces.retain(|trace| trace.join == Join::Line);
    let bar = ProgressBar::new((traces.len() * NAMES.len()) as u64);
    let results: Vec<Vec<Vec<Sum>>> = traces
        .iter()
        .map(|trace| {
            let play = |name: &&str| {
                bar.inc(1);
                one(name, &trace.trace)
            };
            NAMES.iter().map(play).collect()
        })
        .collect();
    bar.finish_and_clear();

    let mut text = String::new();
    for (distance, ahead) in AHEAD.iter().enumerate() {
        tell(&mut text, &traces, &results, distance, *ahead)?;
    }
    print!("{text}");
    Ok(())
}

fn tell(
    text: &mut String,
    traces: &[Named],
    results: &[Vec<Vec<Sum>>],
    distance: usize,
    ahead: f64,
) -> std::fmt::Result {
    use std::fmt::Write as _;

    let mut rows = vec![
        [format!("{} min", ahead / 60.0)]
            .into_iter()
            .chain(NAMES.map(str::to_owned))
            .chain(["within 80 %".to_owned(), "below 95 %".to_owned()])
            .collect::<Vec<_>>(),
    ];
    let mut means = vec![0.0; NAMES.len()];
    let (mut covered, mut count) = ([Vec::new(), Vec::new()], 0.0);
    for (trace, sums) in traces.iter().zip(results) {
        let ours = sums[NAMES.len() - 1][distance];
        if ours.count == 0.0 {
            continue;
        }
        count += 1.0;
        let mut row = vec![trace.name.clone()];
        for (mean, sums) in means.iter_mut().zip(sums) {
            row.push(format!("{:.4}", sums[distance].loss()));
            *mean += sums[distance].loss();
        }
        let shares = [ours.within, ours.below].map(|share| share.held(ours.steps));
        for (mean, share) in covered.iter_mut().zip(shares) {
            mean.extend(share);
            row.push(share.map_or("-".to_owned(), percent));
        }
        rows.push(row);
    }
    let mut row = vec!["mean".to_owned()];
    row.extend(means.iter().map(|mean| format!("{:.4}", mean / count)));
    row.extend(covered.iter().map(|shares: &Vec<f64>| {
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        if shares.is_empty() { "-".to_owned() } else { percent(mean) }
    }));
    rows.push(row);
    writeln!(text)?;
    table(text, &rows)
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// A folder's trace by one forecaster: steps of a minute, or of the trace where those are longer
/// or there is less than an hour or two of it.
fn one(name: &str, trace: &Trace) -> Vec<Sum> {
    let step = if trace.step() >= 60.0 { trace.step() } else { 15.0_f64.max(trace.step()) };
    let day = (86_400.0 / step).round() as usize;
    let forecaster: Box<dyn Forecaster> = match name {
        "seasonal_naive" => Box::new(SeasonalNaive::new(day)),
        "holt_winters" => Box::new(HoltWinters::new(day)),
        "last" => Box::new(Last::default()),
        "autoregression" => Box::new(Autoregression::default()),
        "seasonal" => Box::new(Seasonal::new(step)),
        _ => Box::new(Ensemble::new(step)),
    };
    let steps = AHEAD.map(|ahead| (ahead / step) as u32);
    let mut calibrated = Calibrated::new(forecaster, &steps);
    let count = (trace.duration() / step) as usize;
    // A tenth of it to learn, or a day.
    let from = (count / 10).min(day);
    let within = |index: usize| {
        // The mean of the step, for traces that are finer.
        let parts = (step / trace.step()).round().max(1.0) as usize;
        let at = |part: usize| {
            let seconds = index as f64 * step + (part as f64 + 0.5) * step / parts as f64;
            trace.at(seconds, Join::Held)
        };
        (0..parts).map(at).sum::<f64>() / parts as f64
    };
    let values: Vec<f64> = (0..count).map(within).collect();
    let mut sums = vec![Sum::default(); AHEAD.len()];
    for (index, value) in values.iter().enumerate() {
        calibrated.observe(Some(*value));
        if index < from {
            continue;
        }
        for (sum, steps) in sums.iter_mut().zip(steps) {
            // What is longer than a quarter of the trace cannot be judged on it.
            let Some(then) = values.get(index + steps as usize) else { continue };
            if steps == 0 || steps as usize * 4 > count {
                continue;
            }
            // The loss is of what there is to go by, the coverage of what is promised.
            let last = calibrated.forecast(steps).unwrap_or(*value);
            for level in LEVELS {
                let off = then - calibrated.rough(steps, level).unwrap_or(last);
                sum.loss += if off >= 0.0 { level * off } else { (level - 1.0) * off };
            }
            sum.load += then;
            sum.count += 1.0;
            sum.steps = f64::from(steps);
            let bound = |level| calibrated.quantile(steps, level);
            let both = bound(0.1).zip(bound(0.9));
            sum.within.count(both.map(|(low, high)| (low..=high).contains(then)));
            sum.below.count(bound(0.95).map(|high| *then <= high));
        }
    }
    sums
}
