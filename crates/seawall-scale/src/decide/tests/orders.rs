use seawall_signal::Unit;

use super::{codes, cpu, measured, seconds, start};
use crate::{Action, Decision, Freeze, Pin, Policy, State, decide};

fn at(policy: &Policy, state: &State, second: u64, use_: f64) -> Decision {
    let now = start_of(state) + seconds(second);
    decide(policy, state, &measured(&[("cpu", use_, Unit::Ratio)], now), now)
}

/// Orders end relative to this.
fn start_of(state: &State) -> tokio::time::Instant {
    let until = state.freeze.as_ref().and_then(|freeze| freeze.until);
    let until = until.or_else(|| state.pin.as_ref().and_then(|pin| pin.until));
    until.map_or_else(start, |until| until - seconds(60))
}

fn frozen(only_down: bool) -> State {
    let until = Some(start() + seconds(60));
    let freeze = Some(Freeze { until, only_down, by: "roll-out 42".into() });
    let mut state = State::new(10);
    state.freeze = freeze;
    state
}

#[test]
fn a_freeze_stops_everything_until_it_ends_and_says_what_would_be() {
    let (policy, state) = (cpu(0.5), frozen(false));
    for use_ in [0.1, 1.0] {
        let decision = at(&policy, &state, 0, use_);
        assert_eq!((decision.target, decision.action), (10, Action::Hold));
        assert_eq!(codes(&decision), ["frozen", "target"]);
        assert_eq!(decision.trigger, None);
    }
    assert_eq!(
        at(&policy, &state, 59, 1.0).reasons[0].to_string(),
        "frozen (roll-out 42) for another 1 s: would be 20"
    );
    assert_eq!(at(&policy, &state, 59, 1.0).next_evaluation, seconds(1));
    assert_eq!(at(&policy, &state, 60, 1.0).target, 20);
    // Not even to obey a bound.
    let low = Policy { max: 5, ..cpu(0.5) };
    assert_eq!(at(&low, &state, 0, 1.0).target, 10);
}

#[test]
fn a_roll_out_may_grow_and_not_shrink() {
    let (policy, state) = (cpu(0.5), frozen(true));
    assert_eq!(at(&policy, &state, 0, 1.0).target, 20);
    assert_eq!(at(&policy, &state, 0, 0.1).target, 10);
    assert_eq!(at(&policy, &state, 60, 0.1).target, 2);
}

#[test]
fn a_size_set_by_hand_holds_until_it_ends_and_within_the_bounds() {
    let policy = Policy { cooldown_up: seconds(300), ..cpu(0.5) };
    let pin = |size| {
        let until = Some(start() + seconds(60));
        let mut state = State::new(10);
        state.pin = Some(Pin { size, until, by: "anna".into() });
        state
    };
    let mut state = pin(15);
    let decision = at(&policy, &state, 0, 0.1);
    assert_eq!((decision.target, decision.action), (15, Action::Up));
    assert_eq!(
        decision.reasons[0].to_string(),
        "set to 15 by hand (anna) for another 60 s: would be 2"
    );
    let begun = start_of(&state);
    state.apply(&decision, begun);
    assert_eq!(at(&policy, &state, 30, 0.1).action, Action::Hold);
    // Then the load decides again, and the order was no answer to it.
    assert_eq!(at(&policy, &state, 60, 0.6).target, 18);
    assert_eq!(at(&policy, &pin(1000), 0, 0.5).target, 100);
    assert_eq!(at(&policy, &pin(0), 0, 0.5).target, 1);
}

#[test]
fn a_freeze_goes_over_a_pin() {
    let mut state = frozen(false);
    state.pin = Some(Pin { size: 15, until: None, by: "anna".into() });
    let decision = at(&cpu(0.5), &state, 0, 0.5);
    assert_eq!((decision.target, codes(&decision)[..2].to_vec()), (10, vec!["frozen", "pinned"]));
}

#[test]
fn windows_go_on_under_a_freeze() {
    let policy = Policy { window_down: seconds(300), ..cpu(0.5) };
    let start = start();
    let until = Some(start + seconds(400));
    let freeze = Some(Freeze { until, only_down: false, by: "night".into() });
    let mut state = State::new(10);
    state.freeze = freeze;
    for second in (0..=400).step_by(15) {
        let now = start + seconds(second);
        let decision = decide(&policy, &state, &measured(&[("cpu", 0.1, Unit::Ratio)], now), now);
        assert_eq!(decision.target, 10);
        state.apply(&decision, now);
    }
    let now = start + seconds(401);
    let decision = decide(&policy, &state, &measured(&[("cpu", 0.1, Unit::Ratio)], now), now);
    assert_eq!(decision.target, 2);
}

#[test]
fn instances_that_an_order_removed_are_not_waited_for() {
    let policy = Policy { cooldown_up: seconds(300), ..cpu(0.5) };
    let (mut state, start) = (State::new(10), start());
    let step = |state: &mut State, second: u64, used: f64| {
        let now = start + seconds(second);
        let signals = measured(&[("cpu", used, Unit::Ratio)], now);
        let decision = decide(&policy, state, &signals, now);
        state.apply(&decision, now);
        decision
    };
    assert_eq!(step(&mut state, 0, 1.0).target, 20);
    state.pin = Some(Pin { size: 5, until: None, by: "anna".into() });
    assert_eq!(step(&mut state, 10, 0.5).target, 5);
    state.pin = None;
    // The fifteen youngest are gone: those left have worked for long.
    let grown = step(&mut state, 20, 1.0);
    assert_eq!(grown.target, 10, "{}", grown.explain());
}

#[test]
fn what_must_hold_is_looked_at_under_a_freeze_outside_the_bounds_too() {
    let rule = crate::Rule::scale_up("cpu > 80% for 60s").expect("parses");
    let policy = Policy { max: 20, rules: vec![rule], ..super::bare() };
    let (mut state, start) = (State::new(10), start());
    let mut step = |second: u64, used: f64, current: Option<u32>, frozen: bool| {
        if let Some(current) = current {
            state.observe(current);
        }
        let freeze = Freeze { until: None, only_down: false, by: "night".into() };
        state.freeze = frozen.then_some(freeze);
        let now = start + seconds(second);
        let signals = measured(&[("cpu", used, Unit::Ratio)], now);
        let decision = decide(&policy, &state, &signals, now);
        state.apply(&decision, now);
        decision.target
    };
    assert_eq!(step(0, 0.9, None, false), 10);
    // Somebody else made it too large, and the load has been gone since.
    assert_eq!(step(15, 0.1, Some(30), true), 30);
    assert_eq!(step(600, 0.1, None, true), 30);
    // It is hot again for a moment, not for 60 s.
    assert_eq!(step(615, 0.9, Some(10), false), 10);
}
