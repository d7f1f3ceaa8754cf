//! Vectors about whole decisions.

use seawall_scale::hpa::{
    self, Answer, Controller, Faults, Hpa, Memory, Metric, Source, Target, Tolerance, Wish, World,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Decided;
use crate::input::{
    BehaviourText, EventText, InitialisationText, NOW, PodText, SampleText, WishText, ago, events,
    pods, seconds, wishes,
};

#[derive(Deserialize)]
pub(super) struct Sequence {
    initial_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    downscale_window_s: f64,
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
    let controller =
        Controller { downscale_window: seconds(input.downscale_window_s), ..Controller::default() };
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
        let exact = Controller { tolerance: Tolerance { down: 0.0, up: 0.0 }, ..controller };
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
    min_replicas: i32,
    max_replicas: i32,
    spec_replicas: i32,
    status_replicas: i32,
    metrics: Vec<MetricText>,
    pods: Vec<PodText>,
    tolerance: f64,
    #[serde(flatten)]
    initialisation: InitialisationText,
    downscale_window_s: f64,
    scale_up_limit_factor: f64,
    scale_up_limit_minimum: f64,
    behavior: Option<BehaviourText>,
    history: Option<Vec<WishText>>,
    #[serde(default)]
    previously_scaled_to_zero: bool,
    features: Features,
    #[serde(default)]
    up_events: Vec<EventText>,
    #[serde(default)]
    down_events: Vec<EventText>,
    actuator_fault: Option<String>,
}

#[derive(Deserialize)]
struct Features {
    scale_to_zero: bool,
    configurable_tolerance: bool,
}

#[derive(Deserialize)]
struct MetricText {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    resource: String,
    container: Option<String>,
    #[serde(default)]
    target: TargetText,
    #[serde(default)]
    samples: Vec<SampleText>,
    #[serde(default)]
    values_m: Vec<i64>,
    #[serde(default)]
    fetch_error: bool,
}

#[derive(Deserialize, Default)]
struct TargetText {
    utilization_pct: Option<i32>,
    average_m: Option<i64>,
    value_m: Option<i64>,
}

impl MetricText {
    fn metric(self) -> Metric {
        let source = match (&*self.kind, self.container) {
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
        Metric { source, target, answer: (!self.fetch_error).then_some(answer) }
    }
}

pub(super) fn reconcile(input: Reconcile) -> Decided {
    let controller = Controller {
        tolerance: Tolerance { down: input.tolerance, up: input.tolerance },
        initialisation: input.initialisation.initialisation(),
        downscale_window: seconds(input.downscale_window_s),
        up_factor: input.scale_up_limit_factor,
        up_minimum: input.scale_up_limit_minimum,
        scale_to_zero: input.features.scale_to_zero,
        configurable_tolerance: input.features.configurable_tolerance,
    };
    let hpa = Hpa {
        min: input.min_replicas,
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
