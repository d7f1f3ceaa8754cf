use super::super::Condition;
use super::world::{MAX_AGE, World};
use crate::Truth::{self, False, True, Unknown};
use crate::{Missing, Unit};

fn world() -> World {
    let world = World::of(&[
        ("cpu", 0.85, Unit::Ratio),
        ("exact", 0.8, Unit::Ratio),
        ("one", 1.0, Unit::Ratio),
        ("p95(http_request_duration)", 0.35, Unit::Seconds),
        ("avg(cpu, 5m)", 0.5, Unit::Ratio),
        ("memory", 150e6, Unit::Bytes),
        ("rate(requests)", 200.0, Unit::PerSecond),
        ("queue", 1500.0, Unit::Count),
        ("plain", 0.85, Unit::None),
        ("broken", f64::NAN, Unit::Ratio),
    ]);
    world.and_stale("stale", 0.1, Unit::Ratio)
}

fn truth(text: &str) -> Truth {
    world().truth(text)
}

#[test]
fn literals_are_read_in_base_units() {
    for (text, expected) in [
        ("cpu > 80%", True),
        ("cpu > 0.8", True),
        ("cpu > 0.9", False),
        ("p95(http_request_duration) > 300ms", True),
        ("p95(http_request_duration) > 0.4s", False),
        ("p95( http_request_duration )>=350ms", True),
        ("avg(cpu,300s) == 50%", True),
        ("memory > 100MB", True),
        ("memory > 0.2GB", False),
        ("rate(requests) > 10000/min", True),
        ("rate(requests) < 0.3krps", True),
        ("queue > 1k", True),
        ("queue >= 1.5k", True),
        ("plain > 80%", True),
        ("plain > -1e3", True),
        ("exact > 80%", False),
        ("exact >= 80%", True),
        ("exact != 80%", False),
        ("exact <= 80%", True),
    ] {
        assert_eq!(truth(text), expected, "{text}");
    }
}

#[test]
fn a_bare_number_above_one_against_a_ratio_is_per_cent() {
    for (text, expected) in [
        ("cpu > 80", True),
        ("cpu > 90", False),
        ("exact >= 80", True),
        ("cpu > 1", False),
        ("one >= 1", True),
        ("cpu < 1", True),
    ] {
        assert_eq!(truth(text), expected, "{text}");
    }
    // Only against a ratio.
    assert_eq!(truth("plain > 80"), False);
    assert_eq!(truth("queue > 80"), True);
}

#[test]
fn what_cannot_be_compared_is_unknown_and_not_false() {
    for text in [
        "nobody > 1",
        "stale > 1%",
        "stale < 1%",
        "broken != 3%",
        "cpu > 500ms",
        "queue > 80%",
        "not stale > 1%",
        "stale > 1% and cpu > 1%",
        "stale > 1% or cpu > 99%",
    ] {
        assert_eq!(truth(text), Unknown, "{text}");
    }
    assert_eq!(truth("stale > 1% or cpu > 80%"), True);
    assert_eq!(truth("stale > 1% and cpu > 99%"), False);
}

#[test]
fn absent_is_never_unknown() {
    assert_eq!(truth("absent(nobody)"), True);
    assert_eq!(truth("absent(stale)"), True);
    assert_eq!(truth("absent(broken)"), True);
    assert_eq!(truth("absent(cpu)"), False);
    assert_eq!(truth("not absent(p95(http_request_duration))"), True);
}

#[test]
fn not_binds_tighter_than_and_and_and_tighter_than_or() {
    // If `or` bound tighter, these two would swap.
    assert_eq!(truth("cpu > 0 or cpu > 0 and cpu > 99%"), True);
    assert_eq!(truth("(cpu > 0 or cpu > 0) and cpu > 99%"), False);
    assert_eq!(truth("not cpu > 99% or cpu > 0"), True);
    assert_eq!(truth("not (cpu > 99% or cpu > 0)"), False);
}

#[test]
fn function_forms_resolve_to_one_canonical_name() {
    for (text, name) in [
        ("p95(x) > 1", "p95(x)"),
        ("avg( x ,300s ) > 1", "avg(x, 5m)"),
        ("avg(x, 0.5h) > 1", "avg(x, 30m)"),
        ("avg(x, 90s) > 1", "avg(x, 90s)"),
        ("avg(x, 24h) > 1", "avg(x, 1d)"),
        ("quantile(0.95,rate( y )) > 1", "quantile(0.95, rate(y))"),
        ("p99.9(http.server:seconds) > 1", "p99.9(http.server:seconds)"),
    ] {
        let condition = Condition::parse(text).expect(text);
        assert_eq!(condition.signals(), [name], "{text}");
    }
    let condition = Condition::parse("b > 1 and absent(c) or a > 2 and b < 3").expect("parses");
    assert_eq!(condition.signals(), ["a", "b", "c"]);
}

#[test]
fn readings_say_what_each_comparison_saw() {
    let World { signals, now } = world();
    let condition = Condition::parse("cpu > 80 and cpu > 500ms or nobody < 2s").expect("parses");
    let readings = condition.readings(&signals, now, MAX_AGE);
    let seen: Vec<_> =
        readings.iter().map(|r| (r.signal, r.threshold, r.unit, r.value, r.truth())).collect();
    assert_eq!(
        seen,
        [
            ("cpu", 0.8, Unit::Ratio, Ok(0.85), True),
            ("cpu", 0.5, Unit::Ratio, Err(Missing::OtherUnit), Unknown),
            ("nobody", 2.0, Unit::Seconds, Err(Missing::Absent), Unknown),
        ]
    );
}

#[test]
fn a_condition_can_be_tried_on_another_world() {
    let World { signals, now } = world();
    let condition = Condition::parse("cpu > 90% or absent(queue)").expect("parses");
    let doubled = |name: &str| {
        let mut sample = *signals.get(name)?;
        sample.value *= 2.0;
        Some(sample)
    };
    assert_eq!(condition.evaluate(&signals, now, MAX_AGE), False);
    assert_eq!(condition.evaluate_as(&doubled, now, MAX_AGE), True);
    let readings = condition.readings_as(&doubled, now, MAX_AGE);
    assert_eq!(readings[0].value, Ok(1.7));
    assert_eq!(condition.evaluate_as(&|_| None, now, MAX_AGE), True);
}
