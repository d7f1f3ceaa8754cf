use proptest::prelude::*;
use seawall_signal::{Condition, Signals, Unit};
use tokio::time::Instant;

use super::{bare, seconds, start};
use crate::{Action, Goal, Policy, Rule, RuleAction, State, Step, StepLimit, Target, decide};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0..2.0_f64,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0]),
    ]
}

fn sane() -> impl Strategy<Value = f64> {
    0.0..2.0_f64
}

fn target() -> impl Strategy<Value = Target> {
    let goal = prop_oneof![
        (0.05..1.0_f64).prop_map(Goal::Utilisation),
        (0.01..1.0_f64).prop_map(Goal::PerInstance),
        (0.05..1.0_f64).prop_map(Goal::Total),
    ];
    (prop::sample::select(NAMES.to_vec()), goal)
        .prop_map(|(signal, goal)| Target { signal: signal.into(), goal })
}

fn rule() -> impl Strategy<Value = Rule> {
    let condition = (
        prop::sample::select(NAMES.to_vec()),
        prop::sample::select(vec![
            "> 70%",
            ">= 0.9",
            "< 50",
            "<= 20%",
            "> 80 clear < 40",
            "> 60% for 30s",
        ]),
        prop::sample::select(vec!["", " and b > 10%", " or c < 10", " and not c > 90%"]),
    )
        .prop_filter_map("parses", |(a, op, rest)| {
            let text = match op.split_once(" for") {
                Some((op, hold)) => format!("{a} {op}{rest} for{hold}"),
                None => format!("{a} {op}{rest}"),
            };
            text.parse::<Condition>().ok()
        });
    let action = prop::sample::select(vec![RuleAction::ScaleUp, RuleAction::ScaleDown]);
    let by = prop_oneof![
        (0_u32..20).prop_map(Step::Instances),
        any::<u32>().prop_map(Step::Instances),
        number().prop_map(|x| Step::Percent(x * 100.0)),
    ];
    let cooldown = prop::option::of((0_u64..400).prop_map(seconds));
    (condition, action, by, cooldown, -1..2).prop_map(
        |(condition, action, by, cooldown, priority)| Rule {
            by,
            cooldown,
            priority,
            ..Rule::new(condition, action)
        },
    )
}

prop_compose! {
    fn policy()(
        (min, max) in prop_oneof![
            (0_u32..20, 1_u32..60),
            (0_u32..20, Just(u32::MAX)),
        ],
        targets in prop::collection::vec(target(), 0..3),
        rules in prop::collection::vec(rule(), 0..4),
        waits in prop::collection::vec(prop::sample::select(vec![0_u64, 15, 60, 300]), 4),
        tolerance in 0.0..0.3_f64,
        limits in prop::collection::vec(prop::option::of((0_u32..10, number())), 2),
    ) -> Policy {
        let limit = |limit: Option<(u32, f64)>| limit.map(|(instances, percent)| StepLimit { instances, percent });
        Policy {
            min: min.min(max),
            max,
            targets,
            rules,
            cooldown_up: seconds(waits[0]),
            cooldown_down: seconds(waits[1]),
            window_up: seconds(waits[2]),
            window_down: seconds(waits[3]),
            tolerance,
            limit_up: limit(limits[0]),
            limit_down: limit(limits[1]),
            ..Policy::default()
        }
    }
}

/// The three signals, or fewer.
fn world(values: &[(f64, u64)], now: Instant) -> Signals {
    let mut signals = Signals::new();
    for (name, (value, age)) in NAMES.iter().zip(values) {
        // Up to 10 s in the future, up to 90 s old.
        signals.set(name, *value, Unit::Ratio, now + seconds(10) - seconds(*age));
    }
    signals
}

