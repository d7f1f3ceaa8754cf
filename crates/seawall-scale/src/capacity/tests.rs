use proptest::prelude::*;

use super::*;

mod clock;
mod model;
#[cfg(feature = "serde")]
mod saved;

const SERVICE: Service = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };

#[test]
fn the_least_size_keeps_the_objective_and_one_less_does_not() {
    for load in [1.0, 7.0, 35.0, 99.0, 420.0, 1_999.0] {
        let least = SERVICE.least(load);
        assert!(SERVICE.keeps(load, least), "{load}");
        assert!(least == 1 || !SERVICE.keeps(load, least - 1), "{load}");
    }
    assert_eq!(SERVICE.least(0.0), 0);
    assert_eq!(SERVICE.least(f64::INFINITY), u32::MAX);
    assert_eq!(SERVICE.least(f64::NAN), u32::MAX);
}

#[test]
fn a_service_that_can_keep_nothing_is_not_searched_for_a_size() {
    for (slots, wait) in [(0, 1.0 / 3.0), (8, f64::NAN), (8, -1.0)] {
        let hopeless = Service { slots, wait, ..SERVICE };
        assert_eq!(hopeless.least(100.0), u32::MAX);
    }
}

#[test]
fn a_large_group_may_be_busier_than_a_small_one() {
    let busy = |load: f64| load / (f64::from(SERVICE.least(load)) * SERVICE.rate);
    assert!(busy(20.0) < 0.7);
    assert!(busy(2_000.0) > 0.95);
}

#[test]
fn the_most_that_a_size_keeps_is_just_within_the_objective() {
    for instances in [1, 2, 7, 40, 400] {
        let most = SERVICE.most(instances);
        assert!(SERVICE.keeps(most, instances), "{instances}: {most}");
        assert!(!SERVICE.keeps(most * 1.002, instances), "{instances}: {most}");
    }
    assert_eq!(SERVICE.most(0), 0.0);
}

/// Plays loads of 15 s against a planner whose every wish is granted at once.
fn play(planner: &mut Planner, from: u32, loads: impl Iterator<Item = f64>) -> Vec<Plan> {
    let mut current = 10;
    (from..)
        .zip(loads)
        .map(|(tick, load)| {
            let plan = planner.plan(f64::from(tick) * 15.0, load, 0.0, current, 105.0);
            current = plan.target;
            plan
        })
        .collect()
}

fn planner(price: f64) -> Planner {
    Planner::new(PlannerConfig { price, ..PlannerConfig::default() }, SERVICE, 15.0)
}

#[test]
fn the_first_load_after_none_at_all_is_given_the_room_that_is_assumed() {
    let config = PlannerConfig { min: 0, ..PlannerConfig::default() };
    let mut planner = Planner::new(config, SERVICE, 15.0);
    let loads = std::iter::repeat_n(0.0, 300).chain(std::iter::repeat_n(10.0, 8));
    for plan in play(&mut planner, 0, loads) {
        assert!((1.0..2.0).contains(&plan.headroom), "{plan:?}");
    }
}

#[test]
fn calm_load_is_given_less_room_the_longer_it_is_calm() {
    let plans = play(&mut planner(20.0), 0, std::iter::repeat_n(200.0, 12_000));
    let first = plans.first().expect("some").target;
    let last = plans.last().expect("some").target;
    assert!((28..=32).contains(&first), "about 70 % to begin with: {first}");
    assert!(last < 26 && last >= SERVICE.least(200.0), "{last}");
}

#[test]
fn dear_requests_get_more_room_than_cheap_ones() {
    // Every 40 minutes half as much again, for two.
    let load = |tick: u32| if tick % 160 < 8 { 300.0 } else { 200.0 };
    let mean = |price: f64| {
        let plans = play(&mut planner(price), 0, (0..6_000).map(load));
        plans.iter().map(|plan| f64::from(plan.target)).sum::<f64>()
    };
    let (cheap, dear) = (mean(2.0), mean(50.0));
    assert!(dear > 1.05 * cheap, "{cheap} {dear}");
}

