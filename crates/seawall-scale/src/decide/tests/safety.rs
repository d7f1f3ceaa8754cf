use std::time::Duration;

use proptest::prelude::*;
use seawall_signal::{Signals, Unit};

use super::{bare, seconds, start};
use crate::{
    Action, Bands, Budget, Burst, Busy, Churn, Dependency, Fleet, Forecast, Kind, Policy, Queue,
    Rate, Rates, Scalability, Select, State, Target, Vertical, Zero, decide,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..200.0_f64,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0]),
    ]
}

fn rates() -> impl Strategy<Value = Rates> {
    let rate = prop_oneof![
        (0_u32..6, 1_u64..120).prop_map(|(count, period)| Rate::instances(count, seconds(period))),
        (0.0..150.0_f64, 1_u64..120)
            .prop_map(|(share, period)| Rate::percent(share, seconds(period))),
    ];
    let select = prop::sample::select(vec![Select::Max, Select::Min, Select::Disabled]);
    (select, prop::collection::vec(rate, 0..3))
        .prop_map(|(select, policies)| Rates { select, policies })
}

prop_compose! {
    /// Some of everything; numbers need not make sense.
    fn policy()(
        (min, max) in (0_u32..10, 0_u32..60),
        level in any_number(),
        queue in prop::option::of(any_number()),
        burst in prop::option::of(any_number()),
        forecast in prop::option::of((any::<bool>(), any::<bool>())),
        sleeps in any::<bool>(),
        dependency in prop::option::of((0_u32..200, 0_u32..200, 0_u32..20)),
        budget in prop::option::of((any_number(), any_number())),
        fleet in any::<bool>(),
        bands in any::<bool>(),
        kinds in any::<bool>(),
        (rates_up, rates_down) in (rates(), rates()),
        churn in prop::option::of(0_u32..5),
        window in 0_u64..100,
    ) -> Policy {
        let name = |index: usize| NAMES[index].to_owned();
        Policy {
            min,
            max,
            targets: vec![Target::utilisation("a", level)],
            queues: queue.map(|each| Queue::new("b", each).arrivals("c")).into_iter().collect(),
            bursts: burst.map(|each| Burst::new("c", "d", each)).into_iter().collect(),
            forecasts: forecast
                .map(|(may_shrink, ignore_missing)| Forecast {
                    may_shrink,
                    ignore_missing,
                    ..Forecast::of_load("d", 10.0)
                })
                .into_iter()
                .collect(),
            zero: sleeps.then(|| Zero::on("b")),
            dependencies: dependency
                .map(|(capacity, reserved, each)| Dependency {
                    reserved,
                    busy: (each % 2 == 0).then(|| Busy {
                        waiting: Some(name(2)),
                        rising: (each % 4 == 0).then(|| seconds(20)),
                        ..Busy::at(name(0))
                    }),
                    ..Dependency::new("x", capacity, each)
                })
                .into_iter()
                .collect(),
            scalability: (window % 3 == 0).then(|| Scalability {
                settle: Duration::ZERO,
                ..Scalability::new(name(2), "b > 1".parse().expect("parses"))
            }),
            spread: u32::try_from(window % 4).expect("small"),
            budget: budget.map(|(per_hour, each)| Budget { per_hour, each }),
            fleet: if fleet { Fleet { starting: Some(name(1)), missing: Some(name(2)), failing: Some(name(3)) } } else { Fleet::default() },
            bands: if bands {
                vec![Bands {
                    signal: name(3),
                    bands: vec![
                        crate::Band { from: None, to: Some(5.0), change: "-50%".parse().expect("parses") },
                        crate::Band { from: Some(50.0), to: None, change: "+3".parse().expect("parses") },
                    ],
                    cooldown: None,
                }]
            } else { Vec::new() },
            kinds: if kinds { vec![Kind::new("k", 3, 1.0), Kind { spot: true, ..Kind::new("s", 2, 0.1) }] } else { Vec::new() },
            vertical: vec![Vertical::new("memory", "c", 10.0)],
            rates_up,
            rates_down,
            churn: churn.map(|changes| Churn { changes, within: seconds(60) }),
            window_down: seconds(window),
            ..bare()
        }
    }
}

