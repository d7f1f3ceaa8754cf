use std::time::Duration;

/// When the peaks of a load outgrow a capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Saturation {
    /// There are too few points, or they span no time.
    Unknown,
    /// The peaks are there already.
    Reached,
    /// They do not grow, with 95 % confidence.
    NotGrowing,
    /// They get there from the end of the history in so long: nine times in ten
    /// not sooner than `earliest` and not later than `latest`.
    In {
        /// At the largest slope that fits.
        earliest: Duration,
        /// At the likely slope; `None` if that does not grow.
        likely: Option<Duration>,
        /// At the least slope that fits; `None` if that does not grow.
        latest: Option<Duration>,
    },
}

/// When the peaks of `history` reach `capacity`, by the median of the slopes
/// between all pairs of peaks and its 90 % interval.
///
/// Peaks are those of days if the history spans a week or more, so that the time
/// of day does not matter, and of one part in 48 otherwise. The interval takes
/// the peaks for independent of each other; where they are not, it is too narrow.
///
/// Source: Sen, "Estimates of the regression coefficient based on Kendall's tau"
/// (1968).
pub(super) fn saturation(history: &[(f64, f64)], capacity: f64) -> Saturation {
    let peaks = peaks(history);
    let Some(&(end, _)) = peaks.last().filter(|_| peaks.len() >= LEAST) else {
        return Saturation::Unknown;
    };
    let mut slopes = Vec::with_capacity(peaks.len() * peaks.len() / 2);
    for (index, (at, load)) in peaks.iter().enumerate() {
        for (later, larger) in peaks.iter().skip(index + 1) {
            slopes.push((larger - load) / (later - at));
        }
    }
    slopes.sort_by(f64::total_cmp);
    let slope = median(&slopes);
    let mut levels: Vec<_> = peaks.iter().map(|(at, load)| load + slope * (end - at)).collect();
    levels.sort_by(f64::total_cmp);
    let level = median(&levels);
    if level >= capacity {
        return Saturation::Reached;
    }
    let reach =
        |slope: f64| if slope > 0.0 { super::span((capacity - level) / slope) } else { None };
    let (low, high) = interval(&slopes, peaks.len());
    match reach(high) {
        Some(earliest) => Saturation::In { earliest, likely: reach(slope), latest: reach(low) },
        None => Saturation::NotGrowing,
    }
}

/// The 90 % interval of the slope.
fn interval(sorted: &[f64], points: usize) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
    let (n, count) = (points as f64, sorted.len() as f64);
    let width = 1.645 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let at = |rank: f64| {
        let index = rank.clamp(0.0, count - 1.0) as usize;
        sorted.get(index).copied().unwrap_or_default()
    };
    (at(((count - width) / 2.0).floor() - 1.0), at(((count + width) / 2.0).ceil()))
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle - 1), at(middle)) }
}

/// The largest load of each part of the history, with when it was.
fn peaks(history: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let fits = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let mut points: Vec<_> = history.iter().filter(fits).copied().collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else {
        return Vec::new();
    };
    let span = last.0 - first.0;
    if span <= 0.0 {
        return Vec::new();
    }
    // From the end back, so that the last day is a whole one; no more than sixty.
    let part = if span >= 7.0 * DAY { DAY.max(span / 60.0) } else { span / 48.0 };
    let mut peaks: Vec<(i64, (f64, f64))> = Vec::new();
    for point in points {
        let index = -((last.0 - point.0) / part).floor() as i64;
        match peaks.last_mut() {
            Some((of, peak)) if *of == index => {
                if point.1 > peak.1 {
                    *peak = point;
                }
            }
            _ => peaks.push((index, point)),
        }
    }
    // Two peaks at one moment have no slope.
    peaks.dedup_by(|a, b| a.1.0 <= b.1.0);
    // Bits of parts at the beginning say too little of their peaks.
    if peaks.len() > LEAST {
        peaks.remove(0);
    }
    peaks.into_iter().map(|(_, peak)| peak).collect()
}

const DAY: f64 = 86_400.0;

/// Fewer have no interval to speak of.
const LEAST: usize = 6;
