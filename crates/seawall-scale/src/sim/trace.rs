use thiserror::Error;

/// How load goes from one point of a trace to the next.
#[expect(clippy::exhaustive_enums, reason = "a line or a step")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Along a straight line. On a coarse trace that flatters policies that extrapolate.
    #[default]
    Line,
    /// Held until the next point.
    Held,
}

/// Traffic over time: evenly spaced values, whatever they count.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    step: f64,
    values: Vec<f64>,
}

/// Why a text is no trace.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There are less than two points.
    #[error("a trace needs two points at least")]
    TooShort,
    /// A line is not `timestamp_s,value` with two numbers.
    #[error("line {line}: expected `timestamp_s,value`")]
    Line {
        /// Which one, from 1.
        line: usize,
    },
    /// A value is negative, no finite number, or larger than anything that is counted.
    #[error("line {line}: a value must be a number from 0 to 1e100")]
    Value {
        /// Which one, from 1.
        line: usize,
    },
    /// A point is not later than the one before.
    #[error("line {line}: timestamp {at} is not after {before}: the points must be in order")]
    Order {
        /// Which one, from 1.
        line: usize,
        /// Its timestamp, as it stands there.
        at: String,
        /// The one before.
        before: String,
    },
    /// The step to a point is another than that of the first two.
    #[error(
        "line {line}: {step} s after the line before, where the first two are {first} s apart: fill the gap, or resample"
    )]
    Uneven {
        /// Which one, from 1.
        line: usize,
        /// Seconds since the one before.
        step: String,
        /// Seconds from the first to the second.
        first: String,
    },
    /// It lasts longer than can be played.
    #[error("the trace lasts {seconds:.0} s, {MOST_SECONDS} at most: are its times in seconds?")]
    TooLong {
        /// How long it lasts, in seconds.
        seconds: f64,
    },
    /// The seconds between its points are no number above zero.
    #[error("the points must be some seconds apart, above zero")]
    Step,
    /// All values are zero.
    #[error("all values are zero")]
    Silent,
}

impl Trace {
    /// Reads `timestamp_s,value` lines. A byte order mark, blank lines, spaces and quotes around the
    /// numbers and a header without any number are passed over.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let points = points(text)?;
        let [first, second, ..] = &*points else { return Err(TraceError::TooShort) };
        let step = second.1 - first.1;
        for pair in points.windows(2) {
            let (before, (line, at, _)) = (pair[0].1, pair[1]);
            // Large times have no room for small parts of a second.
            if (at - before - step).abs() > step * 1e-6 + at.abs().max(before.abs()) * ROUNDING {
                let (step, first) = ((at - before).to_string(), step.to_string());
                return Err(TraceError::Uneven { line, step, first });
            }
        }
        Self::new(step, points.into_iter().map(|(_, _, value)| value).collect())
    }

    /// Reads the same lines where they are not evenly spaced: with holes, or with times that are not
    /// exact. What lies between is taken to go along a straight line from one point to the next, at
    /// the median of the distances between them; a hole is filled and never a silence.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for `Uneven`.
    pub fn parse_uneven(text: &str) -> Result<Self, TraceError> {
        let points = points(text)?;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err(TraceError::TooShort);
        };
        let mut steps: Vec<f64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        steps.sort_unstable_by(f64::total_cmp);
        let Some(median) = steps.get(steps.len() / 2) else { return Err(TraceError::TooShort) };
        let span = last.1 - first.1;
        if span > MOST_SECONDS {
            return Err(TraceError::TooLong { seconds: span });
        }
        let step = median.max(span / MOST_POINTS);
        let mut values = Vec::with_capacity((span / step) as usize + 1);
        let moment = |index: usize| first.1 + index as f64 * step;
        for pair in points.windows(2) {
            let ((_, from, value), (_, to, next)) = (pair[0], pair[1]);
            // A little beyond, or rounding would lose the last point.
            while moment(values.len()) <= to + step * 1e-6 {
                let share = ((moment(values.len()) - from) / (to - from)).clamp(0.0, 1.0);
                values.push(value + (next - value) * share);
            }
        }
        Self::new(step, values)
    }

    /// Values `step` seconds apart.
    ///
    /// # Errors
    /// If there are less than two, one is negative or no finite number, none is above zero, or
    /// they last longer than two years.
    pub fn new(step: f64, values: Vec<f64>) -> Result<Self, TraceError> {
        if values.len() < 2 {
            return Err(TraceError::TooShort);
        }
        if !(step.is_finite() && step > 0.0) {
            return Err(TraceError::Step);
        }
        let seconds = step * values.len() as f64;
        if seconds > MOST_SECONDS {
            return Err(TraceError::TooLong { seconds });
        }
        if let Some(index) = values.iter().position(|value| !(0.0..=MOST_VALUE).contains(value)) {
            return Err(TraceError::Value { line: index + 1 });
        }
        if values.iter().all(|value| *value <= 0.0) {
            return Err(TraceError::Silent);
        }
        Ok(Self { step, values })
    }

    /// Seconds from one point to the next.
    #[must_use]
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Its length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.step * self.values.len() as f64
    }

    /// The value that a share of the points does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len() - 1;
        sorted[((share.clamp(0.0, 1.0) * last as f64).round() as usize).min(last)]
    }

    /// The value at a moment, in seconds from the start.
    #[must_use]
    pub fn at(&self, seconds: f64, join: Join) -> f64 {
        let place = (seconds / self.step).max(0.0);
        let index = (place as usize).min(self.values.len() - 1);
        let here = self.values[index];
        match join {
            Join::Held => here,
            Join::Line => {
                let next = self.values[(index + 1).min(self.values.len() - 1)];
                here + (next - here) * (place - index as f64).clamp(0.0, 1.0)
            }
        }
    }
}

/// Each point with its line, in order.
fn points(text: &str) -> Result<Vec<(usize, f64, f64)>, TraceError> {
    let mut points: Vec<(usize, f64, f64)> = Vec::new();
    let mut first = true;
    for (line, row) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let row = row.trim();
        if row.is_empty() {
            continue;
        }
        let number = |text: &str| {
            let text = text.trim().trim_matches('"').trim();
            text.parse::<f64>().map_err(|_| TraceError::Line { line })
        };
        // Also `nan` is a number here, so that it is no header.
        if std::mem::take(&mut first) && row.split(',').all(|part| number(part).is_err()) {
            continue;
        }
        let (at, value) = row.split_once(',').ok_or(TraceError::Line { line })?;
        let (at, value) = (number(at)?, number(value)?);
        if !at.is_finite() {
            return Err(TraceError::Line { line });
        }
        if !(0.0..=MOST_VALUE).contains(&value) {
            return Err(TraceError::Value { line });
        }
        if let Some((_, before, _)) = points.last()
            && at <= *before
        {
            let (at, before) = (at.to_string(), before.to_string());
            return Err(TraceError::Order { line, at, before });
        }
        points.push((line, at, value));
    }
    Ok(points)
}

/// Two years, 4.2 million ticks of 15 seconds: a day in milliseconds is more.
const MOST_SECONDS: f64 = 2.0 * 366.0 * 86_400.0;

/// Of a trace that is made even.
const MOST_POINTS: f64 = 4_300_000.0;

/// The difference of two numbers that were rounded each, as a share of them.
const ROUNDING: f64 = 2.0 * f64::EPSILON;

/// Larger values would overflow sums.
const MOST_VALUE: f64 = 1e100;
