//! A recorded traffic trace, cut to the run's length: the shape of the load.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The trace that runs when none is named.
const DEFAULT_NAME: &str = "wc98_group_stage";
const DEFAULT_CSV: &str = include_str!("../traces/wc98_group_stage.csv");

/// Where in the run the busiest moment of the trace falls.
const PEAK_AT: f64 = 0.6;

/// The relative rate over the run: 1.0 is the busiest moment.
#[derive(Clone, Debug)]
pub struct Shape {
    name: String,
    /// Evenly spaced over the run, ends included; at least two.
    points: Vec<f64>,
    duration: Duration,
    compression: f64,
}

impl Shape {
    /// Cuts a window with the busiest moment of `file` (or of the default trace)
    /// at [`PEAK_AT`], `compression` seconds of the trace a second of the run.
    pub fn load(
        file: Option<&Path>,
        duration: Duration,
        compression: f64,
    ) -> Result<Self, TraceError> {
        let (name, text) = match file {
            None => (DEFAULT_NAME.to_owned(), DEFAULT_CSV.to_owned()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| TraceError::Read { path: path.to_owned(), source })?;
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                (stem.into_owned(), text)
            }
        };
        Self::cut(name, &parse(&text)?, duration, compression)
    }

    fn cut(
        name: String,
        rows: &[(f64, f64)],
        duration: Duration,
        compression: f64,
    ) -> Result<Self, TraceError> {
        let [(first, _), (second, _), ..] = rows else {
            return Err(TraceError::TooShort { rows: rows.len() });
        };
        let step = second - first;
        let uneven = |pair: &[(f64, f64)]| ((pair[1].0 - pair[0].0) - step).abs() > step * 1e-6;
        if let Some(row) = rows.windows(2).position(uneven) {
            return Err(TraceError::Uneven { at: rows[row + 1].0, step });
        }
        let whole = step * (rows.len() - 1) as f64;
        let window = (duration.as_secs_f64() * compression).min(whole);
        let peak = rows.iter().copied().fold(
            (0.0, 0.0),
            |best, row| {
                if row.1 > best.1 { row } else { best }
            },
        );
        if peak.1 <= 0.0 {
            return Err(TraceError::AllZero);
        }
        let start = (peak.0 - first - window * PEAK_AT).clamp(0.0, whole - window);
        let count = (window / step).ceil() as usize + 1;
        let points = (0..count)
            .map(|i| {
                let at = (start + window * i as f64 / (count - 1) as f64) / step;
                let (left, part) = (at.floor() as usize, at.fract());
                let right = (left + 1).min(rows.len() - 1);
                (rows[left].1 * (1.0 - part) + rows[right].1 * part) / peak.1
            })
            .collect();
        Ok(Self { name, points, duration, compression: window / duration.as_secs_f64() })
    }

    /// The trace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the run.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Seconds of the trace that one second of the run covers.
    pub fn compression(&self) -> f64 {
        self.compression
    }

    /// The relative rate at `t` seconds into the run, between 0 and 1.
    pub fn at(&self, t: f64) -> f64 {
        let last = self.points.len() - 1;
        let position = (t / self.duration.as_secs_f64()).clamp(0.0, 1.0) * last as f64;
        let left = (position.floor() as usize).min(last - 1);
        let part = position - left as f64;
        self.points[left] * (1.0 - part) + self.points[left + 1] * part
    }
}

/// Why a trace could not be used.
#[derive(Debug)]
pub enum TraceError {
    Read { path: PathBuf, source: std::io::Error },
    Line { number: usize },
    TooShort { rows: usize },
    Uneven { at: f64, step: f64 },
    AllZero,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read the trace {}", path.display()),
            Self::Line { number } => write!(
                f,
                "line {number} of the trace is not `timestamp_s,value` with a value of 0 or more and a rising time"
            ),
            Self::TooShort { rows } => write!(f, "the trace has {rows} rows; two are the least"),
            Self::Uneven { at, step } => {
                write!(f, "the trace is not evenly spaced: at {at} s the step is not {step} s")
            }
            Self::AllZero => f.write_str("the trace holds no traffic: every value is 0"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Result<Vec<(f64, f64)>, TraceError> {
    let mut rows: Vec<(f64, f64)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || (index == 0 && line.starts_with("timestamp_s")) {
            continue;
        }
        let row = line
            .split_once(',')
            .and_then(|(at, value)| Some((at.trim().parse().ok()?, value.trim().parse().ok()?)))
            .filter(|&(at, value): &(f64, f64)| at.is_finite() && value.is_finite() && value >= 0.0)
            .filter(|&(at, _)| rows.last().is_none_or(|&(before, _)| at > before))
            .ok_or(TraceError::Line { number: index + 1 })?;
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_moment_falls_inside_the_run() {
        let shape = Shape::load(None, Duration::from_secs(60), 120.0).unwrap();
        let peak = (0..=600).map(|i| shape.at(f64::from(i) / 10.0)).fold(0.0, f64::max);
        assert!((0.95..=1.0).contains(&peak), "{peak}");
        assert!(shape.at(0.0) < 0.7 && shape.at(36.0) > 0.9);
    }

    #[test]
    fn a_trace_shorter_than_the_run_is_stretched() {
        let rows = [(0.0, 1.0), (60.0, 3.0), (120.0, 0.0)];
        let shape = Shape::cut("t".into(), &rows, Duration::from_secs(10), 120.0).unwrap();
        assert_eq!((shape.at(0.0), shape.at(5.0), shape.at(10.0)), (1.0 / 3.0, 1.0, 0.0));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let error = parse("timestamp_s,value\n0,1\n60,-2\n").unwrap_err();
        assert!(error.to_string().starts_with("line 3 "), "{error}");
    }
}
