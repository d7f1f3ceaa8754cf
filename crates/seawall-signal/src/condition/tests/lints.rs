use super::super::Condition;
use crate::{Unit, Units};

fn lints(text: &str) -> Vec<String> {
    let units: Units = [
        ("cpu_usage", Unit::Ratio),
        ("response_time", Unit::Seconds),
        ("memory", Unit::Bytes),
        ("queue", Unit::Count),
        ("plain", Unit::None),
    ]
    .map(|(name, unit)| (name.to_owned(), unit))
    .into();
    let condition = Condition::parse(text).expect(text);
    condition.lint(&units).iter().map(ToString::to_string).collect()
}

#[test]
fn readings_that_may_surprise_are_reported() {
    for (text, expected) in [
        ("cpu_usage > 80", "`cpu_usage` is a ratio: `80` is read as 80%; write the `%`"),
        ("cpu_usage > 1", "`cpu_usage` is a ratio: `1` is read as 100%; write `1%` or `100%`"),
        (
            "response_time > 500",
            "`response_time` is in seconds: `500` is read in seconds; write the unit",
        ),
        ("memory > 100M", "`memory` is in bytes: `100M` is read in bytes; write the unit"),
        ("queue > 80%", "`queue` is a count and `80%` is not: the comparison is never known"),
        (
            "p59(cpu_usage) > 80%",
            "no signal is named `p59(cpu_usage)`: the comparison is never known",
        ),
        ("plain > 80%", "the unit of `plain` is not known: `80%` is compared in base units"),
    ] {
        assert_eq!(lints(text), [expected], "{text}");
    }
    assert_eq!(lints("cpu_usage > 80 clear < 70").len(), 2);
    assert_eq!(
        lints("cpu_usage > 5 clear < 0.5")[1],
        "`cpu_usage` is a ratio: `0.5` is read as 0.5%; write the `%`"
    );
    assert_eq!(
        lints("cpu_usage < 0.5 clear > 2"),
        ["`cpu_usage` is in a ratio: `2` is read in a ratio; write the unit"]
    );
}

#[test]
fn a_literal_that_says_what_it_means_is_not_reported() {
    for text in [
        "cpu_usage > 80%",
        "cpu_usage > 0.8",
        "response_time > 500ms or memory > 0",
        "queue > 1k and plain > 5",
        "absent(nobody)",
    ] {
        assert_eq!(lints(text), [""; 0], "{text}");
    }
}
