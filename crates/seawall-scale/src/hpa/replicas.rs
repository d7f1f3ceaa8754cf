//! How many replicas one metric asks for.

use std::collections::BTreeMap;

use super::pods::Initialisation;
use super::ratio::{float, size, total};
use super::{
    MetricError, Moment, Phase, Pod, Pods, Tolerance, Utilisation, Value, group, per_pod,
    usage_ratio, utilisation_ratio,
};

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// How many replicas.
    pub replicas: i32,
    /// What was measured, in thousandths: per pod, of a total target the total.
    pub usage: i64,
    /// In per cent of the requests, for a target that is.
    pub utilisation: Option<i32>,
}

/// From the use of a resource as a share of what pods request, against `target` per cent.
///
/// # Errors
/// If there are no pods or no values, all values are set aside, or a request is missing.
#[expect(clippy::too_many_arguments, reason = "what the algorithm is a function of")]
pub fn by_utilisation(
    current: i32,
    target: i32,
    tolerance: Tolerance,
    pods: &[Pod],
    container: Option<&str>,
    values: BTreeMap<String, Value>,
    cpu: Option<Initialisation>,
    now: Moment,
) -> Result<Proposal, MetricError> {
    let (pods, sorted, mut values) = sort(pods, values, cpu, now)?;
    let requests = pods
        .iter()
        .map(|pod| Ok((pod.name.clone(), pod.requests.effective(container)?)))
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let measured = utilisation_ratio(&values, &requests, target)?;
    let Utilisation { ratio, percent, average } = measured;
    let proposal = |replicas| Ok(Proposal { replicas, usage: average, utilisation: Some(percent) });
    let Some(refill) = Refill::needed(&sorted, ratio) else {
        return proposal(settled(current, ratio, tolerance, sorted.ready));
    };
    // A missing pod may use all it asked for, or what is aimed at if that is more.
    let assumed = i128::from(target.max(100));
    let request = |pod: &str| requests.get(pod).copied().unwrap_or_default();
    let full =
        |pod: &str| i64::try_from(i128::from(request(pod)) * assumed / 100).unwrap_or(i64::MAX);
    if ratio < 1.0 {
        refill.missing(&mut values, full);
    } else if ratio > 1.0 {
        refill.missing(&mut values, |_| 0);
    }
    refill.unready(&mut values);
    let again = utilisation_ratio(&values, &requests, target)?.ratio;
    proposal(refilled(current, (ratio, again), tolerance, values.len()))
}

/// From a value of each pod, against a `target` for their mean.
///
/// # Errors
/// If there are no pods or no values, or all values are set aside.
pub fn by_pod_average(
    current: i32,
    target: i64,
    tolerance: Tolerance,
    pods: &[Pod],
    values: BTreeMap<String, Value>,
    cpu: Option<Initialisation>,
    now: Moment,
) -> Result<Proposal, MetricError> {
    let (_, sorted, mut values) = sort(pods, values, cpu, now)?;
    let (ratio, usage) = usage_ratio(&values, target);
    let proposal = |replicas| Ok(Proposal { replicas, usage, utilisation: None });
    let Some(refill) = Refill::needed(&sorted, ratio) else {
        return proposal(settled(current, ratio, tolerance, sorted.ready));
    };
    if ratio < 1.0 {
        refill.missing(&mut values, |_| target);
    } else if ratio > 1.0 {
        refill.missing(&mut values, |_| 0);
    }
    refill.unready(&mut values);
    let (again, _) = usage_ratio(&values, target);
    proposal(refilled(current, (ratio, again), tolerance, values.len()))
}

/// From one total (an object's value, or the sum of an external metric), against a `target` for
/// the total.
///
/// # Errors
/// If there are no values, or no pods where there should be.
pub fn by_total(
    current: i32,
    target: i64,
    tolerance: Tolerance,
    pods: &[Pod],
    values: &[i64],
) -> Result<Proposal, MetricError> {
    let usage = sum(values)?;
    let ratio = float(usage) / float(target);
    let proposal = |replicas| Ok(Proposal { replicas, usage, utilisation: None });
    if current == 0 {
        return proposal(size(ratio));
    }
    if tolerance.holds(ratio) {
        return proposal(current);
    }
    if pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    proposal(scaled(ratio, ready_and_running(pods)))
}

