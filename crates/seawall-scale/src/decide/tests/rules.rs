use seawall_signal::Unit;

use super::{codes, once, ruled, seconds, start};
use crate::{Action, Policy, State, Step, Target, decide};

const CALM: [(&str, f64, Unit); 2] = [("cpu", 0.5, Unit::Ratio), ("queue", 10.0, Unit::Count)];
const BUSY: [(&str, f64, Unit); 2] = [("cpu", 0.9, Unit::Ratio), ("queue", 10.0, Unit::Count)];
const IDLE: [(&str, f64, Unit); 2] = [("cpu", 0.1, Unit::Ratio), ("queue", 10.0, Unit::Count)];

#[test]
fn a_rule_moves_by_its_step() {
    let mut policy = ruled(&["cpu > 80"], &["cpu < 30"]);
    assert_eq!(once(&policy, 10, &BUSY).target, 11);
    assert_eq!(once(&policy, 10, &IDLE).target, 9);
    let calm = once(&policy, 10, &CALM);
    assert_eq!((calm.action, codes(&calm)), (Action::Hold, vec!["quiet"]));
    for (by, up, down) in [
        (Step::Instances(3), 13, 7),
        (Step::Percent(50.0), 15, 5),
        (Step::Percent(25.0), 13, 8),
        (Step::Percent(1.0), 11, 9),
    ] {
        policy.rules.iter_mut().for_each(|rule| rule.by = by);
        assert_eq!(once(&policy, 10, &BUSY).target, up, "{by} up");
        assert_eq!(once(&policy, 10, &IDLE).target, down, "{by} down");
    }
}

#[test]
fn up_wins_over_down() {
    let policy = ruled(&["queue > 5"], &["cpu < 30"]);
    let decision = once(&policy, 10, &IDLE);
    assert_eq!(decision.target, 11);
    assert_eq!(codes(&decision), ["rule", "rule"]);
}

#[test]
fn the_highest_priority_speaks_but_a_down_never_silences_an_up() {
    let mut policy = ruled(&["cpu > 80", "queue > 5"], &["queue > 5"]);
    policy.rules[0].by = Step::Instances(5);
    policy.rules[2].priority = 9;
    assert_eq!(once(&policy, 10, &BUSY).target, 15);
    policy.rules[1].priority = 1;
    assert_eq!(once(&policy, 10, &BUSY).target, 11);
}

#[test]
fn of_several_down_rules_the_smallest_step_counts() {
    let mut policy = ruled(&[], &["cpu < 30", "cpu < 20", "cpu < 5"]);
    policy.rules[1].by = Step::Instances(4);
    assert_eq!(once(&policy, 10, &IDLE).target, 9);
}

#[test]
fn a_target_that_is_content_keeps_a_down_rule_from_shrinking() {
    let mut policy = ruled(&[], &["cpu < 30"]);
    policy.targets.push(Target::per_instance("queue", 1.0));
    assert_eq!(once(&policy, 10, &IDLE).action, Action::Hold);
    policy.targets[0] = Target::per_instance("queue", 2.0);
    assert_eq!(once(&policy, 10, &IDLE).target, 9);
}

#[test]
fn a_hold_delays_the_rule_and_says_how_long() {
    let policy = ruled(&["cpu > 80 for 40s"], &[]);
    let start = start();
    let mut state = State::new(3);
    let mut at = |second| {
        let now = start + seconds(second);
        let decision = decide(&policy, &state, &super::measured(&BUSY, now), now);
        state.apply(&decision, now);
        decision
    };
    let first = at(0);
    assert_eq!(first.reasons[0].to_string(), "`cpu > 80 for 40s` has 40 s to go");
    assert_eq!(first.next_evaluation, seconds(15));
    let second = at(30);
    assert_eq!(second.action, Action::Hold);
    assert_eq!(second.next_evaluation, seconds(10));
    assert_eq!(at(40).target, 4);
}

#[test]
fn hysteresis_keeps_a_rule_going_until_it_clears() {
    let policy = ruled(&["cpu > 80 clear < 60"], &[]);
    let start = start();
    let mut state = State::new(3);
    let mut at = |second, cpu| {
        let now = start + seconds(second);
        let signals = super::measured(&[("cpu", cpu, Unit::Ratio)], now);
        let decision = decide(&policy, &state, &signals, now);
        state.apply(&decision, now);
        decision
    };
    assert_eq!(at(0, 0.7).target, 3);
    assert_eq!(at(1, 0.9).target, 4);
    let still = at(2, 0.7);
    assert_eq!(still.target, 5);
    assert_eq!(still.explain(), "`cpu > 80 clear < 60` holds: wants 5 instances, from 4");
    assert_eq!(still.trigger.map(|t| t.value), Some(0.7));
    assert_eq!(at(3, 0.5).target, 5);
    assert_eq!(at(4, 0.7).target, 5);
}

#[test]
fn a_rule_on_an_absent_signal_has_a_reason_but_no_number() {
    let policy = ruled(&["absent(heartbeat) or heartbeat < 1"], &[]);
    let decision = once(&policy, 3, &[]);
    assert_eq!((decision.target, decision.trigger.as_ref()), (4, None));
    assert_eq!(
        decision.explain(),
        "`absent(heartbeat) or heartbeat < 1` holds: wants 4 instances, from 3"
    );
}

#[test]
fn a_dry_run_remembers_but_does_not_move() {
    let policy = Policy { cooldown_up: seconds(300), ..ruled(&["cpu > 80 for 10s"], &[]) };
    let now = start();
    let mut state = State::new(3);
    for second in [0, 10, 20] {
        let now = now + seconds(second);
        let decision = decide(&policy, &state, &super::measured(&BUSY, now), now);
        assert_eq!(decision.action == Action::Up, second >= 10, "{second}");
        state.remember(&decision, now);
        assert_eq!((state.current, state.last_up), (3, None));
    }
}
