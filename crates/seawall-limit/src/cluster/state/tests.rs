use super::*;
use crate::cluster::protocol::Mended;
use crate::key::Key;

const TERMS: Terms = Terms { ttl: 1_000, most: 100 };

fn spec(emission: u64, burst: u64) -> Spec {
    Spec {
        ids: [0].into(),
        laws: [Law { emission, capacity: emission * burst }].into(),
        names: ["a".into()].into(),
        mask: 1,
        exact: false,
    }
}

fn state() -> KeyState {
    KeyState::new(Subject::of(Key::Text("alice")), 1, 0)
}

fn answer(now: u64, granted: u32, spent: u64) -> Answer {
    Answer { now, granted, mended: Mended::Nothing, spent: vec![spent] }
}

fn alone(state: &mut KeyState, spec: &Spec, mode: FailureMode, nodes: u32, now: u64) -> bool {
    state.alone(spec, &[mode], nodes, 1, now, true).ruling.outcome == Outcome::Allowed
}

#[test]
fn a_rejection_is_remembered_until_a_unit_has_refilled_and_no_longer() {
    let (mut state, spec) = (state(), spec(100, 10));
    let (ruling, _) = state.heard(&spec, 1, &answer(9, 0, 1_000), (5, 10), TERMS);
    assert_eq!((ruling.outcome, ruling.wait), (Outcome::Rejected, 100_000));
    let at = |state: &mut KeyState, now| state.decide(&spec, 1, now, TERMS, || true);
    let Local::Remembered(ruling) = at(&mut state, 60) else { panic!("Redis was to be asked") };
    assert_eq!((ruling.wait, ruling.remaining), (50_000, 0));
    assert!(matches!(at(&mut state, 109), Local::Remembered(_)));
    assert!(matches!(at(&mut state, 110), Local::Ask { .. }));
}

#[test]
fn memory_and_redis_say_the_same() {
    let (mut state, spec) = (state(), spec(100, 10));
    let (told, _) = state.heard(&spec, 3, &answer(9, 0, 850), (5, 10), TERMS);
    let Local::Remembered(remembered) = state.decide(&spec, 3, 10, TERMS, || true) else {
        panic!("Redis was to be asked")
    };
    assert_eq!(told, remembered);
}

#[test]
fn what_was_spent_before_an_outage_counts_in_it() {
    let spec = spec(100, 8);
    // Four nodes, of which each was told that 6 of 8 units are gone.
    let mut nodes: Vec<_> = (0..4).map(|_| state()).collect();
    let mut admitted = 0;
    for state in &mut nodes {
        let _ = state.heard(&spec, 1, &answer(0, 0, 600), (0, 0), TERMS);
        admitted += (0..10).filter(|_| alone(state, &spec, FailureMode::Local, 4, 0)).count();
    }
    // A share is 2 units that take 400 each: 600 in use leaves none.
    assert_eq!(admitted, 0);
    let later: usize = nodes
        .iter_mut()
        .map(|state| (0..10).filter(|_| alone(state, &spec, FailureMode::Local, 4, 600)).count())
        .sum();
    assert_eq!(later, 8);
}

#[test]
fn what_was_admitted_in_an_outage_is_owed_once() {
    let (mut state, spec) = (state(), spec(100, 8));
    assert!(alone(&mut state, &spec, FailureMode::Local, 4, 0));
    assert!(alone(&mut state, &spec, FailureMode::Local, 4, 0));
    assert!(!alone(&mut state, &spec, FailureMode::Local, 4, 0));
    let amend = state.settle(&spec.laws, 4, 0).expect("two units");
    assert_eq!(amend, Amend { kind: AmendKind::Charge, amounts: vec![200] });
    assert_eq!(state.settle(&spec.laws, 4, 0), None);
    state.unsettled(&spec, &amend);
    assert_eq!(state.settle(&spec.laws, 4, 0), Some(amend));
}

