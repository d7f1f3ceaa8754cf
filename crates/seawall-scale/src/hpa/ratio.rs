use std::collections::BTreeMap;

use super::{MetricError, Value};

/// How far use may be from its target without a change, as shares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "there are two directions")]
pub struct Tolerance {
    /// Below. Default: 0.1.
    pub down: f64,
    /// Above. Default: 0.1.
    pub up: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { down: 0.1, up: 0.1 }
    }
}

impl Tolerance {
    /// Whether `ratio` asks for nothing; both ends are within.
    #[must_use]
    pub fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// Use of what pods asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "these are the controller's three")]
pub struct Utilisation {
    /// Of the utilisation to its target.
    pub ratio: f64,
    /// In per cent of the requests, cut to a whole number before the ratio is taken.
    pub percent: i32,
    /// Mean use of a pod, in thousandths, cut.
    pub average: i64,
}

/// Utilisation of all pods that have both a value and a request, against `target` per cent.
///
/// # Errors
/// If there are none, or they request nothing.
pub fn utilisation_ratio(
    values: &BTreeMap<String, Value>,
    requests: &BTreeMap<String, i64>,
    target: i32,
) -> Result<Utilisation, MetricError> {
    let known = values.iter().filter_map(|(pod, value)| Some((value.value, *requests.get(pod)?)));
    let (mut used, mut requested, mut count) = (0_i64, 0_i64, 0_i64);
    for (value, request) in known {
        used = used.saturating_add(value);
        requested = requested.saturating_add(request);
        count += 1;
    }
    if requested == 0 {
        return Err(MetricError::NoMatchingMetrics);
    }
    let percent = i128::from(used) * 100 / i128::from(requested);
    let percent = i32::try_from(percent).unwrap_or(if percent < 0 { i32::MIN } else { i32::MAX });
    let ratio = f64::from(percent) / f64::from(target);
    Ok(Utilisation { ratio, percent, average: used / count })
}

/// The ratio of the mean value to `target`, and the mean, cut. The mean of nothing is 0.
#[must_use]
pub fn usage_ratio(values: &BTreeMap<String, Value>, target: i64) -> (f64, i64) {
    let count = i64::try_from(values.len()).unwrap_or(i64::MAX).max(1);
    let average = total(values.values().map(|value| value.value)) / count;
    (float(average) / float(target), average)
}

/// What falls to each of `replicas`, rounded up; 0 if there are none. A total that has saturated
/// stays so.
#[must_use]
pub fn per_pod(total: i64, replicas: i32) -> i64 {
    if float(total) >= float(i64::MAX) {
        return i64::MAX;
    }
    if replicas == 0 {
        return 0;
    }
    whole(float(total) / f64::from(replicas))
}

pub(super) fn total(values: impl Iterator<Item = i64>) -> i64 {
    values.fold(0, i64::saturating_add)
}

#[expect(clippy::cast_precision_loss, reason = "as the controller does")]
pub(super) fn float(value: i64) -> f64 {
    value as f64
}

/// Up to the next whole number. What does not fit saturates; not a number is 0.
#[expect(clippy::cast_possible_truncation, reason = "saturating")]
fn whole(value: f64) -> i64 {
    value.ceil() as i64
}

/// A size: `value` rounded up.
#[expect(clippy::cast_possible_truncation, reason = "saturating")]
pub(super) fn size(value: f64) -> i32 {
    value.ceil() as i32
}
