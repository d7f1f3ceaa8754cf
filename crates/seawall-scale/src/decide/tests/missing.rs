use seawall_signal::{Missing, Unit};

use super::{codes, cpu, measured, once, ruled, seconds, start};
use crate::{Action, Policy, Reason, State, Target, decide};

#[test]
fn one_missing_signal_blocks_down_and_not_up() {
    let mut policy = cpu(0.5);
    policy.targets.push(Target::per_instance("requests", 100.0));
    let calm = once(&policy, 10, &[("cpu", 0.1, Unit::Ratio)]);
    assert_eq!(calm.action, Action::Hold);
    assert_eq!(calm.reasons[1].to_string(), "requests has no sample: not scaling down");
    let busy = once(&policy, 10, &[("cpu", 1.0, Unit::Ratio)]);
    assert_eq!(busy.target, 20);
    assert_eq!(busy.reasons[1].to_string(), "requests has no sample");
}

#[test]
fn what_cannot_be_decided_on_is_missing_and_says_why() {
    let now = start();
    for (value, unit, age, why) in [
        (f64::NAN, Unit::Ratio, 0, Missing::NotFinite),
        (f64::NEG_INFINITY, Unit::Ratio, 0, Missing::NotFinite),
        (-0.1, Unit::Ratio, 0, Missing::Negative),
        (0.1, Unit::Seconds, 0, Missing::OtherUnit),
        (0.1, Unit::Ratio, 61, Missing::Stale { age: seconds(61) }),
    ] {
        let signals = measured(&[("cpu", value, unit)], now - seconds(age));
        let decision = decide(&cpu(0.5), &State::new(10), &signals, now);
        assert_eq!(decision.action, Action::Hold, "{value} {unit:?} {age}");
        let expected = Reason::Missing { signal: "cpu".into(), why, held: false };
        assert_eq!(decision.reasons, [expected]);
    }
    let signals = measured(&[("cpu", 0.1, Unit::Ratio)], now + seconds(1));
    let decision = decide(&cpu(0.5), &State::new(10), &signals, now);
    assert_eq!(decision.action, Action::Hold);
}

#[test]
fn an_unknown_up_rule_blocks_a_down_rule() {
    let policy = ruled(&["memory > 85"], &["cpu < 30"]);
    let decision = once(&policy, 10, &[("cpu", 0.1, Unit::Ratio)]);
    assert_eq!((decision.action, codes(&decision)), (Action::Hold, vec!["rule", "missing"]));
    let samples = [("cpu", 0.1, Unit::Ratio), ("memory", 0.2, Unit::Ratio)];
    assert_eq!(once(&policy, 10, &samples).target, 9);
}

#[test]
fn a_rule_may_name_its_own_fallback() {
    let fallback = "not absent(p95) and p95 > 500ms or absent(p95) and cpu > 60";
    let policy = ruled(&[fallback], &["cpu < 30"]);
    let at = |cpu| once(&policy, 10, &[("cpu", cpu, Unit::Ratio)]).target;
    assert_eq!(at(0.7), 11);
    assert_eq!(at(0.1), 9);
}

#[test]
fn a_signal_that_comes_back_starts_the_down_window_again() {
    let mut policy = Policy { window_down: seconds(100), ..cpu(0.5) };
    policy.targets.push(Target::utilisation("memory", 0.5));
    // All signals lost, or one of two.
    for lost in [vec![], vec![("cpu", 0.1, Unit::Ratio)]] {
        let start = start();
        let mut state = State::new(10);
        let mut at = |second, samples: &[_]| {
            let now = start + seconds(second);
            let decision = decide(&policy, &state, &measured(samples, now), now);
            state.apply(&decision, now);
            decision.target
        };
        let all = [("cpu", 0.1, Unit::Ratio), ("memory", 0.1, Unit::Ratio)];
        assert_eq!(at(0, &all), 10);
        assert_eq!(at(60, &lost), 10);
        assert_eq!(at(110, &all), 10);
        assert_eq!(at(159, &all), 10);
        assert_eq!(at(160, &all), 2);
    }
}

#[test]
fn an_outage_does_not_hold_back_the_way_up() {
    let policy = Policy { window_up: seconds(60), ..cpu(0.5) };
    let start = start();
    let mut state = State::new(10);
    let mut at = |second, use_: f64| {
        let now = start + seconds(second);
        let decision = decide(&policy, &state, &measured(&[("cpu", use_, Unit::Ratio)], now), now);
        state.apply(&decision, now);
        decision.target
    };
    assert_eq!(at(0, f64::NAN), 10);
    assert_eq!(at(10, 1.0), 20);
}
