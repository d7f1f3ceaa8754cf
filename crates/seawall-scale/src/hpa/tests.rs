//! What the vectors do not pin: totality, memory, and the laws across decisions.

mod oracle;
mod upstream;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: Moment = Duration::from_secs(100_000);

/// A metric that asks for just so many replicas.
fn asks(replicas: i64) -> Metric {
    let answer = Some(Answer::Values(vec![replicas * 1_000]));
    Metric { source: Source::External, target: Target::Average(1_000), answer }
}

fn fails() -> Metric {
    Metric { answer: None, ..asks(0) }
}

fn world(replicas: i32) -> World {
    World { spec_replicas: replicas, status_replicas: replicas, ..World::default() }
}

fn hpa(metrics: Vec<Metric>) -> Hpa {
    Hpa { min: 1, max: 100, metrics, behaviour: None }
}

fn decide(hpa: &Hpa, current: i32, memory: &mut Memory, now: Moment) -> Done {
    reconcile(&Controller::default(), hpa, &world(current), memory, Faults::default(), now)
}

#[test]
fn a_restarted_controller_holds_for_its_window_and_then_shrinks() {
    let (hpa, mut memory) = (hpa(vec![asks(2)]), Memory::default());
    for seconds in (0..=300).step_by(15) {
        let done = decide(&hpa, 10, &mut memory, NOW + Duration::from_secs(seconds));
        assert_eq!(done.desired, 10, "after {seconds} s");
    }
    assert_eq!(decide(&hpa, 10, &mut memory, NOW + Duration::from_secs(301)).desired, 2);
}

#[test]
fn while_a_metric_fails_the_group_grows_but_does_not_shrink() {
    let forgetful = || Memory { wishes: Some(Vec::new()), ..Memory::default() };
    let shrinks = decide(&hpa(vec![asks(2), fails()]), 10, &mut forgetful(), NOW);
    assert_eq!((shrinks.desired, shrinks.error), (10, true));
    let grows = decide(&hpa(vec![fails(), asks(15)]), 10, &mut forgetful(), NOW);
    assert_eq!((grows.desired, grows.error), (15, true));
}

#[test]
fn a_write_that_fails_is_no_change_that_counts_against_a_rate() {
    let up = Rules {
        policies: vec![RatePolicy::Pods { value: 1, period: Duration::from_secs(60) }],
        ..Rules::default()
    };
    let behaviour = Some(Behaviour { up: Some(up), down: None });
    let hpa = Hpa { behaviour, ..hpa(vec![asks(9)]) };
    let mut memory = Memory::default();
    let fault = Faults { get: false, update: true };
    let failed = reconcile(&Controller::default(), &hpa, &world(3), &mut memory, fault, NOW);
    assert_eq!((failed.desired, failed.rescaled, failed.error), (3, false, true));
    let later = NOW + Duration::from_secs(15);
    assert_eq!(decide(&hpa, 3, &mut memory, later).desired, 4);
    let again = NOW + Duration::from_secs(30);
    assert_eq!(decide(&hpa, 4, &mut memory, again).desired, 4, "one a minute");
}

#[test]
fn a_disabled_direction_does_not_move() {
    let off = Rules { select: Some(Select::Disabled), ..Rules::default() };
    let behaviour = Some(Behaviour { up: Some(off.clone()), down: Some(off) });
    for wish in [1, 50] {
        let hpa = Hpa { behaviour: behaviour.clone(), ..hpa(vec![asks(wish)]) };
        let mut memory = Memory { wishes: Some(Vec::new()), ..Memory::default() };
        assert_eq!(decide(&hpa, 10, &mut memory, NOW).desired, 10);
    }
}

#[test]
fn pods_that_ended_count_nowhere() {
    let value = Value { value: 900, at: NOW, window: Duration::ZERO };
    let pods: Vec<Pod> = [Phase::Running, Phase::Failed, Phase::Succeeded]
        .into_iter()
        .zip(["a", "b", "c"])
        .map(|(phase, name)| Pod { name: name.into(), phase, ..Pod::default() })
        .collect();
    let values: BTreeMap<_, _> = pods.iter().map(|pod| (pod.name.clone(), value)).collect();
    let sorted = group(&pods, &values, None, NOW);
    assert_eq!((sorted.ready, sorted.ignored.len()), (1, 2));
}