#[test]
fn what_has_drained_since_is_not_owed() {
    let (mut state, spec) = (state(), spec(100, 8));
    assert!(alone(&mut state, &spec, FailureMode::Local, 4, 0));
    // 400 for the unit at this node's share, 300 of it drained: a quarter is this node's part.
    let amend = state.settle(&spec.laws, 4, 300).expect("a part of a unit");
    assert_eq!(amend.amounts, [25]);
}

#[test]
fn open_admits_and_closed_rejects_whatever_was_spent() {
    let (mut state, spec) = (state(), spec(100, 1));
    for _ in 0..5 {
        assert!(alone(&mut state, &spec, FailureMode::Open, 4, 0));
        assert!(!alone(&mut state, &spec, FailureMode::Closed, 4, 0));
    }
    assert_eq!(state.settle(&spec.laws, 4, 0), None);
}

#[test]
fn an_operators_block_comes_before_a_lease_and_ends_by_itself() {
    let (mut state, spec) = (state(), spec(100, 100));
    let _ = state.heard(&spec, 1, &answer(0, 50, 5_000), (0, 0), TERMS);
    state.blocked = 70;
    let Local::Blocked(ruling) = state.decide(&spec, 1, 20, TERMS, || true) else {
        panic!("it is blocked")
    };
    assert_eq!(ruling.wait, 50_000);
    assert!(matches!(state.decide(&spec, 1, 70, TERMS, || true), Local::Leased { .. }));
}

#[test]
fn a_policy_that_is_exact_holds_nothing() {
    let (mut state, mut spec) = (state(), spec(100, 100));
    spec.exact = true;
    for now in 0..20 {
        let Local::Ask { want } = state.decide(&spec, 1, now, TERMS, || true) else {
            panic!("it asks each time")
        };
        assert_eq!(want, 0);
        let _ = state.heard(&spec, 1, &answer(now, 1, 100), (now, now), TERMS);
    }
    assert_eq!(state.held(0, TERMS), 0);
}

#[test]
fn what_redis_says_before_it_is_told_forgives_nothing_of_an_outage() {
    let (mut state, spec) = (state(), spec(100, 80));
    for _ in 0..10 {
        assert!(alone(&mut state, &spec, FailureMode::Local, 4, 0));
    }
    // Redis is back, and asked about the key before the next round of settlement.
    let _ = state.heard(&spec, 1, &answer(0, 1, 100), (0, 0), TERMS);
    let amend = state.settle(&spec.laws, 4, 0).expect("ten units");
    assert_eq!(amend.amounts, [1_000]);
    // Nor if that is not answered, and others are.
    state.unsettled(&spec, &amend);
    let _ = state.heard(&spec, 1, &answer(0, 1, 200), (0, 0), TERMS);
    assert_eq!(state.settle(&spec.laws, 4, 0), Some(amend));
}

#[test]
fn an_outage_right_after_another_goes_on_from_what_was_admitted_in_the_first() {
    let (mut state, spec) = (state(), spec(100, 8));
    let at = |state: &mut KeyState| alone(state, &spec, FailureMode::Local, 4, 0);
    assert!(at(&mut state) && at(&mut state));
    // One answer in between, of a Redis that was not told yet.
    let _ = state.heard(&spec, 1, &answer(0, 1, 100), (0, 0), TERMS);
    assert!(!at(&mut state), "the share is two units");
}

#[test]
fn a_refund_to_a_lease_is_no_more_than_what_was_taken_from_it() {
    let (mut state, spec) = (state(), spec(100, 100));
    let _ = state.heard(&spec, 1, &answer(0, 11, 1_100), (0, 0), TERMS);
    assert!(!state.put_back(&spec, 1, 0, TERMS), "nothing of it was spent");
    for _ in 0..3 {
        assert!(matches!(state.decide(&spec, 1, 0, TERMS, || true), Local::Leased { .. }));
    }
    assert!(!state.put_back(&spec, 4, 0, TERMS));
    assert!(state.put_back(&spec, 3, 0, TERMS));
    assert!(!state.put_back(&spec, 1, 0, TERMS));
    assert_eq!(state.held(0, TERMS), 10);
}

