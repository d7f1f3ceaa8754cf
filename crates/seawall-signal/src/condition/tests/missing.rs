use std::time::Duration;

use tokio::time::Instant;

use super::super::Condition;
use super::world;
use crate::Signals;
use crate::Truth::{self, False, True, Unknown};

/// The answers of `text` to a series of values a minute apart.
fn run(text: &str, values: &[Option<f64>]) -> Vec<Truth> {
    let minutes = (0..).map(|minute| 60 * minute);
    world::run(text, &minutes.zip(values.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn each_policy_makes_of_no_data_what_it_says() {
    let values = [None, Some(0.9), None, Some(0.1), None];
    assert_eq!(run("cpu > 80%", &values), [Unknown, True, Unknown, False, Unknown]);
    assert_eq!(run("cpu > 80% missing unknown", &values), [Unknown, True, Unknown, False, Unknown]);
    assert_eq!(run("cpu > 80% missing true", &values), [True, True, True, False, True]);
    assert_eq!(run("cpu > 80% missing false", &values), [False, True, False, False, False]);
    assert_eq!(run("cpu > 80% missing keep", &values), [False, True, True, False, False]);
}

#[test]
fn a_pending_hold_lives_through_a_gap_only_if_it_is_kept() {
    let values = [Some(0.9), None, Some(0.9)];
    assert_eq!(run("cpu > 80% for 2m", &values), [False, Unknown, False]);
    assert_eq!(run("cpu > 80% for 2m missing keep", &values), [False, False, True]);
    assert_eq!(run("cpu > 80% for 2m missing true", &values), [False, False, True]);
    assert_eq!(run("cpu > 80% for 2m missing false", &values), [False, False, False]);
}

#[test]
fn the_policy_speaks_only_if_the_unknown_part_matters() {
    let (signals, now) = (Signals::new(), Instant::now());
    let truth = |text: &str| {
        Condition::parse(text).expect(text).evaluate(&signals, now, Duration::from_secs(60))
    };
    assert_eq!(truth("absent(a) or a > 1 missing false"), True);
    assert_eq!(truth("not absent(a) and a > 1 missing true"), False);
    assert_eq!(truth("a > 1 missing keep"), Unknown);
}

#[test]
fn the_end_of_a_condition_may_come_in_any_order() {
    for text in [
        "cpu > 80% clear < 70% for 2m missing true",
        "cpu > 80% missing true for 2m clear < 70%",
        "cpu > 80% for 2m missing true clear < 70%",
    ] {
        let shown = Condition::parse(text).expect(text).to_string();
        assert_eq!(shown, "cpu > 80% clear < 70% for 2m missing true");
    }
}
