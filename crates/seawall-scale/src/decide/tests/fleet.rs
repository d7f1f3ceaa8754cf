use seawall_signal::Unit;

use super::{codes, cpu, measured, once, start};
use crate::{Action, Decision, Fleet, Policy, State, decide};

fn policy(level: f64) -> Policy {
    let fleet = Fleet {
        starting: Some("starting".into()),
        missing: Some("missing".into()),
        failing: Some("failing".into()),
    };
    Policy { fleet, ..cpu(level) }
}

fn at(level: f64, current: u32, mean: f64, [starting, missing, failing]: [f64; 3]) -> Decision {
    let samples = [
        ("cpu", mean, Unit::Ratio),
        ("starting", starting, Unit::Count),
        ("missing", missing, Unit::Count),
        ("failing", failing, Unit::Count),
    ];
    once(&policy(level), current, &samples)
}

#[test]
fn starting_instances_count_as_idle_on_the_way_up() {
    // Case 3 of the research: three hot ones of ten.
    let held = at(0.3, 10, 1.0, [7.0, 0.0, 0.0]);
    assert_eq!((held.target, codes(&held)), (10, vec!["within_tolerance", "filled_in"]));
    let naive = at(0.3, 10, 1.0, [0.0, 0.0, 0.0]);
    assert_eq!(naive.target, 34);
    assert_eq!(at(0.3, 10, 1.0, [4.0, 0.0, 0.0]).target, 20);
}

#[test]
fn missing_instances_count_as_used_up_on_the_way_down() {
    // Case 4 of the research: 52 % on average, not 20 %.
    let decision = at(0.7, 10, 0.2, [0.0, 4.0, 0.0]);
    assert_eq!((decision.target, codes(&decision)), (8, vec!["target", "filled_in"]));
    assert_eq!(
        decision.reasons[1].to_string(),
        "cpu is 20 % where it is known, 4 instances without a sample taken as 100 %"
    );
    // And as idle on the way up: 60 % of ten.
    assert_eq!(at(0.5, 10, 1.0, [0.0, 4.0, 0.0]).target, 12);
}

#[test]
fn those_without_a_sample_are_named() {
    // Case 4 of the research.
    let now = start();
    let samples = |missing| {
        let all = [
            ("cpu", 0.2, Unit::Ratio),
            ("starting", 0.0, Unit::Count),
            ("missing", missing, Unit::Count),
            ("failing", 0.0, Unit::Count),
        ];
        measured(&all, now)
    };
    let mut state = State::new(10);
    state.unsampled(["web-3", "web-5", "web-8", "web-9"]);
    let told = |state: &State, missing| {
        let decision = decide(&policy(0.7), state, &samples(missing), now);
        (decision.target, decision.reasons[1].to_string())
    };
    assert_eq!(
        told(&state, 4.0),
        (
            8,
            "cpu is 20 % where it is known, 4 instances (web-3, web-5, web-8, web-9) without a \
             sample taken as 100 %"
                .to_owned()
        )
    );
    // More are missing than are named, and more are named than a sentence holds.
    state.unsampled((0..7).map(|number| format!("web-{number}")));
    let (_, text) = told(&state, 9.0);
    assert!(text.contains("9 instances (web-0, web-1, web-2, web-3, web-4 and 4 more)"), "{text}");
    // Names of more than are missing now are of another moment.
    assert!(!told(&state, 2.0).1.contains("web"));
}

#[test]
fn names_of_instances_are_bounded() {
    let mut state = State::new(100);
    state.unsampled((0..1000).map(|_| "\u{e9}".repeat(300)));
    let names = state.names_unsampled().of_these(u32::MAX);
    assert_eq!(names.len(), 32);
    assert!(names.iter().all(|name| name.len() == 252));
}

#[test]
fn what_was_filled_in_never_turns_the_direction() {
    // Half of them hot, the other half missing: idle, they would bring it below.
    let decision = at(0.6, 10, 0.7, [0.0, 5.0, 0.0]);
    assert_eq!(decision.action, Action::Hold);
    // One is calm, nine are missing: used up, they would ask for more.
    assert_eq!(at(0.6, 10, 0.2, [0.0, 9.0, 0.0]).action, Action::Hold);
}

#[test]
fn instances_that_fail_under_load_are_saturated_and_not_starting() {
    // Case 14 of the research; the Kubernetes HPA holds here.
    let decision = at(0.7, 4, 1.0, [0.0, 0.0, 4.0]);
    assert_eq!(decision.target, 6);
    assert_eq!(
        decision.reasons[1].to_string(),
        "cpu is 100 % where it is known, 4 instances failing and taken as saturated"
    );
    // Even if they report nothing of it.
    assert_eq!(at(0.7, 4, 0.3, [0.0, 0.0, 4.0]).target, 6);
}

#[test]
fn an_unknown_count_keeps_the_size_and_lets_it_grow() {
    let samples = |mean| [("cpu", mean, Unit::Ratio), ("starting", 0.0, Unit::Count)];
    assert_eq!(once(&policy(0.5), 10, &samples(0.1)).target, 10);
    assert_eq!(once(&policy(0.5), 10, &samples(1.0)).target, 20);
}

#[test]
fn counts_beyond_the_group_are_cut_to_it() {
    for counts in [[99.0, 0.0, 0.0], [0.0, 99.0, 0.0], [5.0, 99.0, 99.0], [-1.0, -1.0, -1.0]] {
        let decision = at(0.5, 10, 0.9, counts);
        assert!((10..=20).contains(&decision.target), "{counts:?} {decision:?}");
    }
}

#[test]
fn a_count_below_zero_is_missing_and_not_none() {
    for counts in [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]] {
        let decision = at(0.7, 10, 0.1, counts);
        assert_eq!(decision.target, 10, "{}", decision.explain());
        assert!(codes(&decision).contains(&"missing"));
    }
}
