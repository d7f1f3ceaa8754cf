//! What each kind of vector decides.

mod metrics;
mod reconciles;
mod sizes;

use std::error::Error;

use seawall_scale::hpa::MetricError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The fields of a result, or why the input cannot be read.
type Decided = Result<Value, Box<dyn Error>>;

/// Decides one vector.
pub(crate) fn decide(kind: &str, input: &Value) -> Decided {
    match kind {
        "resource_utilization" => metrics::resource_utilization(read(input)?),
        "pods_average_value" => metrics::pods_average_value(read(input)?),
        "object_value" | "external_value" => metrics::total(read(input)?),
        "object_average" | "external_average" => metrics::average(&read(input)?),
        "classify_pods" => metrics::classify_pods(read(input)?),
        "effective_request" => metrics::effective_request(read(input)?),
        "utilization_ratio" => metrics::utilization_ratio(&read(input)?),
        "usage_ratio" => metrics::usage_ratio(&read(input)?),
        "per_pod_usage" => metrics::per_pod_usage(&read(input)?),
        "rule_defaults" => sizes::rule_defaults(read(input)?),
        "behavior_limit" => sizes::behavior_limit(read(input)?),
        "behavior_rate" => sizes::behavior_rate(read(input)?),
        "change_in_period" => sizes::change_in_period(read(input)?),
        "legacy_limit" => sizes::legacy_limit(&read(input)?),
        "stabilize_down" => sizes::stabilize_down(read(input)?),
        "stabilize_both" => sizes::stabilize_both(read(input)?),
        "sequence" => reconciles::sequence(read(input)?),
        "reconcile" => reconciles::reconcile(read(input)?),
        other => Err(format!("unknown kind {other}").into()),
    }
}

fn read<T: DeserializeOwned>(input: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(input)
}

/// A result that may be the class of an error.
fn or_error<T>(result: Result<T, MetricError>, fields: impl FnOnce(T) -> Value) -> Decided {
    Ok(match result {
        Ok(result) => fields(result),
        Err(error) => json!({ "error": class(error) }),
    })
}

fn class(error: MetricError) -> &'static str {
    match error {
        MetricError::NoMetrics => "no_metrics",
        MetricError::NoReadyMetrics => "no_ready_metrics",
        MetricError::NoMatchingMetrics => "no_matching_metrics",
        MetricError::MissingRequest => "missing_request",
        MetricError::ContainerNotFound => "container_not_found",
        MetricError::NoPods => "no_pods",
        _ => "other",
    }
}
