use proptest::prelude::*;

use super::*;

/// How busy four instances are, of which each finishes `most` a second, with some noise.
fn busy(rate: f64, most: f64, base: f64, step: u32) -> f64 {
    let noise = f64::from(step.wrapping_mul(2_654_435_761) >> 20) / 4_096.0 - 0.5;
    base + rate / 4.0 / most * (1.0 - base) + 0.04 * noise
}

fn rate(step: u32) -> f64 {
    60.0 + 40.0 * (f64::from(step) / 240.0 * std::f64::consts::TAU).sin()
}

fn learn(model: &mut ServiceModel, steps: std::ops::Range<u32>, most: f64, base: f64) -> f64 {
    for step in steps {
        model.observe(rate(step), 4, busy(rate(step), most, base, step).max(0.0));
    }
    model.service().rate
}

#[test]
fn a_rate_that_was_given_wrongly_is_corrected_within_an_hour() {
    for most in [27.0, 40.0, 200.0] {
        let mut model = ServiceModel::new(SERVICE);
        let learned = learn(&mut model, 0..240, most, 0.0);
        assert!((learned / most - 1.0).abs() < 0.1, "{learned} for {most}");
        let Service { slots, wait, .. } = model.service();
        assert_eq!((slots, wait), (SERVICE.slots, SERVICE.wait), "the rest is as it was given");
    }
}

#[test]
fn what_an_instance_does_without_requests_is_not_taken_for_them() {
    let mut model = ServiceModel::new(SERVICE);
    let learned = learn(&mut model, 0..1_000, 40.0, 0.2);
    // At all of its time busy it still does what it does without requests.
    assert!((learned / 40.0 - 1.0).abs() < 0.05, "{learned}");
}

#[test]
fn a_release_that_makes_requests_slower_is_noticed() {
    let mut model = ServiceModel::new(SERVICE);
    let before = learn(&mut model, 0..2_000, 60.0, 0.1);
    let after = learn(&mut model, 2_000..3_500, 40.0, 0.1);
    assert!((before / 60.0 - 1.0).abs() < 0.05, "{before}");
    assert!((after / 40.0 - 1.0).abs() < 0.1, "{after}");
}

#[test]
fn a_load_that_does_not_move_teaches_the_rate_all_the_same() {
    let mut model = ServiceModel::new(SERVICE);
    for _ in 0..100 {
        model.observe(100.0, 4, 0.5);
    }
    assert!((model.service().rate - 50.0).abs() < 1e-6, "{:?}", model.service());
}

#[test]
fn a_night_without_load_forgets_nothing() {
    let mut model = ServiceModel::new(SERVICE);
    let before = learn(&mut model, 0..1_000, 40.0, 0.1);
    for step in 0..2_000 {
        // It falls asleep slowly, and idles at a tenth.
        let rate = 60.0 * 0.99_f64.powi(step);
        model.observe(rate, 4, 0.1 + rate / 4.0 / 40.0 * 0.9);
    }
    let after = model.service().rate;
    assert!((after / before - 1.0).abs() < 0.1, "{before} {after}");
}

/// The rate that is learned where the group is as large as that rate asks for, and each instance
/// finishes `most` a second.
fn learn_in_a_loop(model: &mut ServiceModel, most: f64) -> f64 {
    for step in 0..400 {
        let load = 4.0 * rate(step);
        let instances = model.service().least(1.4 * load);
        let busy = (load / f64::from(instances) / most).min(1.0);
        model.observe(load, instances, busy);
    }
    model.service().rate
}

#[test]
fn a_rate_that_is_thought_too_high_does_not_keep_the_group_too_busy_to_learn_it() {
    let mut given = ServiceModel::new(SERVICE);
    let learned = learn_in_a_loop(&mut given, 5.0);
    assert!((learned / 5.0 - 1.0).abs() < 0.1, "given twice as much: {learned}");
    let mut fast = ServiceModel::new(SERVICE);
    learn(&mut fast, 0..1_000, 60.0, 0.0);
    let learned = learn_in_a_loop(&mut fast, 20.0);
    assert!((learned / 20.0 - 1.0).abs() < 0.1, "a release that takes thrice as long: {learned}");
}

#[test]
fn one_that_starts_idle_does_not_take_what_it_does_besides_for_requests() {
    let mut model = ServiceModel::new(SERVICE);
    // A hundredth of what it can do, and three per cent busy.
    (0..1_000).for_each(|_| model.observe(0.4, 4, 0.03));
    assert_eq!(model.service(), SERVICE);
    let learned = learn(&mut model, 0..1_000, 40.0, 0.03);
    assert!((learned / 40.0 - 1.0).abs() < 0.1, "{learned}");
}

#[test]
fn a_reading_in_a_wrong_unit_does_not_make_the_usual_rate_an_idle_one() {
    let mut model = ServiceModel::new(SERVICE);
    model.observe(4.0 * 9_000.0, 4, 0.5);
    let learned = learn(&mut model, 0..1_000, 40.0, 0.0);
    assert!((learned / 40.0 - 1.0).abs() < 0.1, "{learned}");
}

#[test]
fn one_wild_measurement_among_many_moves_little() {
    let mut model = ServiceModel::new(SERVICE);
    let before = learn(&mut model, 0..1_000, 40.0, 0.1);
    for _ in 0..3 {
        model.observe(1.0, 4, 0.9);
        model.observe(4_000.0, 4, 0.01);
    }
    let after = model.service().rate;
    assert!((after / before - 1.0).abs() < 0.1, "{before} {after}");
}

#[test]
fn little_nonsense_saturation_and_a_wrong_unit_leave_what_was_given() {
    let given = |observe: &dyn Fn(&mut ServiceModel)| {
        let mut model = ServiceModel::new(SERVICE);
        (0..19).for_each(|_| model.observe(100.0, 4, 0.5));
        (0..100).for_each(|_| observe(&mut model));
        (model.service(), model.seen())
    };
    assert_eq!(given(&|_| ()), (SERVICE, 19));
    for (rate, instances, busy) in [
        (f64::NAN, 4, 0.5),
        (-1.0, 4, 0.5),
        (f64::INFINITY, 4, 0.5),
        (100.0, 0, 0.5),
        (100.0, 4, f64::NAN),
        (100.0, 4, -0.1),
        // What arrives where all are busy is not what is done.
        (4_000.0, 4, 1.0),
        (4_000.0, 4, 0.95),
        (100.0, 4, 50.0),
    ] {
        assert_eq!(given(&|model| model.observe(rate, instances, busy)), (SERVICE, 19));
    }
    for rate in [1e6, 5_000.0] {
        let mut model = ServiceModel::new(SERVICE);
        (0..100).for_each(|_| model.observe(rate, 1, 0.5));
        assert_eq!(model.service(), SERVICE, "requests an hour are no requests a second");
    }
}

proptest! {
    #[test]
    fn anything_may_be_measured_and_a_rate_stays_one(
        measured in proptest::collection::vec((any::<f64>(), 0..50_u32, any::<f64>()), 0..200),
        usual in proptest::collection::vec((0.0..1e4_f64, 1..50_u32, 0.0..1.2_f64), 0..200),
    ) {
        let mut model = ServiceModel::new(SERVICE);
        for (rate, instances, busy) in measured.into_iter().chain(usual) {
            model.observe(rate, instances, busy);
            let learned = model.service().rate;
            prop_assert!((0.1..=1_000.0).contains(&learned), "{model:?}");
        }
    }
}