fn any_rules() -> impl Strategy<Value = Option<Rules>> {
    let select = prop_oneof![
        Just(None),
        Just(Some(Select::Max)),
        Just(Some(Select::Min)),
        Just(Some(Select::Disabled)),
    ];
    let policy = (any::<bool>(), any::<i32>(), 0..4_000_u64).prop_map(|(pods, value, period)| {
        let period = Duration::from_secs(period);
        if pods {
            RatePolicy::Pods { value, period }
        } else {
            RatePolicy::Percent { value, period }
        }
    });
    let rules = (
        proptest::option::of((0..4_000_u64).prop_map(Duration::from_secs)),
        select,
        proptest::collection::vec(policy, 0..3),
        proptest::option::of(any::<f64>()),
    );
    let rules = rules.prop_map(|(window, select, policies, tolerance)| Rules {
        window,
        select,
        policies,
        tolerance,
    });
    proptest::option::of(rules)
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let source = prop_oneof![
        Just(Source::Resource { resource: "cpu".into() }),
        Just(Source::ContainerResource { resource: "memory".into(), container: "c".into() }),
        Just(Source::Pods),
        Just(Source::Object),
        Just(Source::External),
        Just(Source::Unknown),
    ];
    let target = prop_oneof![
        any::<i32>().prop_map(Target::Utilisation),
        any::<i64>().prop_map(Target::Average),
        any::<i64>().prop_map(Target::Value),
        Just(Target::Missing),
    ];
    let used = proptest::option::of(any::<i64>());
    let sample = (0..4_u8, used, any::<u64>()).prop_map(|(pod, used, at)| Sample {
        pod: format!("p{pod}"),
        usage: [("c".to_owned(), used)].into(),
        at: Duration::from_secs(at),
        window: Duration::from_secs(60),
    });
    let answer = prop_oneof![
        proptest::collection::vec(sample, 0..4).prop_map(Answer::Samples),
        proptest::collection::vec(any::<i64>(), 0..3).prop_map(Answer::Values),
        proptest::collection::btree_map(
            "p[0-3]",
            any::<i64>().prop_map(|value| Value { value, at: NOW, window: Duration::ZERO }),
            0..4,
        )
        .prop_map(Answer::Pods),
    ];
    (source, target, proptest::option::of(answer)).prop_map(|(source, target, answer)| Metric {
        source,
        target,
        answer,
    })
}

fn any_pod() -> impl Strategy<Value = Pod> {
    let phase = prop_oneof![
        Just(Phase::Pending),
        Just(Phase::Running),
        Just(Phase::Failed),
        Just(Phase::Succeeded),
    ];
    let moment = || proptest::option::of(any::<u64>().prop_map(Duration::from_secs));
    let (ready, request) = (any::<Option<bool>>(), any::<Option<i64>>());
    (0..4_u8, phase, ready, moment(), moment(), any::<bool>(), request).prop_map(
        |(name, phase, ready, started, ready_changed, deleting, request)| Pod {
            name: format!("p{name}"),
            phase,
            ready,
            started,
            ready_changed,
            deleting,
            requests: Requests {
                containers: [("c".into(), request)].into(),
                ..Requests::default()
            },
        },
    )
}

proptest! {
    /// No input makes it panic; a size it writes is within the bounds, or a step of its rules or
    /// factor towards them.
    #[test]
    fn it_answers_for_anything_and_writes_no_size_out_of_bounds(
        metrics in proptest::collection::vec(any_metric(), 0..4),
        pods in proptest::collection::vec(any_pod(), 0..5),
        behaviour in proptest::option::of(
            (any_rules(), any_rules()).prop_map(|(up, down)| Behaviour { up, down }),
        ),
        (min, more, current, status) in (0..50_i32, 0..50_i32, 0..200_i32, any::<i32>()),
        scaled_to_zero: bool,
        scale_to_zero: bool,
        wishes in proptest::option::of(proptest::collection::vec(
            (any::<i32>(), any::<u64>()).prop_map(|(replicas, at)| Wish {
                replicas,
                at: Duration::from_secs(at),
            }),
            0..4,
        )),
    ) {
        let hpa = Hpa { min, max: min + more, metrics, behaviour };
        let world = World { spec_replicas: current, status_replicas: status, pods, scaled_to_zero };
        let controller = Controller { scale_to_zero, ..Controller::default() };
        let mut memory = Memory { wishes, ..Memory::default() };
        let done = reconcile(&controller, &hpa, &world, &mut memory, Faults::default(), NOW);
        prop_assert_eq!(done.rescaled, done.desired != current);
        let (least, most) = (hpa.min.min(current), hpa.max.max(current));
        prop_assert!((least..=most).contains(&done.desired), "{:?}", done);
    }

    /// The refilled size lies between the present one and the one that measured pods ask for.
    #[test]
    fn pods_without_a_value_only_make_a_change_smaller(
        used in proptest::collection::vec(1..400_i64, 1..6),
        missing in 0..4_usize,
    ) {
        let pod = |number: usize| Pod {
            name: format!("p{number}"),
            ready: Some(true),
            requests: Requests {
                containers: [("c".into(), Some(100))].into(),
                ..Requests::default()
            },
            ..Pod::default()
        };
        let value = |value| Value { value, at: NOW, window: Duration::ZERO };
        let values = |used: &[i64]| {
            used.iter().enumerate().map(|(at, used)| (format!("p{at}"), value(*used))).collect()
        };
        let count = used.len() + missing;
        let all: Vec<Pod> = (0..count).map(pod).collect();
        let current = i32::try_from(count).expect("few");
        let decide = |pods: &[Pod]| {
            by_utilisation(current, 60, Tolerance::default(), pods, None, values(&used), None, NOW)
                .expect("measured")
                .replicas
        };
        let with_all = decide(&all);
        let mean = used.iter().sum::<i64>() / i64::try_from(used.len()).expect("few");
        if mean > 60 {
            prop_assert!(with_all >= current);
        } else {
            prop_assert!(with_all <= current);
        }
    }
}
