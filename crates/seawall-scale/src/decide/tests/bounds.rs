use proptest::prelude::*;
use seawall_signal::Unit;

use super::{codes, cpu, once};
use crate::{Action, Budget, Busy, Dependency, Kind, Policy, Reason};

fn with(dependency: Dependency) -> Policy {
    Policy { dependencies: vec![dependency], ..cpu(0.5) }
}

fn postgres() -> Dependency {
    Dependency { reserved: 20, ..Dependency::new("postgres", 200, 15) }
}

#[test]
fn never_more_instances_than_the_database_carries() {
    let decision = once(&with(postgres()), 10, &[("cpu", 0.8, Unit::Ratio)]);
    assert_eq!(decision.target, 12);
    assert_eq!(codes(&decision), ["target", "at_maximum", "dependency_limit"]);
    assert_eq!(
        decision.reasons[1].to_string() + "; " + &decision.reasons[2].to_string(),
        "at the maximum of 12, though 16 are wanted; postgres carries at most 12 instances"
    );
    let above = once(&with(postgres()), 15, &[]);
    assert_eq!((above.target, codes(&above)), (12, vec!["above_maximum", "dependency_limit"]));
}

#[test]
fn a_dependency_that_does_not_carry_the_minimum_is_refused() {
    let policy = Policy { min: 13, ..with(postgres()) };
    assert_eq!(
        policy.validate().expect_err("too many").to_string(),
        "dependencies[0]: capacity: enough for 12 instances, must be at least min, which is 13"
    );
}

#[test]
fn a_busy_database_stops_growth_and_lets_it_go_on_when_it_is_free() {
    // Case 23 of the research.
    let busy = Busy { waiting: Some("waiting".into()), ..Busy::at("pool") };
    let policy = with(Dependency { busy: Some(busy), ..postgres() });
    let at = |pool, waiting, cpu| {
        let samples = [
            ("cpu", cpu, Unit::Ratio),
            ("pool", pool, Unit::Ratio),
            ("waiting", waiting, Unit::Seconds),
        ];
        once(&policy, 5, &samples)
    };
    let held = at(0.97, 0.2, 0.8);
    assert_eq!((held.action, codes(&held)), (Action::Hold, vec!["target", "downstream_limited"]));
    assert_eq!(
        held.reasons[1].to_string(),
        "pool is 97 %, at least 95 %: postgres is too busy for 8 instances"
    );
    assert_eq!(at(0.97, 0.0, 0.8).target, 8);
    assert_eq!(at(0.9, 0.2, 0.8).target, 8);
    assert_eq!(at(0.97, 0.2, 0.2).target, 2);
    // What is not known of it is no reason to starve.
    assert_eq!(once(&policy, 5, &[("cpu", 0.8, Unit::Ratio)]).target, 8);
}

#[test]
fn the_budget_caps_and_the_minimum_goes_before_it() {
    let budget = Some(Budget { per_hour: 1.2, each: 0.1 });
    let policy = Policy { budget, ..cpu(0.5) };
    let decision = once(&policy, 10, &[("cpu", 0.9, Unit::Ratio)]);
    assert_eq!((decision.target, codes(&decision)[2]), (12, "over_budget"));
    assert_eq!(decision.reasons[2].to_string(), "the budget of 1.2 an hour pays for 12 instances");
    let poor = Policy { min: 20, ..policy };
    assert_eq!(once(&poor, 20, &[("cpu", 0.9, Unit::Ratio)]).target, 20);
}

#[test]
fn a_change_of_size_says_which_kinds_it_is_made_of() {
    let kinds = vec![Kind::new("small", 1, 1.0), Kind::new("large", 4, 3.0)];
    let mut policy = Policy { kinds, ..cpu(0.5) };
    let decision = once(&policy, 5, &[("cpu", 0.9, Unit::Ratio)]);
    let mix = decision.mix.expect("a mix");
    let shares: Vec<_> = mix.shares.iter().map(|share| (&*share.kind, share.count)).collect();
    assert_eq!((decision.target, shares, mix.cost), (9, vec![("small", 1), ("large", 2)], 7.0));
    assert_eq!(once(&policy, 5, &[("cpu", 0.5, Unit::Ratio)]).mix, None);
    // The cheapest unit counts for the budget: 8 units for 6 of the money.
    policy.budget = Some(Budget { per_hour: 6.0, each: 99.0 });
    let decision = once(&policy, 5, &[("cpu", 0.9, Unit::Ratio)]);
    assert_eq!(decision.target, 8);
    assert!(decision.reasons.contains(&Reason::OverBudget { most: 8, per_hour: 6.0 }));
}

#[test]
fn a_larger_size_may_be_cheaper_than_a_smaller_one_and_is_found() {
    // 11 to 19 units are two firm ones; of 20 half may be spot.
    let spot = Kind { spot: true, ..Kind::new("spot", 10, 0.4) };
    let kinds = vec![Kind::new("firm", 10, 1.0), spot];
    let policy = Policy { kinds, budget: Some(Budget::new(1.5)), ..cpu(0.5) };
    let decision = once(&policy, 10, &[("cpu", 1.25, Unit::Ratio)]);
    assert_eq!(decision.target, 20, "{}", decision.explain());
    assert!(decision.mix.is_some_and(|mix| mix.cost < 1.5));
}

proptest! {
    #[test]
    fn growth_never_costs_more_than_the_budget(
        current in 1_u32..20,
        use_ in 0.6..4.0_f64,
        per_hour in 1.0..40.0_f64,
        max_spot in 0.0..1.0_f64,
    ) {
        let kinds = vec![
            Kind::new("small", 3, 1.0),
            Kind::new("large", 8, 2.2),
            Kind { spot: true, ..Kind::new("spot", 5, 0.6) },
        ];
        let budget = Some(Budget::new(per_hour));
        let policy = Policy { kinds, budget, max_spot, ..cpu(0.5) };
        let decision = once(&policy, current, &[("cpu", use_, Unit::Ratio)]);
        if let (Action::Up, Some(mix)) = (decision.action, &decision.mix) {
            prop_assert!(mix.cost <= per_hour + 1e-6, "{mix:?}");
            prop_assert!(mix.capacity >= decision.target);
        }
    }
}
