//! Vectors about windows, rules and bounds.

use seawall_scale::hpa::{self, Behaviour, Direction, FilledRules, RatePolicy, Rules, Select};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Decided;
use crate::input::{EventText, NOW, RulesText, WishText, events, or_default, seconds, wishes};

#[derive(Deserialize)]
pub(super) struct RuleDefaults {
    direction: String,
    rules: Option<RulesText>,
}

pub(super) fn rule_defaults(input: RuleDefaults) -> Decided {
    let rules = input.rules.map(RulesText::rules).transpose()?;
    let filled = Rules::filled(rules.as_ref(), direction(&input.direction)?);
    // The tolerance has no default of its own: what is set stays.
    let tolerance = rules.as_ref().and_then(|rules| rules.tolerance);
    Ok(json!({ "rules": text(&filled, tolerance) }))
}

fn text(rules: &FilledRules<'_>, tolerance: Option<f64>) -> Value {
    let policy = |policy: &RatePolicy| match policy {
        RatePolicy::Pods { value, period } => {
            json!({ "type": "pods", "value": value, "period_s": period.as_secs() })
        }
        RatePolicy::Percent { value, period } => {
            json!({ "type": "percent", "value": value, "period_s": period.as_secs() })
        }
    };
    let select = match rules.select {
        Select::Max => "max",
        Select::Min => "min",
        Select::Disabled => "disabled",
    };
    json!({
        "stabilization_window_s": rules.window.map(|window| window.as_secs()),
        "select": select,
        "policies": rules.policies.iter().map(policy).collect::<Vec<_>>(),
        "tolerance": tolerance,
    })
}

fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        other => Err(format!("direction {other}")),
    }
}

#[derive(Deserialize)]
pub(super) struct BehaviorLimit {
    direction: String,
    current_replicas: i32,
    rules: Option<RulesText>,
    #[serde(default, deserialize_with = "or_default")]
    up_events: Vec<EventText>,
    #[serde(default, deserialize_with = "or_default")]
    down_events: Vec<EventText>,
}

pub(super) fn behavior_limit(input: BehaviorLimit) -> Decided {
    let rules = input.rules.map(RulesText::rules).transpose()?;
    let filled = Rules::filled(rules.as_ref(), direction(&input.direction)?);
    let (ups, downs) = (events(input.up_events), events(input.down_events));
    Ok(json!({ "limit": filled.limit(input.current_replicas, &ups, &downs, NOW) }))
}

#[derive(Deserialize)]
pub(super) struct BehaviorRate {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    scale_up: Option<RulesText>,
    scale_down: Option<RulesText>,
    #[serde(default, deserialize_with = "or_default")]
    up_events: Vec<EventText>,
    #[serde(default, deserialize_with = "or_default")]
    down_events: Vec<EventText>,
}

pub(super) fn behavior_rate(input: BehaviorRate) -> Decided {
    let behaviour = Behaviour {
        up: input.scale_up.map(RulesText::rules).transpose()?,
        down: input.scale_down.map(RulesText::rules).transpose()?,
    };
    let (ups, downs) = (events(input.up_events), events(input.down_events));
    let sizes = (input.current_replicas, input.desired_replicas);
    let bounds = (input.min_replicas, input.max_replicas);
    let (replicas, reason) = hpa::limit_by_rules(&behaviour, sizes, bounds, (&ups, &downs), NOW);
    Ok(json!({ "replicas": replicas, "reason": reason.to_string() }))
}

#[derive(Deserialize)]
pub(super) struct ChangeInPeriod {
    period_s: f64,
    #[serde(default, deserialize_with = "or_default")]
    events: Vec<EventText>,
}

pub(super) fn change_in_period(input: ChangeInPeriod) -> Decided {
    let change = hpa::change_in_period(&events(input.events), seconds(input.period_s), NOW);
    Ok(json!({ "change": change }))
}

#[derive(Deserialize)]
pub(super) struct LegacyLimit {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    scale_up_limit_factor: f64,
    scale_up_limit_minimum: f64,
}

pub(super) fn legacy_limit(input: &LegacyLimit) -> Decided {
    let sizes = (input.current_replicas, input.desired_replicas);
    let bounds = (input.min_replicas, input.max_replicas);
    let factor = (input.scale_up_limit_factor, input.scale_up_limit_minimum);
    let (replicas, reason) = hpa::limit_by_factor(sizes, bounds, factor);
    Ok(json!({ "replicas": replicas, "reason": reason.to_string() }))
}

#[derive(Deserialize)]
pub(super) struct StabilizeDown {
    window_s: f64,
    #[serde(default, deserialize_with = "or_default")]
    history: Vec<WishText>,
    desired_replicas: i32,
}

pub(super) fn stabilize_down(input: StabilizeDown) -> Decided {
    let (history, window) = (wishes(input.history), seconds(input.window_s));
    let replicas = hpa::stabilise_down(&history, input.desired_replicas, window, NOW);
    Ok(json!({ "replicas": replicas }))
}

#[derive(Deserialize)]
pub(super) struct StabilizeBoth {
    up_window_s: f64,
    down_window_s: f64,
    #[serde(default, deserialize_with = "or_default")]
    history: Vec<WishText>,
    current_replicas: i32,
    desired_replicas: i32,
}

pub(super) fn stabilize_both(input: StabilizeBoth) -> Decided {
    let sizes = (input.current_replicas, input.desired_replicas);
    let (up, down) = (seconds(input.up_window_s), seconds(input.down_window_s));
    let replicas = hpa::stabilise_within(&wishes(input.history), sizes, up, down, NOW);
    Ok(json!({ "replicas": replicas }))
}
