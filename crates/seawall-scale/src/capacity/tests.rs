use proptest::prelude::*;

use super::*;

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
fn a_large_group_may_be_busier_than_a_small_one() {
    let busy = |load: f64| load / (f64::from(SERVICE.least(load)) * SERVICE.rate);
    assert!(busy(20.0) < 0.7);
    assert!(busy(2_000.0) > 0.95);
}

#[test]
fn the_headroom_is_what_the_load_did_within_the_horizon() {
    let mut headroom = Headroom::new(100, 1.43);
    // Every tenth moment is half as high again, and its turn is seen by the six before.
    for second in 0..2_000 {
        let load = if second % 10 == 0 { 150.0 } else { 100.0 };
        headroom.observe(f64::from(second), load, 100.0, 6.0);
    }
    assert_eq!(headroom.samples(), 100);
    let near = |factor: f64, expected: f64| (factor / expected - 1.0).abs() < 0.03;
    assert!(near(headroom.factor(0.95), 1.5), "{}", headroom.factor(0.95));
    assert!(near(headroom.factor(0.2), 1.0), "{}", headroom.factor(0.2));
}

#[test]
fn until_enough_was_seen_the_headroom_does_not_fall_below_its_prior_at_once() {
    let mut headroom = Headroom::new(1_000, 1.43);
    let mut last = headroom.factor(0.95);
    assert!((last - 1.43).abs() < 1e-9);
    for second in 0..1_200 {
        headroom.observe(f64::from(second), 100.0, 100.0, 10.0);
        let factor = headroom.factor(0.95);
        assert!(factor <= last + 1e-9, "{last} {factor}");
        last = factor;
    }
    assert!(last < 1.03, "{last}");
}

#[test]
fn of_all_ways_to_predict_the_one_that_asks_for_least_is_followed() {
    // A saw: the peak of two minutes knows what the last value does not.
    let mut planner = Planner::new(PlannerConfig::default(), SERVICE, 15.0);
    let mut used = Vec::new();
    for tick in 0..4_000_u32 {
        let load = if tick % 6 == 0 { 300.0 } else { 100.0 };
        let plan = planner.plan(f64::from(tick) * 15.0, load, 0.0, 40, 90.0);
        used.push(plan);
    }
    let last = used.last().expect("some");
    assert_eq!(last.predictor, "peak");
    assert!(last.expected >= 300.0 && last.headroom < 1.05, "{last:?}");
}

#[test]
fn a_smaller_plan_waits_for_its_window_and_a_larger_one_does_not() {
    let mut planner = Planner::new(PlannerConfig::default(), SERVICE, 15.0);
    let high = planner.plan(0.0, 400.0, 0.0, 10, 90.0);
    assert!(high.target > 40, "{high:?}");
    let mut current = high.target;
    let mut now = 15.0;
    while now < 300.0 {
        let plan = planner.plan(now, 50.0, 0.0, current, 90.0);
        assert_eq!(plan.target, current, "at {now}: {plan:?}");
        now += 15.0;
    }
    current = planner.plan(now, 50.0, 0.0, current, 90.0).target;
    assert!(current < high.target);
}

proptest! {
    /// At least the budgeted share of plans is not outgrown, whatever the noise: split conformal
    /// prediction promises that for exchangeable loads.
    #[test]
    fn white_noise_is_covered_as_often_as_asked_for(seed: u64, quantile in 0.8..0.99_f64) {
        let mut headroom = Headroom::new(2_000, 1.43);
        let mut random = seed;
        let mut noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            60.0 + (random >> 40) as f64 / f64::from(1 << 24) * 80.0
        };
        let (mut covered, mut count) = (0, 0);
        let mut before = noise();
        for second in 0..6_000 {
            let load = noise();
            if second > 2_100 {
                // With a horizon of one step the next load is what is to be covered.
                covered += usize::from(load <= before * headroom.factor(quantile));
                count += 1;
            }
            headroom.observe(f64::from(second), load, load, 1.0);
            before = load;
        }
        let share = f64::from(u32::try_from(covered).expect("few")) / f64::from(count);
        // The bins are 1.25 % wide and rounded up.
        prop_assert!(share >= quantile - 0.02 && share <= quantile + 0.05, "{share} of {quantile}");
    }

    #[test]
    fn it_plans_for_anything(
        loads in proptest::collection::vec(
            (any::<f64>(), any::<f64>(), any::<u32>(), any::<f64>()),
            0..40,
        ),
    ) {
        let mut planner = Planner::new(PlannerConfig::default(), SERVICE, 15.0);
        for (tick, (load, backlog, current, start)) in (0..).zip(loads) {
            let _ = planner.plan(f64::from(tick), load, backlog, current, start);
        }
    }

    #[test]
    fn more_load_never_needs_fewer_instances(load in 0.0..1e5_f64, more in 0.0..1e4_f64) {
        prop_assert!(SERVICE.least(load + more) >= SERVICE.least(load));
    }
}