fn world() -> impl Strategy<Value = Vec<Option<f64>>> {
    prop::collection::vec(prop::option::weighted(0.9, any_number()), 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_policy_is_answered_within_its_bounds_and_within_its_rates(
        policy in policy(),
        current in 0_u32..80,
        worlds in prop::collection::vec(world(), 1..20),
    ) {
        let mut now = start();
        let mut state = State::new(current);
        let mut history = vec![(now, current)];
        for values in worlds {
            let mut signals = Signals::new();
            for (name, value) in NAMES.iter().zip(values) {
                if let Some(value) = value {
                    signals.set(name, value, Unit::Ratio, now);
                }
            }
            let decision = decide(&policy, &state, &signals, now);
            // As text: a policy may hold a NaN, which equals nothing.
            let again = decide(&policy, &state, &signals, now);
            prop_assert_eq!(format!("{decision:?}"), format!("{again:?}"));
            prop_assert!(decision.target <= policy.max);
            prop_assert!(!decision.explain().is_empty());
            prop_assert!(!decision.next_evaluation.is_zero());
            let outside = decision.reasons.iter().any(|reason| {
                matches!(reason.code(), "below_minimum" | "above_maximum")
            });
            // A floor that a dependency or sleep lowered, or the rates held up, is no floor.
            if !outside {
                prop_assert!(decision.target >= policy.min.min(decision.target.max(state.current)));
                for (action, rates) in [(Action::Up, &policy.rates_up), (Action::Down, &policy.rates_down)] {
                    if decision.action != action || rates.policies.is_empty() {
                        continue;
                    }
                    prop_assert!(rates.select != Select::Disabled);
                    let limits = rates.policies.iter().map(|rate| {
                        // The size at the start of the period, by what was there.
                        let start = history
                            .iter()
                            .rev()
                            .find(|(at, _)| now - *at >= rate.period)
                            .map_or(current, |(_, size)| *size);
                        if action == Action::Up { rate.highest(start) } else { rate.lowest(start) }
                    });
                    let larger = (action == Action::Up) == (rates.select == Select::Max);
                    let limit = if larger { limits.max() } else { limits.min() }.expect("one");
                    if action == Action::Up {
                        prop_assert!(decision.target <= limit.max(state.current));
                    } else {
                        prop_assert!(decision.target >= limit.min(state.current));
                    }
                }
            }
            state.apply(&decision, now);
            history.push((now, state.current));
            now += seconds(10);
        }
    }

    #[test]
    fn nothing_shrinks_while_a_signal_it_needs_is_missing(
        policy in policy(),
        current in 0_u32..80,
        world in world(),
        lost in 0_usize..4,
    ) {
        let now = start();
        let mut signals = Signals::new();
        for (index, (name, value)) in NAMES.iter().zip(world).enumerate() {
            if let Some(value) = value.filter(|_| index != lost) {
                signals.set(name, value, Unit::Ratio, now);
            }
        }
        // The advice reads `c`, and a lenient forecast `d`: they hold nothing.
        let needed = match lost {
            0 => true,
            1 => !policy.queues.is_empty() || policy.zero.is_some() || policy.fleet.starting.is_some(),
            2 => !policy.queues.is_empty() || !policy.bursts.is_empty() || policy.fleet.starting.is_some(),
            _ => !policy.bursts.is_empty() || !policy.bands.is_empty() || policy.fleet.starting.is_some(),
        };
        let decision = decide(&policy, &State::new(current), &signals, now);
        let corrected = decision.reasons.iter().any(|reason| reason.code() == "above_maximum");
        if needed && !corrected {
            prop_assert!(decision.target >= current, "{}", decision.explain());
        }
    }
}
