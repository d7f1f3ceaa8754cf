//! What neither the vectors pin nor the description says at first sight, by reading the controller.

use super::*;

fn pods(count: usize) -> Vec<Pod> {
    (0..count).map(|n| Pod { name: format!("p{n}"), ready: Some(true), ..Pod::default() }).collect()
}

fn value(value: i64) -> Value {
    Value { value, at: NOW, window: Duration::ZERO }
}

fn sleeper(min: i32, metrics: Vec<Metric>) -> Hpa {
    Hpa { min, max: 10, metrics, behaviour: None }
}

fn cpu() -> Metric {
    Metric {
        source: Source::Resource { resource: "cpu".into() },
        target: Target::Utilisation(50),
        answer: None,
    }
}

/// One decision with the gate for zero on, of a group that has or has not been put to sleep.
fn with_zero(hpa: &Hpa, replicas: i32, scaled_to_zero: bool) -> Done {
    let controller = Controller { scale_to_zero: true, ..Controller::default() };
    let world = World { scaled_to_zero, ..world(replicas) };
    let mut memory = Memory { wishes: Some(Vec::new()), ..Memory::default() };
    reconcile(&controller, hpa, &world, &mut memory, Faults::default(), NOW)
}

fn zero_condition(done: &Done) -> Option<(bool, Reason)> {
    let found = done.conditions.iter().find(|it| it.kind == ConditionKind::ScaledToZero);
    found.map(|it| (it.status, it.reason))
}

#[test]
fn missing_pods_count_as_nothing_only_where_the_rest_is_above_the_target() {
    // Six are exactly at the target, four say nothing: none of them makes it less.
    let values: BTreeMap<_, _> = (0..6).map(|n| (format!("p{n}"), value(1_000))).collect();
    let proposal = by_pod_average(10, 1_000, Tolerance::default(), &pods(10), values, None, NOW);
    assert_eq!(proposal.expect("measured").replicas, 10);
}

#[test]
fn a_total_that_saturated_stays_so_for_each() {
    assert_eq!(per_pod(i64::MAX, 5), i64::MAX);
    assert_eq!(per_pod(i64::MAX, 0), i64::MAX);
    assert_eq!(per_pod(1_000, 3), 334);
}

#[test]
fn a_negative_metric_is_a_wish_for_none_and_no_less() {
    let done = decide(&Hpa { min: 0, ..hpa(vec![asks(-5)]) }, 3, &mut forgetful(), NOW);
    assert_eq!((done.desired, done.rescaled), (0, true));
    let limited = done.conditions.iter().find(|it| it.kind == ConditionKind::ScalingLimited);
    assert_eq!(limited.map(|it| (it.status, it.reason)), Some((false, Reason::DesiredWithinRange)));
}

#[test]
fn a_group_that_sleeps_wakes_by_what_needs_no_pod_or_for_its_minimum() {
    // Without an object or an external metric there is nothing to wake it.
    let done = with_zero(&sleeper(0, vec![cpu()]), 0, true);
    assert!(!done.error && !done.rescaled, "{done:?}");
    assert!(done.conditions.iter().any(|it| it.reason == Reason::ScalingDisabled));
    assert_eq!(with_zero(&sleeper(0, vec![asks(3)]), 0, true).desired, 3);
    assert_eq!(with_zero(&sleeper(0, vec![asks(3)]), 0, false).desired, 0);
    // With a minimum metrics are asked, and this one fails.
    assert!(with_zero(&sleeper(2, vec![cpu()]), 0, true).error);
}

#[test]
fn no_rule_keeps_a_group_from_a_minimum_that_was_raised_while_it_slept() {
    let off = Rules { select: Some(Select::Disabled), ..Rules::default() };
    let behaviour = Some(Behaviour { up: Some(off), down: None });
    let hpa = Hpa { behaviour, ..sleeper(2, vec![asks(1)]) };
    assert_eq!(with_zero(&hpa, 0, true).desired, 2);
}

#[test]
fn whether_it_sleeps_is_told_at_each_change_and_kept_without_one() {
    let up = with_zero(&sleeper(0, vec![asks(4)]), 3, false);
    assert_eq!((up.desired, zero_condition(&up)), (4, Some((false, Reason::NotScaledToZero))));
    let asleep = with_zero(&sleeper(0, vec![asks(0)]), 3, false);
    assert_eq!((asleep.desired, zero_condition(&asleep)), (0, Some((true, Reason::ScaledToZero))));
    let stays = with_zero(&sleeper(0, vec![asks(0)]), 0, true);
    assert_eq!(
        (stays.rescaled, zero_condition(&stays)),
        (false, Some((true, Reason::ScaledToZero)))
    );
    // With the gate off nothing is said of it, once something changes.
    let world = World { scaled_to_zero: true, ..world(3) };
    let (hpa, gate_off) = (sleeper(0, vec![asks(4)]), Controller::default());
    let done = reconcile(&gate_off, &hpa, &world, &mut forgetful(), Faults::default(), NOW);
    assert_eq!((done.desired, zero_condition(&done)), (4, None));
}

fn forgetful() -> Memory {
    Memory { wishes: Some(Vec::new()), ..Memory::default() }
}