fn values(number: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<(f64, u64)>> {
    prop::collection::vec((number, prop_oneof![4 => 10_u64..70, 1 => 0_u64..100]), 0..4)
}

fn fresh() -> impl Strategy<Value = Vec<(f64, u64)>> {
    prop::collection::vec((sane(), Just(10)), 3)
}

/// A state some decisions old.
fn lived(policy: &Policy, current: u32, past: &[Vec<(f64, u64)>]) -> (State, Instant) {
    let mut now = start();
    let mut state = State::new(current);
    for values in past {
        let decision = decide(policy, &state, &world(values, now), now);
        state.apply(&decision, now);
        now += seconds(15);
    }
    (state, now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn total_deterministic_and_never_outside_the_bounds(
        policy in policy(),
        current in prop_oneof![0_u32..80, any::<u32>()],
        past in prop::collection::vec(values(number()), 0..6),
        then in values(number()),
    ) {
        let (state, now) = lived(&policy, current, &past);
        let signals = world(&then, now);
        let decision = decide(&policy, &state, &signals, now);
        prop_assert!((policy.min..=policy.max).contains(&decision.target));
        prop_assert_eq!(&decision, &decide(&policy, &state, &signals, now));
        prop_assert!(!decision.reasons.is_empty() && !decision.explain().is_empty());
        prop_assert_eq!(decision.trigger.is_some(), decision.action != Action::Hold);
        prop_assert_eq!(decision.target > state.current, decision.action == Action::Up);
        prop_assert_eq!(decision.target < state.current, decision.action == Action::Down);
        prop_assert!(!decision.next_evaluation.is_zero());
        prop_assert!(decision.next_evaluation <= policy.evaluate_every);
    }

    #[test]
    fn contradicting_policies_are_answered_too(
        policy in policy(),
        bounds in any::<(u32, u32)>(),
        level in number(),
        tolerance in number(),
        current in any::<u32>(),
        then in values(number()),
    ) {
        let mut policy = Policy { min: bounds.0, max: bounds.1, tolerance, ..policy };
        policy.targets.push(Target::utilisation("a", level));
        policy.targets.push(Target::per_instance("b", level));
        policy.targets.push(Target::total("c", level));
        let now = start();
        let decision = decide(&policy, &State::new(current), &world(&then, now), now);
        prop_assert!(decision.target <= policy.max);
    }

    #[test]
    fn a_missing_signal_of_a_target_never_shrinks(
        policy in policy(),
        signal in 0_usize..3,
        broken in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0]),
        how in 0..3,
        current in 0_u32..80,
        past in prop::collection::vec(values(number()), 0..6),
        mut then in fresh(),
    ) {
        let mut policy = policy;
        policy.targets.push(Target::utilisation(NAMES[signal], 0.5));
        let (state, now) = lived(&policy, current, &past);
        match how {
            0 => then[signal].0 = broken,
            1 => then[signal].1 = 71,
            _ => then[signal].1 = 0,
        }
        let decision = decide(&policy, &state, &world(&then, now), now);
        // Except to obey `max`, which asks no signal.
        prop_assert!(decision.target >= state.current.min(policy.max));
    }

    #[test]
    fn a_rule_that_cannot_be_told_never_shrinks(
        policy in policy(),
        action in prop::sample::select(vec![RuleAction::ScaleUp, RuleAction::ScaleDown]),
        current in 0_u32..80,
        past in prop::collection::vec(values(number()), 0..6),
        then in fresh(),
    ) {
        let mut policy = policy;
        let condition = "nobody > 1".parse().expect("parses");
        policy.rules.push(Rule::new(condition, action));
        let (state, now) = lived(&policy, current, &past);
        let decision = decide(&policy, &state, &world(&then, now), now);
        prop_assert!(decision.target >= state.current.min(policy.max));
    }

    #[test]
    fn a_down_cooldown_never_blocks_an_up(
        policy in policy(),
        current in 0_u32..80,
        past in prop::collection::vec(values(sane()), 0..6),
        then in fresh(),
        since in 0_u64..400,
    ) {
        let (state, now) = lived(&policy, current, &past);
        let signals = world(&then, now);
        let decision = |last_down| {
            let mut state = state.clone();
            state.last_down = last_down;
            decide(&policy, &state, &signals, now).target.max(state.current)
        };
        prop_assert_eq!(decision(None), decision(Some(now - seconds(since))));
    }

    #[test]
    fn a_longer_down_window_never_shrinks_further(
        policy in policy(),
        current in 0_u32..80,
        past in prop::collection::vec(values(sane()), 0..30),
        then in fresh(),
        windows in prop::collection::vec(0_u64..400, 2),
    ) {
        // One history, long enough for both windows.
        let keep = Policy { window_down: seconds(400), ..policy.clone() };
        let (state, now) = lived(&keep, current, &past);
        let signals = world(&then, now);
        let with = |window| {
            let policy = Policy { window_down: seconds(window), ..policy.clone() };
            decide(&policy, &state, &signals, now).target
        };
        let (short, long) = (windows[0].min(windows[1]), windows[0].max(windows[1]));
        prop_assert!(with(short).min(state.current) <= with(long).min(state.current));
    }

    #[test]
    fn the_smaller_size_does_not_scale_up_under_the_same_load(
        targets in prop::collection::vec((prop::sample::select(NAMES.to_vec()), 0.05..1.0_f64), 0..3),
        ups in prop::collection::vec(rule(), 1..3),
        down in (prop::sample::select(vec!["a < 50%", "b < 90%", "c > 1%"]), 1_u32..20),
        current in 2_u32..60,
        then in fresh(),
    ) {
        let (condition, step) = down;
        let mut policy = bare();
        policy.targets = targets.into_iter().map(|(name, level)| Target::utilisation(name, level)).collect();
        policy.rules = ups.into_iter().map(|rule| Rule { action: RuleAction::ScaleUp, ..rule }).collect();
        policy.rules.push(Rule::scale_down(condition).expect("parses").by(Step::Instances(step)));
        let now = start();
        let signals = world(&then, now);
        let decision = decide(&policy, &State::new(current), &signals, now);
        if decision.action == Action::Down {
            let factor = f64::from(current) / f64::from(decision.target);
            let mut projected = Signals::new();
            for (name, sample) in signals.iter() {
                projected.set(name, sample.value * factor, Unit::Ratio, now);
            }
            let again = decide(&policy, &State::new(decision.target), &projected, now);
            prop_assert!(again.action != Action::Up, "{} to {}: {}", current, decision.target, again.explain());
        }
    }
}
