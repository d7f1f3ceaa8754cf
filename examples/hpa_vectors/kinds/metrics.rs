//! Vectors about one metric.

use std::collections::BTreeMap;

use seawall_scale::hpa::{self, MetricError, Requests, Sample};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Decided, or_error};
use crate::input::{
    InitialisationText, NOW, PodText, SampleText, ToleranceText, container, or_default, pods,
};

#[derive(Deserialize)]
pub(super) struct ResourceUtilization {
    resource: String,
    current_replicas: i32,
    target_utilization_pct: i32,
    container: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    tolerance: ToleranceText,
    #[serde(flatten)]
    initialisation: InitialisationText,
    #[serde(default, deserialize_with = "or_default")]
    pods: Vec<PodText>,
    #[serde(default, deserialize_with = "or_default")]
    samples: Vec<SampleText>,
}

pub(super) fn resource_utilization(input: ResourceUtilization) -> Decided {
    let pods = pods(input.pods)?;
    let samples: Vec<Sample> = input.samples.into_iter().map(SampleText::of_containers).collect();
    let container = container(input.container);
    let container = container.as_deref();
    let cpu = (input.resource == "cpu").then(|| input.initialisation.initialisation());
    let result = hpa::resource_values(&samples, container).and_then(|values| {
        let (current, target) = (input.current_replicas, input.target_utilization_pct);
        let tolerance = input.tolerance.tolerance();
        hpa::by_utilisation(current, target, tolerance, &pods, container, values, cpu, NOW)
    });
    or_error(result, |proposal| {
        json!({
            "replicas": proposal.replicas,
            "utilization_pct": proposal.utilisation,
            "average_raw_m": proposal.usage,
        })
    })
}

#[derive(Deserialize)]
pub(super) struct PodsAverageValue {
    current_replicas: i32,
    target_average_m: i64,
    #[serde(default, deserialize_with = "or_default")]
    tolerance: ToleranceText,
    #[serde(default, deserialize_with = "or_default")]
    pods: Vec<PodText>,
    #[serde(default, deserialize_with = "or_default")]
    samples: Vec<SampleText>,
}

pub(super) fn pods_average_value(input: PodsAverageValue) -> Decided {
    let pods = pods(input.pods)?;
    let values: BTreeMap<_, _> = input.samples.into_iter().map(SampleText::of_pod).collect();
    let result = if values.is_empty() {
        Err(MetricError::NoMetrics)
    } else {
        let (current, target) = (input.current_replicas, input.target_average_m);
        hpa::by_pod_average(current, target, input.tolerance.tolerance(), &pods, values, None, NOW)
    };
    or_error(
        result,
        |proposal| json!({ "replicas": proposal.replicas, "average_m": proposal.usage }),
    )
}

#[derive(Deserialize)]
pub(super) struct Total {
    current_replicas: i32,
    target_m: i64,
    #[serde(default, deserialize_with = "or_default")]
    tolerance: ToleranceText,
    #[serde(default, deserialize_with = "or_default")]
    values_m: Vec<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pods: Vec<PodText>,
}

pub(super) fn total(input: Total) -> Decided {
    let pods = pods(input.pods)?;
    let (current, target) = (input.current_replicas, input.target_m);
    let result =
        hpa::by_total(current, target, input.tolerance.tolerance(), &pods, &input.values_m);
    or_error(result, |proposal| json!({ "replicas": proposal.replicas, "usage_m": proposal.usage }))
}

pub(super) fn average(input: &Total) -> Decided {
    let (current, target) = (input.current_replicas, input.target_m);
    let result = hpa::by_average(current, target, input.tolerance.tolerance(), &input.values_m);
    or_error(result, |proposal| json!({ "replicas": proposal.replicas, "usage_m": proposal.usage }))
}

