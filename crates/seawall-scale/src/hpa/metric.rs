//! One metric of an HPA, what the metrics APIs answered, and the proposal made of it.

use std::collections::BTreeMap;

use super::replicas::{by_average, by_pod_average, by_total, by_utilisation};
use super::{Controller, MetricError, Moment, Proposal, Reason, Sample, Tolerance, Value, World};

/// A metric of the spec, with what was answered for it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it")]
pub struct Metric {
    /// Where it comes from.
    pub source: Source,
    /// What it should be.
    pub target: Target,
    /// What was answered; `None`: it could not be fetched.
    pub answer: Option<Answer>,
}

/// Where a metric comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The resource metrics API, a pod's containers together.
    Resource {
        /// `cpu`, `memory`, ...
        resource: String,
    },
    /// The resource metrics API, one container of each pod.
    ContainerResource {
        /// `cpu`, `memory`, ...
        resource: String,
        /// Which container.
        container: String,
    },
    /// The custom metrics API, a value for each pod.
    Pods,
    /// The custom metrics API, a value of some object.
    Object,
    /// The external metrics API.
    External,
    /// None that the controller knows.
    Unknown,
}

/// What a metric should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Whole per cents of what pods request.
    Utilisation(i32),
    /// In thousandths, for each pod or replica.
    Average(i64),
    /// In thousandths, in all.
    Value(i64),
    /// Not said.
    Missing,
}

/// What a metrics API answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Use of containers.
    Samples(Vec<Sample>),
    /// A value for each pod.
    Pods(BTreeMap<String, Value>),
    /// Values of an object or an external metric.
    Values(Vec<i64>),
}

/// The use of each pod: of all its containers, or of the one named. A pod of which a container
/// says nothing of the resource is left out.
///
/// # Errors
/// If there are no samples, or a pod has no such container.
pub fn resource_values(
    samples: &[Sample],
    container: Option<&str>,
) -> Result<BTreeMap<String, Value>, MetricError> {
    if samples.is_empty() {
        return Err(MetricError::NoMetrics);
    }
    let mut values = BTreeMap::new();
    for sample in samples {
        let used = match container {
            Some(name) => *sample.usage.get(name).ok_or(MetricError::ContainerNotFound)?,
            None if sample.usage.is_empty() => None,
            None => sample
                .usage
                .values()
                .try_fold(0_i64, |sum, used| Some(sum.saturating_add((*used)?))),
        };
        if let Some(value) = used {
            let value = Value { value, at: sample.at, window: sample.window };
            values.insert(sample.pod.clone(), value);
        }
    }
    Ok(values)
}

impl Metric {
    /// What it asks for.
    pub(super) fn propose(
        &self,
        controller: &Controller,
        world: &World,
        tolerance: Tolerance,
        now: Moment,
    ) -> Result<Proposal, MetricError> {
        let fetched = || self.answer.as_ref().ok_or(MetricError::Fetch);
        let values = || match fetched()? {
            Answer::Values(values) => Ok(values),
            _ => Err(MetricError::Target),
        };
        let (spec, status, pods) = (world.spec_replicas, world.status_replicas, &world.pods);
        let of_resource = |resource: &str, container: Option<&str>| {
            let cpu = (resource == "cpu").then_some(controller.initialisation);
            let values = || match fetched()? {
                Answer::Samples(samples) => resource_values(samples, container),
                _ => Err(MetricError::Target),
            };
            match self.target {
                Target::Average(target) => {
                    by_pod_average(spec, target, tolerance, pods, values()?, cpu, now)
                }
                Target::Utilisation(target) => {
                    by_utilisation(spec, target, tolerance, pods, container, values()?, cpu, now)
                }
                _ => Err(MetricError::Target),
            }
        };
        match (&self.source, self.target) {
            (Source::Resource { resource }, _) => of_resource(resource, None),
            (Source::ContainerResource { resource, container }, _) => {
                of_resource(resource, Some(container))
            }
            (Source::Pods, Target::Average(target)) => match fetched()? {
                Answer::Pods(values) if values.is_empty() => Err(MetricError::NoMetrics),
                Answer::Pods(values) => {
                    by_pod_average(spec, target, tolerance, pods, values.clone(), None, now)
                }
                _ => Err(MetricError::Target),
            },
            (Source::Object | Source::External, Target::Value(target)) => {
                by_total(spec, target, tolerance, pods, values()?)
            }
            (Source::Object | Source::External, Target::Average(target)) => {
                by_average(status, target, tolerance, values()?)
            }
            (Source::Unknown, _) => Err(MetricError::Source),
            _ => Err(MetricError::Target),
        }
    }

    /// What the condition `ScalingActive` says if it fails.
    pub(super) fn failure(&self) -> Reason {
        match self.source {
            Source::Resource { .. } => Reason::FailedGetResourceMetric,
            Source::ContainerResource { .. } => Reason::FailedGetContainerResourceMetric,
            Source::Pods => Reason::FailedGetPodsMetric,
            Source::Object => Reason::FailedGetObjectMetric,
            Source::External => Reason::FailedGetExternalMetric,
            Source::Unknown => Reason::InvalidMetricSourceType,
        }
    }
}
