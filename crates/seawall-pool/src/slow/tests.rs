use std::time::Duration;

use tokio::time::Instant;

use super::{Fingerprint, Kept, SlowConfig, SlowQuery};
use crate::route::Intent;

fn query(sql: &str, now: Instant) -> SlowQuery {
    SlowQuery {
        node: "primary".into(),
        intent: Intent::Read,
        ended: now,
        took: Duration::from_secs(1),
        fingerprint: Fingerprint::of(sql),
        statement: sql.into(),
        plan: None,
        sql: Some(sql.into()),
        number: 0,
    }
}

#[test]
fn no_more_is_kept_than_was_asked_for_and_the_oldest_goes_first() {
    let (mut kept, now) = (Kept::default(), Instant::now());
    let config = SlowConfig { keep: 3, plans_per_minute: 0 };
    for name in ["a", "b", "c", "d", "e"] {
        assert!(!kept.take(query(name, now), &config, now).1, "plans are off");
    }
    let names: Vec<_> = kept.queries.iter().map(|query| &*query.statement).collect();
    assert_eq!(names, ["c", "d", "e"]);
}

#[test]
fn plans_are_asked_for_no_more_often_than_allowed() {
    let (mut kept, start) = (Kept::default(), Instant::now());
    let config = SlowConfig { keep: 1_000, plans_per_minute: 2 };
    let mut asked = Vec::new();
    for second in 0..180 {
        let now = start + Duration::from_secs(second);
        if kept.take(query(&format!("SELECT a{second}"), now), &config, now).1 {
            asked.push(second);
        }
    }
    assert_eq!(asked, [0, 1, 60, 61, 120, 121]);
}

#[test]
fn a_plan_that_is_known_is_not_asked_for_again_and_one_that_comes_late_is_dropped() {
    let (mut kept, now) = (Kept::default(), Instant::now());
    let config = SlowConfig { keep: 2, plans_per_minute: 60 };
    let (first, may) = kept.take(query("SELECT 1", now), &config, now);
    assert!(may);
    kept.planned(first, "Result");
    assert!(!kept.take(query("SELECT 2", now), &config, now).1, "the same but for its value");
    assert_eq!(kept.queries[1].plan.as_deref(), Some("Result"));
    kept.take(query("SELECT 3", now), &config, now);
    kept.planned(first, "of a query that is gone");
    assert!(kept.queries.iter().all(|query| query.plan.as_deref() == Some("Result")));
}

#[test]
fn neither_its_text_nor_its_values_are_shown_by_debug() {
    let secret =
        SlowQuery { statement: "select ?".into(), ..query("SELECT 'secret'", Instant::now()) };
    assert!(!format!("{secret:?}").contains("secret"), "{secret:?}");
}

#[test]
fn fields_out_of_bounds_are_named() {
    SlowConfig::default().validate().unwrap();
    let error = SlowConfig { keep: 10_001, ..SlowConfig::default() }.validate().unwrap_err();
    assert!(error.to_string().starts_with("keep is 10001"), "{error}");
    let config = SlowConfig { plans_per_minute: 61, ..SlowConfig::default() };
    assert!(config.validate().unwrap_err().to_string().starts_with("plans_per_minute"));
}
