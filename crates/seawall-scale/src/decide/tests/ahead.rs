use seawall_signal::Unit;

use super::{codes, once, ruled};
use crate::{Action, Policy, Reason, Step, Target};

#[test]
fn a_rule_pair_does_not_play_ping_pong() {
    let policy = ruled(&["cpu > 70"], &["cpu < 50"]);
    let small = once(&policy, 2, &[("cpu", 0.45, Unit::Ratio)]);
    assert_eq!((small.target, small.action), (2, Action::Hold));
    assert_eq!(codes(&small), ["rule", "would_flap"]);
    assert_eq!(
        small.reasons[1].to_string(),
        "with 1 instance the same load would scale up again: cpu is 90 %, above 70 %"
    );
    let large = once(&policy, 10, &[("cpu", 0.45, Unit::Ratio)]);
    assert_eq!(large.target, 9);
}

#[test]
fn a_large_step_stops_at_the_smallest_size_that_lasts() {
    let mut policy = ruled(&["cpu > 70"], &["cpu < 50"]);
    policy.rules[1].by = Step::Instances(8);
    // 10 at 45 % are 4.5 busy: 7 run at 64 %, 6 at 75 %.
    let decision = once(&policy, 10, &[("cpu", 0.45, Unit::Ratio)]);
    assert_eq!(decision.target, 7);
    let Some(Reason::WouldFlap { instances: 2, measured: Some(measured) }) =
        decision.reasons.last()
    else {
        panic!("{decision:?}");
    };
    assert_eq!((measured.value, measured.threshold), (2.25, 0.7));
}

#[test]
fn a_hold_or_a_cooldown_on_the_up_rule_is_no_excuse() {
    let mut policy = ruled(&["cpu > 70 for 10m"], &["cpu < 50"]);
    policy.rules[0].cooldown = Some(super::seconds(3600));
    let decision = once(&policy, 2, &[("cpu", 0.45, Unit::Ratio)]);
    assert_eq!(codes(&decision), ["rule", "would_flap"]);
}

#[test]
fn an_up_rule_that_only_waits_for_its_hold_keeps_the_size() {
    let policy = ruled(&["queue > 5 for 10m"], &["cpu < 50"]);
    let samples = [("cpu", 0.1, Unit::Ratio), ("queue", 6.0, Unit::Count)];
    let decision = once(&policy, 10, &samples);
    assert_eq!(codes(&decision), ["rule", "pending", "would_flap"]);
}

#[test]
fn an_up_rule_on_a_falling_ratio_is_checked_as_measured() {
    // Projected to half the size, 70 % would be 140 % and look harmless.
    let policy = ruled(&["hit_ratio < 80% for 10m"], &["cpu < 50"]);
    let samples = [("cpu", 0.1, Unit::Ratio), ("hit_ratio", 0.7, Unit::Ratio)];
    let decision = once(&policy, 2, &samples);
    assert_eq!(codes(&decision), ["rule", "pending", "would_flap"]);
}

#[test]
fn a_target_is_projected_too() {
    let policy = Policy {
        targets: vec![Target::utilisation("cpu", 0.5)],
        tolerance: 0.0,
        ..ruled(&["cpu > 60"], &[])
    };
    // The target alone would go from 9 at 32 % to 6 at 48 %.
    assert_eq!(once(&policy, 9, &[("cpu", 0.32, Unit::Ratio)]).target, 6);
    // A rule below the target's level makes it stop earlier: 6 at 48 %.
    let mut tight = policy;
    tight.rules[0] = crate::Rule::scale_up("cpu > 40").expect("parses");
    let decision = once(&tight, 9, &[("cpu", 0.32, Unit::Ratio)]);
    assert_eq!(decision.target, 8);
    assert_eq!(codes(&decision), ["target", "would_flap"]);
}

#[test]
fn durations_and_counts_are_not_projected() {
    let policy = ruled(&["p95(latency) > 500ms", "queue > 100"], &["cpu < 50"]);
    let samples = [
        ("cpu", 0.1, Unit::Ratio),
        ("p95(latency)", 0.4, Unit::Seconds),
        ("queue", 90.0, Unit::Count),
    ];
    assert_eq!(once(&policy, 2, &samples).target, 1);
}