/// From one total, against a `target` for each of the `status_replicas` there are.
///
/// # Errors
/// If there are no values.
pub fn by_average(
    status_replicas: i32,
    target: i64,
    tolerance: Tolerance,
    values: &[i64],
) -> Result<Proposal, MetricError> {
    let usage = sum(values)?;
    let ratio = float(usage) / (float(target) * f64::from(status_replicas));
    // Without replicas the ratio is no number or infinite, and so in no band.
    let replicas =
        if tolerance.holds(ratio) { status_replicas } else { size(float(usage) / float(target)) };
    Ok(Proposal { replicas, usage: per_pod(usage, status_replicas), utilisation: None })
}

/// Pods that run and say that they are ready.
#[must_use]
pub fn ready_and_running(pods: &[Pod]) -> usize {
    pods.iter().filter(|pod| pod.phase == Phase::Running && pod.ready == Some(true)).count()
}

/// What counts of `values`, and why the rest does not.
type Sorted<'a> = (&'a [Pod], Pods<'a>, BTreeMap<String, Value>);

fn sort(
    pods: &[Pod],
    mut values: BTreeMap<String, Value>,
    cpu: Option<Initialisation>,
    now: Moment,
) -> Result<Sorted<'_>, MetricError> {
    if pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    let sorted = group(pods, &values, cpu, now);
    values.retain(|pod, _| {
        !sorted.ignored.contains(pod.as_str()) && !sorted.unready.contains(pod.as_str())
    });
    if values.is_empty() {
        return Err(MetricError::NoReadyMetrics);
    }
    Ok((pods, sorted, values))
}

/// Values that are assumed, on the cautious side, before a size is chosen.
struct Refill<'a> {
    pods: &'a Pods<'a>,
    grows: bool,
}

impl<'a> Refill<'a> {
    /// `None` if nothing has to be assumed.
    fn needed(pods: &'a Pods<'a>, ratio: f64) -> Option<Self> {
        let grows = !pods.unready.is_empty() && ratio > 1.0;
        (grows || !pods.missing.is_empty()).then_some(Self { pods, grows })
    }

    fn missing(&self, values: &mut BTreeMap<String, Value>, value: impl Fn(&str) -> i64) {
        assume(values, self.pods.missing.iter().map(|pod| (*pod, value(pod))));
    }

    /// Where the group is to grow: pods that come up will take part of the load.
    fn unready(&self, values: &mut BTreeMap<String, Value>) {
        if self.grows {
            assume(values, self.pods.unready.iter().map(|pod| (*pod, 0)));
        }
    }
}

fn assume<'a>(values: &mut BTreeMap<String, Value>, assumed: impl Iterator<Item = (&'a str, i64)>) {
    values.extend(assumed.map(|(pod, value)| {
        (pod.to_owned(), Value { value, at: Moment::ZERO, window: Moment::ZERO })
    }));
}

/// The size where every pod counts as it is.
fn settled(current: i32, ratio: f64, tolerance: Tolerance, ready: usize) -> i32 {
    if tolerance.holds(ratio) { current } else { scaled(ratio, ready) }
}

/// The size after values were assumed, which only ever makes a change smaller.
fn refilled(current: i32, (before, after): (f64, f64), tolerance: Tolerance, pods: usize) -> i32 {
    let turned = before < 1.0 && after > 1.0 || before > 1.0 && after < 1.0;
    if tolerance.holds(after) || turned {
        return current;
    }
    let wanted = scaled(after, pods);
    let astray = after < 1.0 && wanted > current || after > 1.0 && wanted < current;
    if astray { current } else { wanted }
}

fn scaled(ratio: f64, pods: usize) -> i32 {
    size(ratio * f64::from(u32::try_from(pods).unwrap_or(u32::MAX)))
}

fn sum(values: &[i64]) -> Result<i64, MetricError> {
    if values.is_empty() {
        return Err(MetricError::NoMetrics);
    }
    Ok(total(values.iter().copied()))
}
