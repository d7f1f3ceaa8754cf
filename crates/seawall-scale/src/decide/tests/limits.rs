use seawall_signal::Unit;

use super::{codes, cpu, measured, once, seconds, start};
use crate::{Churn, Policy, Rate, Rates, Reason, Select, State, decide};

/// Applies one decision per `(second, cpu)` and answers the sizes.
fn run(policy: &Policy, state: &mut State, steps: &[(u64, f64)]) -> Vec<u32> {
    let start = start();
    let decided = steps.iter().map(|&(second, use_)| {
        let now = start + seconds(second);
        let signals = measured(&[("cpu", use_, Unit::Ratio)], now);
        let decision = decide(policy, state, &signals, now);
        state.apply(&decision, now);
        decision.target
    });
    decided.collect()
}

#[test]
fn the_larger_rate_counts_from_the_size_at_the_start_of_its_period() {
    // Case 6 of the research.
    let policies = vec![Rate::instances(4, seconds(60)), Rate::percent(100.0, seconds(15))];
    let policy = Policy { rates_up: Rates { select: Select::Max, policies }, max: 50, ..cpu(0.5) };
    let mut state = State::new(3);
    let sizes = run(&policy, &mut state, &[(0, 9.0), (5, 9.0), (15, 9.0)]);
    assert_eq!(sizes, [7, 7, 14]);
}

#[test]
fn the_smaller_rate_counts_if_asked_for() {
    let policies = vec![Rate::instances(4, seconds(60)), Rate::percent(100.0, seconds(15))];
    let policy = Policy { rates_up: Rates { select: Select::Min, policies }, ..cpu(0.5) };
    let mut state = State::new(3);
    let steps = [(0, 9.0), (15, 9.0), (59, 9.0), (60, 9.0)];
    assert_eq!(run(&policy, &mut state, &steps), [6, 7, 7, 10]);
}

#[test]
fn a_fleet_is_not_lost_to_one_signal() {
    // Case 32 of the research: at most a tenth a minute.
    let policies = vec![Rate::percent(10.0, seconds(60))];
    let policy = Policy { rates_down: Rates { policies, ..Rates::default() }, ..cpu(0.5) };
    let mut state = State::new(40);
    let steps: Vec<_> = (0..=60).map(|second| (second, 0.01)).collect();
    let sizes = run(&policy, &mut state, &steps);
    assert_eq!((sizes[0], sizes[59], sizes[60]), (36, 36, 32));
    let decision = once(&policy, 40, &[("cpu", 0.01, Unit::Ratio)]);
    let limited = Reason::RateLimited { wish: 1, allowed: 36, period: Some(seconds(60)) };
    assert_eq!(decision.reasons[1], limited);
    assert_eq!(limited.to_string(), "within 60 s the size may become 36, and not 1");
}

#[test]
fn by_default_one_bad_signal_takes_half_a_fleet_in_ten_minutes_and_no_more() {
    // Case 32 of the research, without any limit that somebody had to think of.
    let policy = Policy {
        min: 1,
        max: 50,
        targets: vec![crate::Target::utilisation("cpu", 0.5)],
        ..Policy::default()
    };
    let mut state = State::new(40);
    let steps: Vec<_> = (0..=900).step_by(15).map(|second| (second, 0.001)).collect();
    let sizes = run(&policy, &mut state, &steps);
    // The window of five minutes first, then a half each ten minutes.
    assert_eq!((sizes[19], sizes[20], sizes[59], sizes[60]), (40, 20, 20, 10));
}

#[test]
fn a_closed_direction_stays_closed_and_the_other_one_open() {
    let closed = Rates { select: Select::Disabled, policies: vec![] };
    let down = Policy { rates_down: closed.clone(), ..cpu(0.5) };
    let decision = once(&down, 10, &[("cpu", 0.1, Unit::Ratio)]);
    assert_eq!((decision.target, codes(&decision)), (10, vec!["target", "rate_limited"]));
    assert_eq!(once(&down, 10, &[("cpu", 1.0, Unit::Ratio)]).target, 20);
    let up = Policy { rates_up: closed, ..cpu(0.5) };
    assert_eq!(once(&up, 10, &[("cpu", 1.0, Unit::Ratio)]).target, 10);
}