#[test]
fn a_cost_above_a_nodes_share_is_said_of_the_policy_that_has_no_room() {
    let mut spec = spec(100, 100);
    spec.ids = [0, 1].into();
    spec.laws = [spec.laws[0], Law { emission: 100, capacity: 800 }].into();
    spec.names = ["a".into(), "b".into()].into();
    let mut state = KeyState::new(Subject::of(Key::Text("alice")), 2, 0);
    let modes = [FailureMode::Local; 2];
    let ruling = state.alone(&spec, &modes, 4, 3, 0, true).ruling;
    assert_eq!((ruling.outcome, ruling.policy, ruling.violated), (Outcome::Rejected, 1, 0b10));
}

#[test]
fn what_a_reservation_came_to_without_redis_counts_once_here_and_is_owed() {
    let (mut state, spec) = (state(), spec(100, 10));
    state.expect(&spec, 4, 0);
    state.owe(&spec, &[FailureMode::Local], 1, 4, 0);
    let look = |state: &mut KeyState| state.alone(&spec, &[FailureMode::Local], 1, 1, 0, false);
    assert_eq!(look(&mut state).ruling.remaining, 6);
    assert_eq!(look(&mut state).ruling.remaining, 6, "a look charges nothing");
    let amend = state.settle(&spec.laws, 1, 0).expect("it is owed");
    assert_eq!(amend.amounts, [400]);
    // More than there is: no more than all of it.
    state.expect(&spec, 50, 0);
    state.owe(&spec, &[FailureMode::Local], 1, 50, 0);
    assert_eq!(look(&mut state).ruling.outcome, Outcome::Rejected);
}

#[test]
fn what_was_admitted_without_redis_is_taken_back_until_it_is_told() {
    let (mut state, spec) = (state(), spec(100, 10));
    let modes = [FailureMode::Local];
    for _ in 0..2 {
        assert!(alone(&mut state, &spec, FailureMode::Local, 1, 0));
    }
    state.disown(&spec, &modes, 1, 1, 0);
    let amend = state.settle(&spec.laws, 1, 0).expect("one is owed still");
    assert_eq!(amend.amounts, [100]);
    // On its way: it refills, as Redis may have been told of less.
    state.disown(&spec, &modes, 1, 1, 0);
    let look = state.alone(&spec, &modes, 1, 1, 0, false);
    assert_eq!(look.ruling.remaining, 9);
}

#[test]
fn a_charge_of_a_closed_policy_is_owed_and_one_of_an_open_one_is_not() {
    for (mode, owed) in [(FailureMode::Closed, true), (FailureMode::Open, false)] {
        let (mut state, spec) = (state(), spec(100, 10));
        state.expect(&spec, 4, 0);
        state.owe(&spec, &[mode], 1, 4, 0);
        assert_eq!(state.settle(&spec.laws, 1, 0).is_some(), owed, "{mode:?}");
    }
}

#[test]
fn what_was_spent_of_a_candidate_is_owed_still_when_the_policy_is_settled() {
    let mut spec = spec(100, 10);
    spec.ids = [1].into();
    let mut state = KeyState::new(Subject::of(Key::Text("alice")), 2, 0);
    let modes = [FailureMode::Local; 2];
    let _ = state.alone(&spec, &modes, 1, 3, 0, true);
    let laws = [spec.laws[0]; 2];
    let amend = state.settle(&laws, 1, 0).expect("three units");
    assert_eq!(amend.amounts, [0, 300]);
    // Redis takes the part of the policies, and not that of the candidates.
    let policies = self::spec(100, 10);
    state.settled(&policies, &answer(0, 0, 0), 0);
    state.unsettled(&spec, &Amend { kind: AmendKind::Charge, amounts: vec![300] });
    assert_eq!(state.settle(&laws, 1, 0).expect("still").amounts, [0, 300]);
}