#[derive(Deserialize)]
pub(super) struct ClassifyPods {
    resource: String,
    #[serde(flatten)]
    initialisation: InitialisationText,
    #[serde(default, deserialize_with = "or_default")]
    pods: Vec<PodText>,
    #[serde(default, deserialize_with = "or_default")]
    samples: Vec<SampleText>,
}

pub(super) fn classify_pods(input: ClassifyPods) -> Decided {
    let pods = pods(input.pods)?;
    let values = input.samples.into_iter().map(SampleText::of_pod).collect();
    let cpu = (input.resource == "cpu").then(|| input.initialisation.initialisation());
    let sorted = hpa::group(&pods, &values, cpu, NOW);
    Ok(json!({
        "ready_count": sorted.ready,
        "unready": sorted.unready,
        "missing": sorted.missing,
        "ignored": sorted.ignored,
    }))
}

#[derive(Deserialize)]
pub(super) struct EffectiveRequest {
    container: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pod_level_resources_enabled: bool,
    pod_level_request_m: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    containers: BTreeMap<String, Option<i64>>,
    #[serde(default, deserialize_with = "or_default")]
    restartable_init_containers: BTreeMap<String, Option<i64>>,
}

pub(super) fn effective_request(input: EffectiveRequest) -> Decided {
    let requests = Requests {
        containers: input.containers,
        restartable_init: input.restartable_init_containers,
        pod_level: input.pod_level_request_m.filter(|_| input.pod_level_resources_enabled),
    };
    let request = requests.effective(container(input.container).as_deref());
    or_error(request, |request| json!({ "request_m": request }))
}

/// Use by pod, and a target. What they are called differs from kind to kind.
#[derive(Deserialize)]
pub(super) struct Ratio {
    #[serde(default, deserialize_with = "or_default")]
    requests_m: BTreeMap<String, i64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Ratio {
    /// The field with a number for each pod: a table, a list, or samples.
    fn values(&self) -> Result<BTreeMap<String, hpa::Value>, String> {
        let number = |value: &Value| value.as_i64().or_else(|| value.get("value_m")?.as_i64());
        let pod = |index: usize, value: &Value| {
            let name = value.get("pod").and_then(Value::as_str);
            name.map_or_else(|| index.to_string(), str::to_owned)
        };
        let read: Option<Vec<(String, i64)>> = self.others.values().find_map(|field| match field {
            Value::Object(table) => {
                table.iter().map(|(pod, value)| Some((pod.clone(), number(value)?))).collect()
            }
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| Some((pod(index, value), number(value)?)))
                .collect(),
            _ => None,
        });
        let value = |value| hpa::Value { value, at: NOW, window: NOW };
        let read = read.ok_or("no field has a number for each pod")?;
        Ok(read.into_iter().map(|(pod, used)| (pod, value(used))).collect())
    }

    fn target(&self) -> Result<i64, String> {
        let target = self.others.iter().find(|(name, _)| name.starts_with("target"));
        let target = target.and_then(|(_, value)| value.as_i64());
        target.ok_or_else(|| "no field target_.. is a whole number".to_owned())
    }
}

pub(super) fn utilization_ratio(input: &Ratio) -> Decided {
    let target = i32::try_from(input.target()?)?;
    let ratio = hpa::utilisation_ratio(&input.values()?, &input.requests_m, target);
    or_error(ratio, |measured| {
        json!({
            "ratio": measured.ratio,
            "utilization_pct": measured.percent,
            "average_raw_m": measured.average,
        })
    })
}

pub(super) fn usage_ratio(input: &Ratio) -> Decided {
    let (ratio, average) = hpa::usage_ratio(&input.values()?, input.target()?);
    Ok(json!({ "ratio": ratio, "average_m": average, "average_raw_m": average }))
}

#[derive(Deserialize)]
pub(super) struct PerPod {
    usage_m: i64,
    status_replicas: i32,
}

pub(super) fn per_pod_usage(input: &PerPod) -> Decided {
    Ok(json!({ "per_pod_m": hpa::per_pod(input.usage_m, input.status_replicas) }))
}
