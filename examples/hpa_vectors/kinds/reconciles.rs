//! Vectors about whole decisions.

use seawall_scale::hpa::{
    self, Answer, Controller, Faults, Hpa, Memory, Metric, Source, Target, Tolerance, Wish, World,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Decided;
use crate::input::{
    BehaviourText, EventText, InitialisationText, NOW, PodText, SampleText, ToleranceText,
    WishText, ago, container, events, or_default, pods, seconds, wishes,
};

#[derive(Deserialize)]
pub(super) struct Sequence {
    initial_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    downscale_window_s: Option<f64>,
    behavior: Option<BehaviourText>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    t_s: f64,
    desired_replicas: i32,
}

/// Each wish is put as an external metric that asks for just so many.
pub(super) fn sequence(input: Sequence) -> Decided {
    let usual = Controller::default();
    let window = input.downscale_window_s.map_or(usual.downscale_window, seconds);
    let controller = Controller { downscale_window: window, ..usual };
    let behaviour = input.behavior.map(BehaviourText::behaviour).transpose()?;
    let mut size = input.initial_replicas;
    let mut memory = Memory::default();
    let first = input.steps.first().map_or(0.0, |step| step.t_s);
    memory.wishes = Some(vec![Wish { replicas: size, at: NOW + seconds(first) }]);
    let mut replicas = Vec::with_capacity(input.steps.len());
    for step in &input.steps {
        let hpa = Hpa {
            min: input.min_replicas,
            max: input.max_replicas,
            metrics: vec![wish(step.desired_replicas)],
            behaviour: behaviour.clone(),
        };
        let world = World { spec_replicas: size, status_replicas: size, ..World::default() };
        let now = NOW + seconds(step.t_s);
        // A wish is a wish, however near: no tolerance, also not that of a rule.
        let exact = Controller {
            tolerance: Tolerance { down: 0.0, up: 0.0 },
            configurable_tolerance: false,
            ..controller
        };
        let done = hpa::reconcile(&exact, &hpa, &world, &mut memory, Faults::default(), now);
        size = done.desired;
        replicas.push(size);
    }
    Ok(json!({ "replicas": replicas }))
}

fn wish(replicas: i32) -> Metric {
    Metric {
        source: Source::External,
        target: Target::Average(1_000),
        answer: Some(Answer::Values(vec![i64::from(replicas) * 1_000])),
    }
}

#[derive(Deserialize)]
pub(super) struct Reconcile {
    min_replicas: Option<i32>,
    max_replicas: i32,
    spec_replicas: i32,
    status_replicas: i32,
    metrics: Vec<MetricText>,
    #[serde(default, deserialize_with = "or_default")]
    pods: Vec<PodText>,
    #[serde(default, deserialize_with = "or_default")]
    tolerance: ToleranceText,
    #[serde(flatten)]
    initialisation: InitialisationText,
    downscale_window_s: Option<f64>,
    scale_up_limit_factor: Option<f64>,
    scale_up_limit_minimum: Option<f64>,
    behavior: Option<BehaviourText>,
    history: Option<Vec<WishText>>,
    #[serde(default, deserialize_with = "or_default")]
    previously_scaled_to_zero: bool,
    #[serde(default, deserialize_with = "or_default")]
    features: Features,
    #[serde(default, deserialize_with = "or_default")]
    up_events: Vec<EventText>,
    #[serde(default, deserialize_with = "or_default")]
    down_events: Vec<EventText>,
    actuator_fault: Option<String>,
}

#[derive(Deserialize, Default)]
struct Features {
    #[serde(default, deserialize_with = "or_default")]
    scale_to_zero: bool,
    configurable_tolerance: Option<bool>,
}

#[derive(Deserialize)]
struct MetricText {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    resource: String,
    container: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    target: TargetText,
    #[serde(default, deserialize_with = "or_default")]
    samples: Vec<SampleText>,
    #[serde(default, deserialize_with = "or_default")]
    values_m: Vec<i64>,
    /// True, or what went wrong.
    #[serde(default)]
    fetch_error: Value,
}

#[derive(Deserialize, Default)]
struct TargetText {
    utilization_pct: Option<i32>,
    average_m: Option<i64>,
    value_m: Option<i64>,
}

impl MetricText {
    fn metric(self) -> Metric {
        let source = match (&*self.kind, container(self.container)) {
            ("resource", _) => Source::Resource { resource: self.resource },
            ("container_resource", container) => Source::ContainerResource {
                resource: self.resource,
                container: container.unwrap_or_default(),
            },
            ("pods", _) => Source::Pods,
            ("object", _) => Source::Object,
            ("external", _) => Source::External,
            _ => Source::Unknown,
        };
        let target = match self.target {
            TargetText { average_m: Some(average), .. } => Target::Average(average),
            TargetText { utilization_pct: Some(percent), .. } => Target::Utilisation(percent),
            TargetText { value_m: Some(value), .. } => Target::Value(value),
            _ => Target::Missing,
        };
        let answer = match source {
            Source::Resource { .. } | Source::ContainerResource { .. } => {
                Answer::Samples(self.samples.into_iter().map(SampleText::of_containers).collect())
            }
            Source::Pods => {
                Answer::Pods(self.samples.into_iter().map(SampleText::of_pod).collect())
            }
            _ => Answer::Values(self.values_m),
        };
        let fetched = matches!(self.fetch_error, Value::Null | Value::Bool(false));
        Metric { source, target, answer: fetched.then_some(answer) }
    }
}

pub(super) fn reconcile(input: Reconcile) -> Decided {
    let usual = Controller::default();
    let tolerates = input.features.configurable_tolerance;
    let controller = Controller {
        tolerance: input.tolerance.tolerance(),
        initialisation: input.initialisation.initialisation(),
        downscale_window: input.downscale_window_s.map_or(usual.downscale_window, seconds),
        up_factor: input.scale_up_limit_factor.unwrap_or(usual.up_factor),
        up_minimum: input.scale_up_limit_minimum.unwrap_or(usual.up_minimum),
        scale_to_zero: input.features.scale_to_zero,
        configurable_tolerance: tolerates.unwrap_or(usual.configurable_tolerance),
    };
    let hpa = Hpa {
        min: input.min_replicas.unwrap_or(1),
        max: input.max_replicas,
        metrics: input.metrics.into_iter().map(MetricText::metric).collect(),
        behaviour: input.behavior.map(BehaviourText::behaviour).transpose()?,
    };
    let world = World {
        spec_replicas: input.spec_replicas,
        status_replicas: input.status_replicas,
        pods: pods(input.pods)?,
        scaled_to_zero: input.previously_scaled_to_zero,
    };
    let mut memory = Memory::default();
    memory.wishes = input.history.map(wishes);
    (memory.ups, memory.downs) = (events(input.up_events), events(input.down_events));
    let faults = match input.actuator_fault.as_deref() {
        None | Some("update_conflict_once") => Faults::default(),
        Some("get_scale") => Faults { get: true, update: false },
        Some("update_scale") => Faults { get: false, update: true },
        Some(other) => return Err(format!("fault {other}").into()),
    };
    let done = hpa::reconcile(&controller, &hpa, &world, &mut memory, faults, ago(0.0));
    let condition = |condition: &hpa::Condition| {
        let status = condition.status.to_string();
        (condition.kind.to_string(), json!([status, condition.reason.to_string()]))
    };
    let conditions: Map<String, Value> = done.conditions.iter().map(condition).collect();
    Ok(json!({
        "desired_replicas": done.desired,
        "rescaled": done.rescaled,
        "error": done.error,
        "cpu_utilization_pct": done.cpu_utilisation,
        "conditions": conditions,
    }))
}
