use std::time::Duration;

use super::ring::Ring;
use crate::Unit;
use crate::condition::seconds;
use crate::naming::{call, percentile};

/// A windowed signal, taken apart: `avg(cpu_usage, 5m)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    function: Function,
    signal: Box<str>,
    window: Duration,
}

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Function {
    /// The mean.
    Avg,
    /// The least value.
    Min,
    /// The largest value.
    Max,
    /// Last minus first.
    Delta,
    /// Growth per second.
    Rate,
    /// A quantile, 0 to 1, by nearest rank.
    Quantile(f64),
}

impl Aggregate {
    /// Reads a canonical name; `None` if it is not one of the functions of
    /// [`History`](super::History), or its window is not between 1 ms and 366
    /// days.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (function, arguments) = call(name)?;
        let (function, rest) = match (function, arguments.as_slice()) {
            ("quantile", [q, rest @ ..]) => {
                let q: f64 = q.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
                (Function::Quantile(q), rest)
            }
            ("avg", rest) => (Function::Avg, rest),
            ("min", rest) => (Function::Min, rest),
            ("max", rest) => (Function::Max, rest),
            ("delta", rest) => (Function::Delta, rest),
            ("rate", rest) => (Function::Rate, rest),
            (other, rest) => (Function::Quantile(percentile(other)?), rest),
        };
        let (signal, window) = match rest {
            [signal] => (signal, DEFAULT_WINDOW),
            [signal, window] => (signal, seconds(window)?),
            _ => return None,
        };
        let in_bounds = (SHORTEST..=LONGEST).contains(&window);
        let named = signal.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (in_bounds && named).then(|| Self { function, signal: (*signal).into(), window })
    }

    /// What the window is reduced to.
    #[must_use]
    pub fn function(&self) -> Function {
        self.function
    }

    /// Canonical name of the signal inside.
    #[must_use]
    pub fn signal(&self) -> &str {
        &self.signal
    }

    /// Length of the window. Default: 1 min.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// `None` if too little was seen.
    pub(super) fn of(&self, ring: &Ring, min_coverage: f64) -> Option<f64> {
        if ring.covered(self.window) < self.window.mul_f64(min_coverage) {
            return None;
        }
        let value = match self.function {
            Function::Avg => {
                let (sum, count) = ring
                    .values(self.window)
                    .fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
                sum / f64::from(count)
            }
            Function::Min => ring.values(self.window).fold(f64::INFINITY, f64::min),
            Function::Max => ring.values(self.window).fold(f64::NEG_INFINITY, f64::max),
            Function::Quantile(q) => quantile(ring.values(self.window).collect(), q)?,
            Function::Delta => {
                let (_, first) = ring.with_base(self.window).next()?;
                let (_, last) = ring.with_base(self.window).last()?;
                last - first
            }
            Function::Rate => rate(ring, self.window)?,
        };
        value.is_finite().then_some(value)
    }
}

impl Function {
    /// Unit of the result.
    pub(super) fn unit(self, inner: Unit, signal: &str) -> Unit {
        match (self, inner) {
            (Self::Rate, Unit::Bytes) => Unit::BytesPerSecond,
            (Self::Rate, Unit::Seconds) => Unit::Ratio,
            (Self::Rate, Unit::Count) => Unit::PerSecond,
            (Self::Rate, Unit::None) if signal.ends_with("_total") => Unit::PerSecond,
            (Self::Rate, _) => Unit::None,
            _ => inner,
        }
    }
}

/// Growth over the time between the first and the last sample. What a counter
/// holds after it began anew is growth.
fn rate(ring: &Ring, window: Duration) -> Option<f64> {
    let mut samples = ring.with_base(window);
    let (start, mut before) = samples.next()?;
    let (mut end, mut growth) = (start, 0.0);
    for (at, value) in samples {
        growth += if value >= before { value - before } else { value };
        (before, end) = (value, at);
    }
    let seconds = (end - start).as_secs_f64();
    (seconds > 0.0).then(|| growth / seconds)
}

fn quantile(mut values: Vec<f64>, q: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    // 0.999 * 1000 is a little above 999 in doubles; that is no rank of 1000.
    let rank = (q * values.len() as f64 - 1e-7).ceil().max(1.0) as usize - 1;
    let rank = rank.min(values.len() - 1);
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// As that of the recorder of `seawall-metrics`.
const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