#[test]
fn peaks_that_come_again_within_the_hour_are_kept_room_for() {
    let load = |tick: u32| if tick % 160 < 8 { 400.0 } else { 100.0 };
    let mut planner = planner(50.0);
    play(&mut planner, 0, (0..12_000).map(load));
    // The moment before a peak.
    let plans = play(&mut planner, 12_000, (12_000..12_160).map(load));
    let before = plans.last().expect("some");
    assert!(before.target >= SERVICE.least(400.0), "{before:?}");
}

#[test]
fn a_rise_is_met_at_once_and_a_fall_waits() {
    let mut planner = planner(20.0);
    let plans = play(&mut planner, 0, std::iter::repeat_n(200.0, 500));
    let before = plans.last().expect("some").target;
    let up = planner.plan(7_500.0, 600.0, 0.0, before, 105.0);
    assert!(up.target >= SERVICE.least(600.0), "{up:?}");
    let down = planner.plan(7_515.0, 200.0, 0.0, up.target, 105.0);
    assert_eq!(down.target, up.target, "{down:?}");
}

#[test]
fn a_ramp_of_the_first_minutes_is_not_met_only_when_it_is_there() {
    let load = |tick: u32| 100.0 + 10.0 * f64::from(tick.saturating_sub(20));
    let mut planner = planner(20.0);
    let plans = play(&mut planner, 0, (0..36).map(load));
    let last = plans.last().expect("some");
    // Seven tenths of the growth of the 105 s until a start is ready.
    assert!((290.0..=310.0).contains(&last.expected), "{last:?}");
    assert!(last.target >= SERVICE.least(load(35 + 7)), "{last:?}");
}

#[test]
fn a_backlog_asks_for_what_works_it_off() {
    let mut planner = planner(20.0);
    let plan = planner.plan(0.0, 100.0, 30_000.0, 10, 90.0);
    assert!(plan.target >= SERVICE.least(100.0 + 1_000.0), "{plan:?}");
}

#[test]
fn a_missing_load_keeps_the_size_and_teaches_nothing() {
    let mut planner = planner(20.0);
    play(&mut planner, 0, std::iter::repeat_n(200.0, 300));
    for missing in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        let plan = planner.plan(4_500.0, missing, 0.0, 17, 90.0);
        assert_eq!((plan.target, plan.predictor), (17, "none"));
    }
    let plan = planner.plan(4_515.0, 200.0, 0.0, 25, 90.0);
    assert!(plan.target >= SERVICE.least(200.0), "{plan:?}");
}

#[test]
fn the_assumption_of_the_start_does_not_come_back_when_weights_are_made_small_again() {
    // With a memory of an hour they grow by e an hour: that is after 28 hours.
    let config = PlannerConfig { memory: 3_600.0, ..PlannerConfig::default() };
    let mut planner = Planner::new(config, SERVICE, 15.0);
    let plans = play(&mut planner, 0, std::iter::repeat_n(200.0, 40 * 240));
    let early = plans[20 * 240].target;
    assert!(plans[20 * 240..].iter().all(|plan| plan.target <= early));
}

#[test]
fn a_config_out_of_its_bounds_names_the_field() {
    let bad = PlannerConfig { tolerance: 1.0, ..PlannerConfig::default() };
    let error = bad.validate().expect_err("out of bounds");
    assert_eq!(error.to_string(), "planner: tolerance is 1: must be 0 to 0.99");
    for price in [0.0, -1.0, f64::NAN, 1e9] {
        let bad = PlannerConfig { price, ..PlannerConfig::default() };
        assert_eq!(bad.validate().expect_err("out of bounds").field, "price");
    }
    assert_eq!(PlannerConfig::default().validate(), Ok(()));
}

proptest! {
    #[test]
    fn it_plans_for_anything(
        loads in proptest::collection::vec(
            (any::<f64>(), any::<f64>(), any::<u32>(), any::<f64>()),
            0..40,
        ),
    ) {
        let mut planner = Planner::new(PlannerConfig::default(), SERVICE, 15.0);
        for (tick, (load, backlog, current, start)) in (0..).zip(loads) {
            let plan = planner.plan(f64::from(tick), load, backlog, current, start);
            prop_assert!(plan.headroom.is_finite());
        }
    }

    #[test]
    fn more_load_never_needs_fewer_instances(load in 0.0..1e5_f64, more in 0.0..1e4_f64) {
        prop_assert!(SERVICE.least(load + more) >= SERVICE.least(load));
    }
}
