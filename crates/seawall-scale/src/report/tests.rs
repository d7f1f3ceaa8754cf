use proptest::prelude::*;

use super::*;

fn group(load: f64) -> Group {
    let service = Service { rate: 100.0, slots: 8, wait: 1.0 / 3.0 };
    Group { service, current: 10, max: 20, zones: 3, load }
}

/// A point an hour, with a daily wave of 200 around a level that grows.
fn days(count: u32, level: f64, per_day: f64) -> Vec<(f64, f64)> {
    let hours = 0..count * 24;
    let point = |hour: u32| {
        let day = f64::from(hour) / 24.0;
        let wave = 200.0 * (day * std::f64::consts::TAU).sin();
        // A little unevenness, the same each time.
        let uneven = f64::from((hour * 7919) % 13) - 6.0;
        (f64::from(hour) * 3600.0, level + per_day * day + wave + uneven)
    };
    hours.map(point).collect()
}

fn in_days(span: Duration) -> f64 {
    span.as_secs_f64() / 86_400.0
}

#[test]
fn what_is_carried_is_the_edge_of_the_objective() {
    let group = group(700.0);
    for instances in [1, 10, 200] {
        let most = carried(group.service, instances);
        assert!(group.service.keeps(most, instances));
        assert!(!group.service.keeps(most * 1.001, instances));
    }
    let report = report(&group, &[], &[]);
    assert_eq!((report.needed, report.busy), (Some(8), 0.7));
    assert!((report.carried_now - 700.0 * (1.0 + report.headroom_now)).abs() < 1e-6);
    assert!(report.headroom_max > report.headroom_now);
}

#[test]
fn a_growing_load_reaches_the_maximum_within_its_interval() {
    // Peaks of 1 200 + 10 a day; the end is day 30, at 1 500.
    let history = days(30, 1000.0, 10.0);
    let most = carried(group(0.0).service, 20);
    let report = report(&group(700.0), &history, &[]);
    let Saturation::In { earliest, likely: Some(likely), latest: Some(latest) } = report.saturation
    else {
        panic!("{:?}", report.saturation);
    };
    let truth = (most - 1500.0) / 10.0;
    assert!((in_days(likely) / truth - 1.0).abs() < 0.1, "{} {truth}", in_days(likely));
    assert!(earliest <= likely && likely <= latest);
    assert!(in_days(latest) < truth * 1.5);
}

#[test]
fn one_wild_day_does_not_bend_the_trend() {
    let mut history = days(30, 1000.0, 10.0);
    let calm = report(&group(700.0), &history, &[]).saturation;
    for point in &mut history[28 * 24..29 * 24] {
        point.1 *= 1.6;
    }
    let wild = report(&group(700.0), &history, &[]).saturation;
    let (Saturation::In { likely: Some(a), .. }, Saturation::In { likely: Some(b), .. }) =
        (calm, wild)
    else {
        panic!("{calm:?} {wild:?}");
    };
    assert!((in_days(a) / in_days(b) - 1.0).abs() < 0.15, "{a:?} {b:?}");
}

#[test]
fn a_shrinking_load_and_one_that_is_there_already_are_told_apart() {
    let saturation = |history: &[(f64, f64)]| report(&group(700.0), history, &[]).saturation;
    assert_eq!(saturation(&days(30, 1000.0, -10.0)), Saturation::NotGrowing);
    assert_eq!(saturation(&days(30, 3000.0, 0.0)), Saturation::Reached);
    assert_eq!(saturation(&[]), Saturation::Unknown);
    assert_eq!(saturation(&[(5.0, 1.0); 100]), Saturation::Unknown);
    assert_eq!(saturation(&[(f64::NAN, 1.0), (1.0, f64::INFINITY)]), Saturation::Unknown);
}

#[test]
fn questions_are_answered_from_what_would_be_left() {
    let answers = |load| {
        let questions =
            [WhatIf::Load(2.0), WhatIf::LoseZone, WhatIf::LoseInstances(1), WhatIf::Slower(4.0)];
        let outcomes = report(&group(load), &[], &questions).what_ifs;
        outcomes.iter().map(|o| (o.left, o.verdict)).collect::<Vec<_>>()
    };
    use Verdict::{BeyondMax, Carried, GrowFirst};
    // Of ten in three zones the largest has four; of twenty seven.
    assert_eq!(answers(700.0), [(10, GrowFirst), (6, GrowFirst), (9, Carried), (10, BeyondMax)]);
    assert_eq!(answers(300.0), [(10, Carried), (6, Carried), (9, Carried), (10, GrowFirst)]);
    assert_eq!(answers(1500.0), [(10, BeyondMax), (6, BeyondMax), (9, GrowFirst), (10, BeyondMax)]);
}

#[test]
fn a_question_that_is_no_number_is_not_answered_with_all_is_well() {
    let questions = [WhatIf::Load(f64::NAN), WhatIf::Slower(f64::NAN)];
    for outcome in report(&group(700.0), &[], &questions).what_ifs {
        assert_eq!((outcome.needed, outcome.verdict), (None, Verdict::BeyondMax));
    }
    for load in [f64::NAN, f64::INFINITY] {
        let report = report(&group(load), &[], &[]);
        assert_eq!(report.needed, None, "not known is not none");
        let headroom = report.headroom_now;
        assert!(headroom.is_nan() || headroom <= 0.0, "{headroom}");
    }
}

#[test]
fn the_text_is_aligned_and_says_all() {
    let questions = [WhatIf::Load(2.0), WhatIf::LoseZone];
    let report = report(&group(700.0), &days(30, 1000.0, 10.0), &questions);
    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[0], "load         700 /s: 8 needed, 10 there, 70 % busy");
    assert!(lines[1].starts_with("headroom now 10 instances carry "), "{text}");
    assert!(lines[3].starts_with("saturation   in about "), "{text}");
    assert_eq!(
        lines[5],
        "what if      a zone is lost: 8 needed, 6 there, 117 % busy: too slow until the group has \
         grown"
    );
}

proptest! {
    #[test]
    fn any_group_and_history_are_answered(
        rate in any::<f64>(),
        slots in any::<u32>(),
        wait in any::<f64>(),
        (current, max, zones) in (any::<u32>(), any::<u32>(), any::<u32>()),
        load in prop_oneof![0.0..1e6_f64, any::<f64>()],
        history in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
        factor in any::<f64>(),
    ) {
        let service = Service { rate, slots, wait };
        let group = Group { service, current, max, zones, load };
        let questions =
            [WhatIf::Load(factor), WhatIf::LoseZone, WhatIf::LoseInstances(max), WhatIf::Slower(factor)];
        let report = report(&group, &history, &questions);
        prop_assert_eq!(report.what_ifs.len(), 4);
        prop_assert!(!report.to_string().is_empty());
    }
}
