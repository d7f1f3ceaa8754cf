use std::time::Duration;

use proptest::prelude::{any, proptest};

use super::*;
use crate::config::{OutlierConfig, ProbeConfig};

fn well() -> State {
    State {
        weight: 1,
        draining: false,
        health: Health::new(0, 0, &ProbeConfig::default()),
        ejection: Ejection::default(),
        saturated_until: 0,
        lag: Lag::default(),
    }
}

fn ejected() -> State {
    let mut state = well();
    state.ejection.eject(1, &OutlierConfig::default());
    state
}

fn behind(seconds: u64) -> State {
    let mut state = well();
    state.lag.set(Duration::from_secs(seconds), &BalanceConfig::default().lag);
    state
}

fn decide(states: &[State]) -> Admission {
    admit(states.iter(), &BalanceConfig::default())
}

#[test]
fn a_failed_node_is_left_out_while_enough_are_sound() {
    let admission = decide(&[well(), ejected(), well()]);
    assert_eq!(
        admission,
        Admission { open: vec![0, 2], resting: vec![], panic: false, shut: None }
    );
    // Half is not below half.
    assert_eq!(decide(&[well(), ejected()]).open, [0]);
}

#[test]
fn below_the_panic_share_all_are_used() {
    let states = [well(), ejected(), ejected()];
    assert_eq!((decide(&states).open, decide(&states).panic), (vec![0, 1, 2], true));
    let config = BalanceConfig { fail_on_panic: true, ..BalanceConfig::default() };
    assert_eq!(admit(states.iter(), &config).shut, Some(Shut::Failed));
    let config = BalanceConfig { panic_share: 0.0, ..BalanceConfig::default() };
    assert_eq!(admit(states.iter(), &config).open, [0]);
    // With none left there is nobody to protect.
    assert_eq!(admit([ejected(), ejected()].iter(), &config).open, [0, 1]);
}

#[test]
fn a_saturated_node_is_sound_and_rests() {
    let full = State { saturated_until: 9, ..well() };
    assert_eq!(decide(&[well(), full.clone(), full.clone()]).open, [0]);
    let none = decide(&[full.clone(), full]);
    assert_eq!((none.open, none.resting), (vec![], vec![0, 1]));
    assert_eq!(none.shut, Some(Shut::Saturated));
}

#[test]
fn lag_leaves_out_but_for_the_least_lagged_when_none_is_fresh() {
    assert_eq!(decide(&[well(), behind(2)]).open, [0]);
    assert_eq!(decide(&[behind(5), behind(2), behind(3)]).open, [1]);
    assert_eq!(decide(&[behind(31), behind(2)]).open, [1]);
    assert_eq!(decide(&[behind(31), behind(31)]).shut, Some(Shut::Lagging));
    let mut config = BalanceConfig::default();
    config.lag.keep = 2;
    assert_eq!(admit([behind(5), well(), behind(3)].iter(), &config).open, [1, 2]);
}

#[test]
fn a_lagging_node_does_not_flap_at_the_limit() {
    let config = BalanceConfig::default().lag;
    let mut lag = Lag::default();
    let at = |lag: &mut Lag, millis| lag.set(Duration::from_millis(millis), &config);
    assert!(!at(&mut lag, 1_000));
    assert!(at(&mut lag, 1_001) && lag.is_soft());
    assert!(!at(&mut lag, 999) && lag.is_soft());
    assert!(!at(&mut lag, 801) && lag.is_soft());
    assert!(at(&mut lag, 800) && !lag.is_soft());
    assert!(at(&mut lag, 31_000) && lag.is_hard());
    assert!(!at(&mut lag, 29_000) && lag.is_hard());
    assert!(at(&mut lag, 23_000) && !lag.is_hard() && lag.is_soft());
}

#[test]
fn ejections_grow_longer_up_to_a_limit_and_are_forgiven() {
    const SECOND: u64 = 1_000_000_000;
    let config = OutlierConfig::default();
    let mut ejection = Ejection::default();
    for expected in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
        ejection.eject(0, &config);
        assert_eq!(ejection.until(), Some(expected * SECOND));
        ejection.forgive(); // not while it is out
        assert!(!ejection.end(expected * SECOND - 1) && ejection.end(expected * SECOND));
    }
    assert_eq!(ejection.times(), 10);
    ejection.forgive();
    ejection.eject(0, &config);
    assert_eq!(ejection.times(), 10);
}

proptest! {
    #[test]
    fn somebody_is_open_or_a_reason_is_given(kinds in proptest::collection::vec(any::<u8>(), 0..20), fail in any::<bool>()) {
        let state = |kind: &u8| {
            let mut state = if kind & 1 > 0 { ejected() } else { well() };
            if kind & 2 > 0 { state.saturated_until = 5; }
            if kind & 4 > 0 { state.lag = behind(2).lag; }
            if kind & 8 > 0 { state.lag = behind(40).lag; }
            if kind & 16 > 0 { state.draining = true; }
            if kind & 32 > 0 { state.weight = 0; }
            state
        };
        let states: Vec<State> = kinds.iter().map(state).collect();
        let config = BalanceConfig { fail_on_panic: fail, ..BalanceConfig::default() };
        let admission = admit(states.iter(), &config);
        assert_eq!(admission.open.is_empty(), admission.shut.is_some());
        for index in &admission.open {
            let state = &states[*index as usize];
            assert!(state.takes_work() && !state.lag.is_hard() && state.saturated_until == 0);
            assert!(admission.panic || !state.failed());
        }
    }
}
