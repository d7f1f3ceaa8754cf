//! The inputs of vectors as they are written, and as the crate takes them.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_scale::hpa::{
    Behaviour, Initialisation, Moment, Phase, Pod, RatePolicy, Requests, Rules, Sample, ScaleEvent,
    Select, Tolerance, Value, Wish,
};
use serde::{Deserialize, Deserializer};

/// The moment of every decision: later than any age in a file.
pub(crate) const NOW: Moment = Duration::from_secs(4_000_000_000);

/// The moment `age` seconds ago; ahead, if that is negative.
pub(crate) fn ago(age: f64) -> Moment {
    if age < 0.0 { NOW.saturating_add(seconds(-age)) } else { NOW.saturating_sub(seconds(age)) }
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What is null is as what is left out.
pub(crate) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A container, if one is named.
pub(crate) fn container(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

#[derive(Deserialize)]
pub(crate) struct PodText {
    name: String,
    phase: String,
    ready: Option<bool>,
    start_age_s: Option<f64>,
    ready_transition_age_s: Option<f64>,
    #[serde(default, deserialize_with = "or_default")]
    deleting: bool,
    #[serde(default, deserialize_with = "or_default")]
    containers: BTreeMap<String, Option<i64>>,
    #[serde(default, deserialize_with = "or_default")]
    restartable_init_containers: BTreeMap<String, Option<i64>>,
}

impl PodText {
    fn pod(self) -> Result<Pod, String> {
        let phase = match &*self.phase {
            "running" => Phase::Running,
            "pending" => Phase::Pending,
            "failed" => Phase::Failed,
            "succeeded" => Phase::Succeeded,
            other => return Err(format!("phase {other}")),
        };
        Ok(Pod {
            name: self.name,
            phase,
            ready: self.ready,
            started: self.start_age_s.map(ago),
            ready_changed: self.ready_transition_age_s.map(ago),
            deleting: self.deleting,
            requests: Requests {
                containers: self.containers,
                restartable_init: self.restartable_init_containers,
                pod_level: None,
            },
        })
    }
}

pub(crate) fn pods(pods: Vec<PodText>) -> Result<Vec<Pod>, String> {
    pods.into_iter().map(PodText::pod).collect()
}

#[derive(Deserialize)]
pub(crate) struct SampleText {
    pod: String,
    #[serde(default, deserialize_with = "or_default")]
    usage_m: BTreeMap<String, Option<i64>>,
    #[serde(default, deserialize_with = "or_default")]
    value_m: i64,
    #[serde(default, deserialize_with = "or_default")]
    age_s: f64,
    #[serde(default, deserialize_with = "or_default")]
    window_s: f64,
}

impl SampleText {
    pub(crate) fn of_containers(self) -> Sample {
        let (at, window) = (ago(self.age_s), seconds(self.window_s));
        Sample { pod: self.pod, usage: self.usage_m, at, window }
    }

    pub(crate) fn of_pod(self) -> (String, Value) {
        let (at, window) = (ago(self.age_s), seconds(self.window_s));
        (self.pod, Value { value: self.value_m, at, window })
    }
}

/// A tolerance for each direction, or one for both.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum ToleranceText {
    Both(f64),
    Each { down: Option<f64>, up: Option<f64> },
}

impl ToleranceText {
    pub(crate) fn tolerance(self) -> Tolerance {
        let usual = Tolerance::default();
        match self {
            Self::Both(both) => Tolerance { down: both, up: both },
            Self::Each { down, up } => {
                Tolerance { down: down.unwrap_or(usual.down), up: up.unwrap_or(usual.up) }
            }
        }
    }
}

impl Default for ToleranceText {
    fn default() -> Self {
        Self::Each { down: None, up: None }
    }
}

#[derive(Deserialize)]
pub(crate) struct InitialisationText {
    cpu_initialization_period_s: Option<f64>,
    initial_readiness_delay_s: Option<f64>,
}

impl InitialisationText {
    pub(crate) fn initialisation(&self) -> Initialisation {
        let usual = Initialisation::default();
        Initialisation {
            cpu_period: self.cpu_initialization_period_s.map_or(usual.cpu_period, seconds),
            readiness_delay: self.initial_readiness_delay_s.map_or(usual.readiness_delay, seconds),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct RulesText {
    stabilization_window_s: Option<f64>,
    select: Option<String>,
    tolerance: Option<f64>,
    policies: Option<Vec<PolicyText>>,
}

#[derive(Deserialize)]
struct PolicyText {
    #[serde(rename = "type")]
    kind: String,
    value: i32,
    period_s: f64,
}

impl RulesText {
    pub(crate) fn rules(self) -> Result<Rules, String> {
        let select = match self.select.as_deref() {
            None => None,
            Some("max") => Some(Select::Max),
            Some("min") => Some(Select::Min),
            Some("disabled") => Some(Select::Disabled),
            Some(other) => return Err(format!("select {other}")),
        };
        let policy = |PolicyText { kind, value, period_s }: PolicyText| {
            let period = seconds(period_s);
            match &*kind {
                "pods" => Ok(RatePolicy::Pods { value, period }),
                "percent" => Ok(RatePolicy::Percent { value, period }),
                other => Err(format!("policy {other}")),
            }
        };
        let policies = self.policies.unwrap_or_default().into_iter().map(policy);
        Ok(Rules {
            window: self.stabilization_window_s.map(seconds),
            select,
            policies: policies.collect::<Result<_, _>>()?,
            tolerance: self.tolerance,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct BehaviourText {
    scale_up: Option<RulesText>,
    scale_down: Option<RulesText>,
}

impl BehaviourText {
    pub(crate) fn behaviour(self) -> Result<Behaviour, String> {
        Ok(Behaviour {
            up: self.scale_up.map(RulesText::rules).transpose()?,
            down: self.scale_down.map(RulesText::rules).transpose()?,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct EventText {
    change: i32,
    age_s: f64,
}

pub(crate) fn events(events: Vec<EventText>) -> Vec<ScaleEvent> {
    let event = |EventText { change, age_s }| ScaleEvent { change, at: ago(age_s) };
    events.into_iter().map(event).collect()
}

#[derive(Deserialize)]
pub(crate) struct WishText {
    replicas: i32,
    age_s: f64,
}

pub(crate) fn wishes(wishes: Vec<WishText>) -> Vec<Wish> {
    let wish = |WishText { replicas, age_s }| Wish { replicas, at: ago(age_s) };
    wishes.into_iter().map(wish).collect()
}
