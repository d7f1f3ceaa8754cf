use seawall_signal::Unit;

use super::{bare, codes, cpu, once};
use crate::{Action, Policy, Reason, StepLimit, Target, Trigger};

#[test]
fn the_size_is_what_brings_the_use_to_its_level() {
    for (current, use_, expected) in [
        (3, 0.91, 4),
        (3, 1.4, 6),
        (10, 0.35, 5),
        (10, 0.356, 6),
        (7, 0.7, 7),
        // As doubles, 7 * (0.8 / 0.7) is a little more than 8.
        (7, 0.8, 8),
        (5, 0.98, 7),
        (1, 0.1, 1),
        (1, 0.0, 1),
        (50, 7.0, 100),
    ] {
        let decision = once(&cpu(0.7), current, &[("cpu", use_, Unit::Ratio)]);
        assert_eq!(decision.target, expected, "{current} at {use_}");
    }
}

#[test]
fn both_ends_of_the_tolerance_belong_to_it() {
    // As doubles, 0.72 / 0.8 is below 0.9 and 0.805 / 0.7 above 1.15.
    let at = |tolerance, level, use_| {
        let policy = Policy { tolerance, ..cpu(level) };
        once(&policy, 50, &[("cpu", use_, Unit::Ratio)])
    };
    for (tolerance, level, use_) in [
        (0.1, 0.7, 0.63),
        (0.1, 0.7, 0.77),
        (0.1, 0.8, 0.72),
        (0.1, 0.4, 0.36),
        (0.15, 0.7, 0.805),
        (0.2, 0.57, 0.684),
        (0.0, 0.7, 0.7),
    ] {
        let decision = at(tolerance, level, use_);
        assert_eq!(decision.action, Action::Hold, "{use_} at {level}");
        assert_eq!(codes(&decision), ["within_tolerance"]);
    }
    assert_eq!(at(0.1, 0.7, 0.77 + 1e-6).target, 56);
    assert_eq!(at(0.1, 0.7, 0.63 - 1e-6).target, 45);
}

#[test]
fn a_total_is_divided_among_the_instances() {
    let policy = Policy { targets: vec![Target::per_instance("rate(requests)", 1000.0)], ..bare() };
    let at = |current, rate| {
        let sample = [("rate(requests)", rate, Unit::PerSecond)];
        once(&policy, current, &sample).target
    };
    assert_eq!(at(3, 3000.0), 3);
    assert_eq!(at(3, 3300.0), 3);
    assert_eq!(at(3, 3301.0), 4);
    assert_eq!(at(3, 12_000.0), 12);
    assert_eq!(at(10, 2_500.0), 3);
}

#[test]
fn a_total_wakes_a_group_from_zero_and_lets_it_sleep() {
    let policy = Policy { min: 0, targets: vec![Target::per_instance("queue", 100.0)], ..bare() };
    let at = |current, queue| once(&policy, current, &[("queue", queue, Unit::Count)]).target;
    assert_eq!(at(0, 0.0), 0);
    assert_eq!(at(0, 1.0), 1);
    assert_eq!(at(0, 950.0), 10);
    assert_eq!(at(3, 0.0), 0);
}

#[test]
fn a_value_moves_the_size_in_proportion() {
    let policy = Policy { targets: vec![Target::total("lag", 30.0)], ..bare() };
    let at = |current, lag| once(&policy, current, &[("lag", lag, Unit::Seconds)]).target;
    assert_eq!(at(4, 60.0), 8);
    assert_eq!(at(4, 31.0), 4);
    assert_eq!(at(4, 15.0), 2);
}

#[test]
fn the_largest_wish_wins_and_all_must_agree_to_shrink() {
    let mut policy = cpu(0.5);
    policy.targets.push(Target::per_instance("requests", 100.0));
    let at = |cpu, requests| {
        let samples = [("cpu", cpu, Unit::Ratio), ("requests", requests, Unit::PerSecond)];
        once(&policy, 10, &samples)
    };
    assert_eq!(at(1.0, 1500.0).target, 20);
    assert_eq!(at(0.6, 1500.0).target, 15);
    assert_eq!(at(0.1, 1500.0).target, 15);
    assert_eq!(at(0.1, 1000.0).target, 10);
    assert_eq!(at(0.1, 500.0).target, 5);
    let decision = at(0.6, 1500.0);
    assert_eq!(codes(&decision), ["target", "target"]);
    let trigger = Trigger { metric: "requests".into(), value: 150.0, threshold: 100.0 };
    assert_eq!(decision.trigger, Some(trigger));
}

#[test]
fn wishes_beyond_the_bounds_and_the_step_are_cut_and_said() {
    let policy = Policy {
        min: 2,
        max: 20,
        limit_up: Some(StepLimit { instances: 4, percent: 100.0 }),
        limit_down: Some(StepLimit { instances: 1, percent: 50.0 }),
        ..cpu(0.5)
    };
    let at = |current, use_| once(&policy, current, &[("cpu", use_, Unit::Ratio)]);
    assert_eq!(at(2, 4.0).target, 6);
    assert_eq!(codes(&at(2, 4.0)), ["target", "step_limited"]);
    assert_eq!(at(8, 4.0).target, 16);
    assert_eq!(codes(&at(16, 4.0)), ["target", "step_limited", "at_maximum"]);
    assert_eq!(at(16, 4.0).target, 20);
    assert_eq!(at(15, 0.01).target, 8);
    assert_eq!(at(3, 0.01).target, 2);
    let held = at(2, 0.01);
    assert_eq!((held.target, held.action), (2, Action::Hold));
    assert!(held.reasons.contains(&Reason::AtMinimum { wish: 1, min: 2 }));
    assert_eq!(held.trigger, None);
}

#[test]
fn a_size_outside_the_bounds_is_corrected_without_asking_signals() {
    let policy = Policy { min: 3, max: 20, ..cpu(0.5) };
    let above = once(&policy, 25, &[]);
    assert_eq!((above.target, above.action), (20, Action::Down));
    assert_eq!(codes(&above), ["above_maximum"]);
    let below = once(&policy, 0, &[("cpu", f64::NAN, Unit::Ratio)]);
    assert_eq!((below.target, below.action), (3, Action::Up));
    assert_eq!(codes(&below), ["below_minimum"]);
    assert_eq!(below.trigger.map(|t| t.metric), Some("min".into()));
}

#[test]
fn a_load_too_large_for_the_arithmetic_asks_for_the_maximum_and_not_for_nothing() {
    let targets = vec![Target::per_instance("load", 0.5)];
    let by_target = Policy { targets, ..bare() };
    let by_queue = Policy { queues: vec![crate::Queue::new("load", 0.001)], ..bare() };
    let by_forecast = Policy {
        forecasts: vec![crate::Forecast {
            may_shrink: true,
            ..crate::Forecast::of_load("load", 0.5)
        }],
        ..bare()
    };
    for policy in [by_target, by_queue, by_forecast] {
        policy.validate().expect("valid");
        let decision = once(&policy, 10, &[("load", f64::MAX, Unit::Count)]);
        assert_eq!(decision.target, 100, "{}", decision.explain());
    }
}
