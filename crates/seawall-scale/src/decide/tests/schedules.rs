use std::time::Duration;

use jiff::Zoned;
use seawall_signal::Unit;
use tokio::time::Instant;

use super::{codes, cpu, measured, seconds, start};
use crate::schedule::{Day, Schedule, Time};
use crate::{Decision, Policy, State, decide};

/// Mondays to Fridays from 8 to 18 o'clock in Berlin, at least ten.
fn office() -> Schedule {
    Schedule {
        zone: "Europe/Berlin".parse().expect("a zone"),
        days: vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri],
        from: Time::constant(8, 0, 0, 0),
        to: Some(Time::constant(18, 0, 0, 0)),
        min: Some(10),
        ..Schedule::new("office")
    }
}

fn policy(schedules: Vec<Schedule>) -> Policy {
    Policy { schedules, ..cpu(0.5) }
}

fn at(policy: &Policy, current: u32, text: &str) -> (State, Instant, Decision) {
    let zoned: Zoned = text.parse().expect(text);
    let unix = u64::try_from(zoned.timestamp().as_nanosecond()).expect("after 1970");
    let (mut state, now) = (State::new(current), start());
    // Told an hour ago, to see that time goes on.
    state.set_clock(now - seconds(3600), Duration::from_nanos(unix) - seconds(3600));
    let decision = decide(policy, &state, &measured(&[("cpu", 0.1, Unit::Ratio)], now), now);
    (state, now, decision)
}

#[test]
fn a_window_raises_the_minimum_and_its_end_lets_go() {
    let policy = policy(vec![office()]);
    let (_, _, open) = at(&policy, 3, "2026-11-27T17:59[Europe/Berlin]");
    assert_eq!((open.target, codes(&open)), (10, vec!["below_minimum", "scheduled"]));
    assert_eq!(
        open.explain(),
        "3 is below the minimum of 10; schedule office asks for at least 10 instances"
    );
    let (_, _, held) = at(&policy, 20, "2026-11-27T12:00[Europe/Berlin]");
    assert_eq!((held.target, codes(&held)), (10, vec!["target", "at_minimum", "scheduled"]));
    let (_, _, saturday) = at(&policy, 10, "2026-11-28T12:00[Europe/Berlin]");
    assert_eq!(saturday.target, 2);
}

#[test]
fn instances_are_ready_when_the_window_opens() {
    // Case 18 of the research.
    let policy = Policy { start_delay: seconds(90), ..policy(vec![office()]) };
    let (_, _, before) = at(&policy, 3, "2026-11-27T07:58:29[Europe/Berlin]");
    assert_eq!((before.target, before.next_evaluation), (1, seconds(1)));
    let (_, _, ahead) = at(&policy, 3, "2026-11-27T07:58:30[Europe/Berlin]");
    assert_eq!(ahead.target, 10);
    assert!(ahead.explain().contains("office soon opens and asks for at least 10"));
}

#[test]
fn the_start_delay_is_learned() {
    // Case 15 of the research.
    let policy = Policy { start_delay: seconds(10), ..policy(vec![office()]) };
    let (mut state, now, _) = at(&policy, 3, "2026-11-27T07:55:30[Europe/Berlin]");
    let decide = |state: &State| {
        decide(&policy, state, &measured(&[("cpu", 0.1, Unit::Ratio)], now), now).target
    };
    for start in 0..20 {
        state.started(seconds(80 + start % 16));
    }
    assert_eq!(state.start_delay(&policy), seconds(94));
    assert_eq!(decide(&state), 1);
    for _ in 0..5 {
        state.started(seconds(300));
    }
    assert_eq!(state.start_delay(&policy), seconds(300));
    assert_eq!(decide(&state), 10);
}

#[test]
fn of_overlapping_windows_the_largest_minimum_counts() {
    // Case 17 of the research.
    let quiet = Schedule { name: "quiet".into(), min: Some(4), ..office() };
    let policy = policy(vec![quiet, office()]);
    let (_, _, decision) = at(&policy, 1, "2026-11-27T12:00[Europe/Berlin]");
    assert_eq!(decision.target, 10);
}

#[test]
fn a_maximum_shrinks_at_once_and_never_below_a_minimum() {
    let cap = Schedule { name: "cap".into(), min: None, max: Some(6), ..office() };
    let noon = "2026-11-27T12:00[Europe/Berlin]";
    let (_, _, capped) = at(&policy(vec![cap.clone()]), 20, noon);
    assert_eq!((capped.target, codes(&capped)), (6, vec!["above_maximum", "scheduled_max"]));
    let both = policy(vec![cap, office()]);
    both.validate().expect_err("they contradict");
    assert_eq!(at(&both, 20, noon).2.target, 10);
}

#[test]
fn without_the_time_of_day_nothing_shrinks() {
    let (policy, now) = (policy(vec![office()]), start());
    let at = |use_| {
        let signals = measured(&[("cpu", use_, Unit::Ratio)], now);
        decide(&policy, &State::new(20), &signals, now)
    };
    assert_eq!((at(0.1).target, codes(&at(0.1))), (20, vec!["target", "clock_unknown"]));
    assert_eq!(at(1.0).target, 40);
}
