use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{Engine, MAX_EVENTS};
use crate::{Action, Policy, PolicyError, Rule, Target};

fn policy() -> Policy {
    Policy {
        group: "web".into(),
        max: 1000,
        targets: vec![Target::utilisation("cpu_usage", 0.7)],
        cooldown_up: Duration::ZERO,
        cooldown_down: Duration::ZERO,
        window_down: Duration::ZERO,
        ..Policy::default()
    }
}

fn signals(cpu: f64, now: Instant) -> Signals {
    let mut signals = Signals::new();
    signals.set("cpu_usage", cpu, Unit::Ratio, now);
    signals
}

#[test]
fn a_change_is_logged_with_its_trigger_and_a_hold_is_not() {
    let now = Instant::now();
    let mut engine = Engine::new(policy(), 3).expect("valid");
    assert_eq!(engine.tick(&signals(0.7, now), now).action, Action::Hold);
    assert_eq!(engine.tick(&signals(0.91, now), now).target, 4);
    assert_eq!(engine.events().len(), 1);
    let event = engine.events().next().expect("one event");
    assert_eq!((event.previous, event.new, event.action.name()), (3, 4, "scale_up"));
    assert_eq!((&*event.group, event.at), ("web", now));
    let trigger = event.trigger.as_ref().expect("a trigger");
    assert_eq!((&*trigger.metric, trigger.value, trigger.threshold), ("cpu_usage", 0.91, 0.7));
    assert_eq!(
        event.reasons[0].to_string(),
        "cpu_usage is 91 %, above its target 70 %: wants 4 instances, from 3"
    );
    assert_eq!(engine.state().current, 4);
}

#[test]
fn the_log_of_events_is_bounded_and_keeps_the_newest() {
    let now = Instant::now();
    let mut engine = Engine::new(policy(), 3).expect("valid");
    for _ in 0..MAX_EVENTS + 10 {
        engine.observe(3);
        let _ = engine.tick(&signals(1.4, now), now);
    }
    engine.observe(10);
    let _ = engine.tick(&signals(1.4, now), now);
    assert_eq!(engine.events().len(), MAX_EVENTS);
    assert_eq!(engine.events().last().map(|event| event.new), Some(20));
}

#[test]
fn metrics_count_every_decision_and_show_missing_signals() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let now = Instant::now();
        let mut engine = Engine::new(policy(), 3).expect("valid");
        let _ = engine.tick(&signals(0.91, now), now);
        let _ = engine.tick(&signals(0.7, now), now);
        let _ = engine.tick(&signals(0.1, now), now);
        let _ = engine.tick(&Signals::new(), now);
    });
    let mut seen: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.0,
                DebugValue::Histogram(_) => f64::NAN,
            };
            (format!("{} {}", key.key().name(), labels.join(" ")), value)
        })
        .collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("seawall_scale_decisions_total web hold", 2.0),
        ("seawall_scale_decisions_total web scale_down", 1.0),
        ("seawall_scale_decisions_total web scale_up", 1.0),
        ("seawall_scale_signals_missing web", 1.0),
        ("seawall_scale_target web", 2.0),
    ];
    assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_wrong_policy_changes_nothing() {
    let wrong = Policy { min: 9, max: 8, ..policy() };
    let mut engine = Engine::new(policy(), 3).expect("valid");
    let error = engine.set_policy(wrong.clone()).expect_err("wrong");
    assert_eq!(error, PolicyError::MinAboveMax { min: 9, max: 8 });
    assert_eq!(engine.policy(), &policy());
    assert!(Engine::new(wrong, 3).is_err());
}

#[test]
fn a_new_policy_keeps_cooldowns_and_forgets_the_holds_of_other_rules() {
    let now = Instant::now();
    let mut first = policy();
    first.targets.clear();
    first.cooldown_up = Duration::from_secs(300);
    first.rules = vec![Rule::scale_up("cpu_usage > 80 clear < 40").expect("parses")];
    let mut second = first.clone();
    second.rules = vec![Rule::scale_up("cpu_usage > 90 clear < 40").expect("parses")];

    let mut engine = Engine::new(first, 3).expect("valid");
    assert_eq!(engine.tick(&signals(0.85, now), now).target, 4);
    engine.set_policy(second).expect("valid");
    // Raised under the old rule; the new one has its own memory.
    let later = now + Duration::from_secs(400);
    assert_eq!(engine.tick(&signals(0.85, later), later).target, 4);
    assert_eq!(engine.state().last_up, Some(now));
}