#[test]
fn a_removal_in_the_period_may_be_taken_back() {
    let policies = vec![Rate::instances(2, seconds(60))];
    let policy = Policy { rates_up: Rates { policies, ..Rates::default() }, ..cpu(0.5) };
    let mut state = State::new(10);
    // Down to 4, and within the minute up to 12: two above where it began.
    assert_eq!(run(&policy, &mut state, &[(0, 0.2), (30, 5.0)]), [4, 12]);
}

#[test]
fn a_spent_churn_budget_lets_the_group_grow_and_not_shrink() {
    // Case 31 of the research.
    let policy = Policy { churn: Some(Churn { changes: 4, within: seconds(3600) }), ..cpu(0.5) };
    let mut state = State::new(10);
    let flapping = [(0, 1.0), (10, 0.25), (20, 1.0), (30, 0.25), (40, 0.25), (50, 1.0)];
    assert_eq!(run(&policy, &mut state, &flapping), [20, 10, 20, 10, 10, 20]);
    let now = start() + seconds(60);
    let mut state = State::new(10);
    run(&policy, &mut state, &flapping[..4]);
    let decision = decide(&policy, &state, &measured(&[("cpu", 0.1, Unit::Ratio)], now), now);
    assert_eq!(codes(&decision), ["target", "churn_budget"]);
    assert!(decision.explain().contains("4 changes in 3600 s: not scaling down for another"));
    let later = start() + seconds(3600 + 11);
    let calm = measured(&[("cpu", 0.25, Unit::Ratio)], later);
    assert_eq!(decide(&policy, &state, &calm, later).target, 5);
}

#[test]
fn a_churn_budget_that_growth_overdrew_says_when_the_group_may_shrink() {
    let churn = Some(Churn { changes: 2, within: seconds(3600) });
    let policy = Policy { churn, max: 1000, ..cpu(0.5) };
    let mut state = State::new(10);
    let rising = [(0, 1.0), (100, 1.0), (200, 1.0), (300, 1.0)];
    assert_eq!(run(&policy, &mut state, &rising), [20, 40, 80, 160]);
    let at = |second| {
        let now = state.last_up.expect("grew") + seconds(second);
        decide(&policy, &state, &measured(&[("cpu", 0.25, Unit::Ratio)], now), now)
    };
    // The first three must be forgotten, the last of them is of second 200.
    let told = at(1).explain();
    assert!(told.contains("not scaling down for another 3499 s"), "{told}");
    assert_eq!((at(3499).target, at(3500).target), (160, 80));
}

#[test]
fn a_limit_in_per_cent_does_not_close_a_direction_for_good() {
    let policies = vec![Rate::percent(100.0, seconds(15))];
    let percent = |percent| Some(crate::StepLimit { instances: 0, percent });
    let targets = vec![crate::Target::per_instance("load", 10.0)];
    let base = Policy { min: 0, targets, ..super::bare() };
    base.validate().expect("valid");
    let rated = Policy { rates_up: Rates { policies, ..Rates::default() }, ..base.clone() };
    let stepped = Policy { limit_up: percent(100.0), ..base.clone() };
    for policy in [rated, stepped] {
        let decision = once(&policy, 0, &[("load", 500.0, Unit::Count)]);
        assert_eq!(decision.target, 1, "{}", decision.explain());
    }
    let slow = Policy { limit_down: percent(10.0), ..base };
    assert_eq!(once(&slow, 5, &[("load", 0.0, Unit::Count)]).target, 4);
    assert_eq!(once(&slow, 50, &[("load", 0.0, Unit::Count)]).target, 45);
}

#[test]
fn the_band_below_a_level_may_be_wider_than_above_it() {
    let policy = Policy { tolerance_down: Some(0.3), ..cpu(0.5) };
    let at = |use_| once(&policy, 100, &[("cpu", use_, Unit::Ratio)]).target;
    assert_eq!((at(0.35), at(0.349), at(0.55)), (100, 70, 100));
    let policy = Policy { max: 200, ..policy };
    assert_eq!(once(&policy, 100, &[("cpu", 0.56, Unit::Ratio)]).target, 112);
}
