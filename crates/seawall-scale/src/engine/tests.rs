use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{Engine, Event, EventRow, MAX_EVENTS};
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
        ("seawall_scale_limits_total web step_limited", 1.0),
        ("seawall_scale_shadow_differences_total web", 0.0),
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

#[test]
fn sinks_hear_of_changes_only_and_rows_fit_the_history() {
    let now = Instant::now();
    let mut engine = Engine::new(policy(), 3).expect("valid");
    let (send, heard) = std::sync::mpsc::channel();
    engine.add_sink(move |event: &Event| send.send(event.row()).expect("heard"));
    engine.set_clock(now, Duration::from_secs(1_800_000_000));
    let later = now + Duration::from_secs(5);
    let _ = engine.tick(&signals(0.7, later), later);
    let _ = engine.tick(&signals(0.912_345, later), later);
    let rows: Vec<_> = heard.try_iter().collect();
    let expected = EventRow {
        scaling_group: "web".into(),
        scaling_action: "scale_up",
        previous_capacity: 3,
        new_capacity: 4,
        trigger_metric: "cpu_usage".into(),
        trigger_value: 0.91,
        threshold_value: 0.7,
        timestamp: Some(Duration::from_secs(1_800_000_005)),
    };
    assert_eq!(rows, [expected]);
}

#[test]
fn a_row_is_cut_to_its_columns() {
    let event = Event {
        at: Instant::now(),
        unix: None,
        group: "g".repeat(100),
        action: Action::Up,
        previous: 0,
        new: u32::MAX,
        trigger: Some(crate::Trigger {
            metric: "m\u{e9}".repeat(50),
            value: f64::INFINITY,
            threshold: f64::NAN,
        }),
        reasons: Vec::new(),
    };
    let row = event.row();
    assert_eq!((row.new_capacity, row.trigger_metric.chars().count()), (i32::MAX, 50));
    assert_eq!((row.trigger_value, row.threshold_value), (99_999_999.99, 0.0));
    assert_eq!(Event { trigger: None, ..event }.row().trigger_metric, "manual");
}

#[test]
fn a_dry_run_tells_and_does_not_move() {
    let now = Instant::now();
    let mut engine = Engine::new(policy(), 3).expect("valid").dry_run(true);
    for _ in 0..3 {
        assert_eq!(engine.tick(&signals(0.91, now), now).target, 4);
    }
    assert_eq!((engine.state().current, engine.events().len()), (3, 0));
    // The world moved all the same.
    engine.observe(4);
    assert_eq!(engine.tick(&signals(0.7, now), now).action, Action::Hold);
}

#[test]
fn a_shadow_decides_from_the_live_size_and_is_not_obeyed() {
    let now = Instant::now();
    let mut engine = Engine::new(policy(), 10).expect("valid");
    let eager = Policy { targets: vec![Target::utilisation("cpu_usage", 0.5)], ..policy() };
    engine.set_shadow(Some(eager)).expect("valid");
    assert_eq!(engine.tick(&signals(0.7, now), now).target, 10);
    assert_eq!(engine.tick(&signals(0.84, now), now).target, 12);
    assert_eq!(engine.tick(&signals(0.5, now), now).target, 9);
    let report = engine.shadow().expect("a candidate");
    assert_eq!((report.decisions, report.larger, report.smaller), (3, 3, 0));
    // 14 and not 10, 17 and not 12; from 12, as it is and not 9.
    assert_eq!((report.instances, report.share()), (4 + 5 + 3, 1.0));
    let last = report.last.as_ref().expect("it differed");
    assert_eq!((last.current, last.live.target, last.candidate.target), (12, 9, 12));
    assert!(last.explain().starts_with("live wants 9 and the candidate 12, from 12. Live: "));
    assert_eq!(engine.state().current, 9);
    let wrong = Policy { min: 9, max: 8, ..policy() };
    engine.set_shadow(Some(wrong)).expect_err("wrong");
    assert!(engine.shadow().is_some());
    engine.set_shadow(None).expect("none");
    assert!(engine.shadow().is_none());
}

#[test]
fn a_shadow_keeps_its_own_windows() {
    let start = Instant::now();
    let mut engine = Engine::new(policy(), 10).expect("valid");
    let patient = Policy { window_down: Duration::from_secs(60), ..policy() };
    engine.set_shadow(Some(patient)).expect("valid");
    for second in [0, 15, 30, 45, 60, 75] {
        let now = start + Duration::from_secs(second);
        let _ = engine.tick(&signals(0.35, now), now);
    }
    // The live one went down at each tick; the candidate waited a minute.
    let report = engine.shadow().expect("a candidate");
    assert_eq!((report.decisions, report.larger > 0, report.smaller), (6, true, 0));
}
