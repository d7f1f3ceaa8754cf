use super::super::Condition;
use super::world::{MAX_AGE, World};
use crate::Truth::{self, False, True, Unknown};
use crate::{Missing, Unit};

fn world() -> World {
    let world = World::of(&[
        ("rate(errors)", 6.0, Unit::PerSecond),
        ("rate(requests)", 100.0, Unit::PerSecond),
        ("rate(idle)", 0.0, Unit::PerSecond),
        ("used_bytes", 8e9, Unit::Bytes),
        ("limit_bytes", 10e9, Unit::Bytes),
        ("queue", 500.0, Unit::Count),
        ("a", 7.0, Unit::None),
        ("b", 3.0, Unit::None),
        ("c", 2.0, Unit::None),
        ("cpu", 0.85, Unit::Ratio),
    ]);
    world.and_stale("stale", 1.0, Unit::None)
}

fn truth(text: &str) -> Truth {
    world().truth(text)
}

#[test]
fn operands_are_joined_as_in_arithmetic() {
    for (text, expected) in [
        ("rate(errors) / rate(requests) > 5%", True),
        ("rate(errors)/rate(requests) > 5", True),
        ("rate(errors) / rate(requests) > 6.1%", False),
        ("a - b - c == 2", True),
        ("a - (b - c) == 6", True),
        ("a -3 == 4", True),
        ("a - -3 == 10", True),
        ("a + b * c == 13", True),
        ("(a + b) * c == 20", True),
        ("a / (b / c) > 4.6", True),
        ("2 * (a) == 14", True),
        ("(a + b) > 9 and (c) < 3", True),
        ("(a + b) * c > 19 and (a > 6 or b > 3)", True),
        // Both sides.
        ("used_bytes > 0.75 * limit_bytes", True),
        ("used_bytes > 0.85 * limit_bytes", False),
        ("used_bytes > limit_bytes - 3GB", True),
        ("used_bytes / limit_bytes > 75%", True),
        // Little's law: seconds until the queue is empty.
        ("queue / rate(requests) > 4s", True),
        ("queue / rate(requests) > 6s", False),
        ("not a + b > 10", True),
        // A bare number in a sum is in base units; alone on the right it is per
        // cent, as ever.
        ("cpu + 1 > 184", True),
        ("cpu + 1 > 186", False),
        ("cpu + 1 > 184%", True),
        ("cpu * 100 > 80%", True),
    ] {
        assert_eq!(truth(text), expected, "{text}");
    }
}

#[test]
fn a_division_by_zero_is_unknown_and_no_alarm() {
    for text in [
        "rate(errors) / rate(idle) > 5%",
        "rate(errors) / rate(idle) < 5%",
        "not rate(idle) / rate(idle) > 5%",
        "a / (b - 3) > 0",
        "a + stale > 0",
        "a > stale",
        "a > b * nobody",
        "queue + cpu > 1",
        "cpu > a * queue",
    ] {
        // The last two: units that only the samples tell.
        let known = ["queue + cpu > 1", "cpu > a * queue"].contains(&text);
        if known {
            let mut world = world();
            world.signals.set("cpu", 0.85, Unit::Seconds, world.now);
            let answer = world.truth(text);
            let expected = if text.starts_with("queue") { Unknown } else { False };
            assert_eq!(answer, expected, "{text}");
        } else {
            assert_eq!(truth(text), Unknown, "{text}");
        }
    }
    assert_eq!(truth("absent(rate(idle))"), False);
}

#[test]
fn the_reading_of_a_sum_has_its_value_and_its_unit() {
    let World { signals, now } = world();
    let condition = Condition::parse(
        "rate(errors) / rate(requests) > 5 and used_bytes > 0.9 * limit_bytes or a > nobody",
    )
    .unwrap();
    let readings = condition.readings(&signals, now, MAX_AGE);
    let seen: Vec<_> = readings.iter().map(|r| (r.signal, r.threshold, r.unit, r.value)).collect();
    assert_eq!(
        seen[..2],
        [
            ("rate(errors) / rate(requests)", 0.05, Unit::Ratio, Ok(0.06)),
            ("used_bytes", 9e9, Unit::Bytes, Ok(8e9)),
        ]
    );
    assert_eq!(seen[2].3, Err(Missing::Absent));
    assert!(seen[2].1.is_nan());
    assert_eq!(
        condition.signals(),
        ["a", "limit_bytes", "nobody", "rate(errors)", "rate(requests)", "used_bytes"]
    );
}

#[test]
fn parentheses_are_kept_where_they_matter_and_dropped_where_not() {
    for (text, shown) in [
        ("(a+b)*c > 1", "(a + b) * c > 1"),
        ("a+(b*c) > 1", "a + b * c > 1"),
        ("a-(b-c) > 1", "a - (b - c) > 1"),
        ("(a-b)-c > 1", "a - b - c > 1"),
        ("a/(b*c) > (1)", "a / (b * c) > 1"),
        ("a -3>1", "a - 3 > 1"),
        ("a - -3 > -1", "a - -3 > -1"),
    ] {
        assert_eq!(Condition::parse(text).unwrap().to_string(), shown, "{text}");
    }
}

#[test]
fn a_lint_tells_of_units_that_only_the_table_knows() {
    let units = [
        ("cpu".to_owned(), Unit::Ratio),
        ("queue".to_owned(), Unit::Count),
        ("wait".to_owned(), Unit::Seconds),
    ]
    .into();
    let lints = |text: &str| -> Vec<String> {
        let condition = Condition::parse(text).unwrap();
        condition.lint(&units).iter().map(ToString::to_string).collect()
    };
    let mixed = |text| format!("`{text}` mixes units that do not go together: it is never known");
    assert_eq!(lints("cpu + wait > 1"), [mixed("cpu + wait > 1")]);
    assert_eq!(lints("cpu > 2 * wait"), [mixed("cpu > 2 * wait")]);
    assert_eq!(lints("queue / wait > 3/s"), [""; 0]);
    assert_eq!(
        lints("wait * nobody > 3s"),
        ["no signal is named `nobody`: the comparison is never known"]
    );
}
