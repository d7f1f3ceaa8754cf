use jiff::civil::{date, time};
use jiff::{Timestamp, Zoned};

use super::*;

fn berlin(from: Time) -> Schedule {
    let zone = "Europe/Berlin".parse().expect("a zone");
    Schedule { zone, from, min: Some(10), ..Schedule::new("window") }
}

/// Nanoseconds after 1970 of a text such as `2026-11-27T08:00[Europe/Berlin]`.
fn at(text: &str) -> i64 {
    let zoned: Zoned = text.parse().expect(text);
    i64::try_from(zoned.timestamp().as_nanosecond()).expect("in range")
}

fn utc(text: &str) -> i64 {
    let at: Timestamp = text.parse().expect(text);
    i64::try_from(at.as_nanosecond()).expect("in range")
}

fn open(schedule: &Schedule, unix: i64) -> bool {
    schedule.look(unix, Duration::ZERO).open
}

/// When it opens and ends within a day from `from`, to the minute.
fn edges(schedule: &Schedule, from: i64) -> Vec<(i64, bool)> {
    let minute = 60_000_000_000;
    let mut seen = Vec::new();
    let mut was = open(schedule, from);
    for step in 1..=1440 {
        let now = from + step * minute;
        let is = open(schedule, now);
        if is != was {
            seen.push((now, is));
            was = is;
        }
    }
    seen
}

#[test]
fn office_hours_end_on_friday_and_not_with_the_next_start() {
    let week = vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let to = Some(time(18, 0, 0, 0));
    let office = Schedule { days: week, to, ..berlin(time(8, 0, 0, 0)) };
    for (text, expected) in [
        ("2026-11-27T07:59:59[Europe/Berlin]", false),
        ("2026-11-27T08:00[Europe/Berlin]", true),
        ("2026-11-27T17:59:59[Europe/Berlin]", true),
        ("2026-11-27T18:00[Europe/Berlin]", false),
        ("2026-11-28T12:00[Europe/Berlin]", false),
        ("2026-11-30T12:00[Europe/Berlin]", true),
    ] {
        assert_eq!(open(&office, at(text)), expected, "{text}");
    }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_opened_on() {
    let friday = vec![Day::Fri];
    let to = Some(time(2, 0, 0, 0));
    let night = Schedule { days: friday, to, ..berlin(time(22, 0, 0, 0)) };
    assert!(open(&night, at("2026-11-28T01:59[Europe/Berlin]")));
    assert!(!open(&night, at("2026-11-28T02:00[Europe/Berlin]")));
    assert!(!open(&night, at("2026-11-28T22:30[Europe/Berlin]")));
    assert!(!open(&night, at("2026-11-27T01:30[Europe/Berlin]")));
}

#[test]
fn an_hour_that_does_not_exist_opens_when_the_clock_jumps_and_once() {
    // On 29 March 2026 02:00 is followed by 03:00, at 01:00 UTC.
    let nightly = Schedule { lasts: Some(Duration::from_secs(3600)), ..berlin(time(2, 30, 0, 0)) };
    let seen = edges(&nightly, utc("2026-03-28T12:00:00Z"));
    assert_eq!(
        seen,
        [(utc("2026-03-29T01:00:00Z"), true), (utc("2026-03-29T02:00:00Z"), false)],
        "opens at 03:00 and keeps its length"
    );
}

#[test]
fn an_hour_that_comes_twice_opens_the_first_time_only() {
    // On 25 October 2026 03:00 is followed by 02:00, at 01:00 UTC.
    let nightly = Schedule { lasts: Some(Duration::from_secs(3600)), ..berlin(time(2, 30, 0, 0)) };
    let seen = edges(&nightly, utc("2026-10-24T12:00:00Z"));
    assert_eq!(seen, [(utc("2026-10-25T00:30:00Z"), true), (utc("2026-10-25T01:30:00Z"), false)]);
}

#[test]
fn an_end_by_the_clock_keeps_its_hour_over_a_clock_change() {
    let to = Some(time(2, 30, 0, 0));
    let evening = Schedule { to, ..berlin(time(20, 0, 0, 0)) };
    // In autumn it ends at the second 02:30, in spring at the jump over it.
    let autumn = edges(&evening, utc("2026-10-24T12:00:00Z"));
    assert_eq!(autumn, [(utc("2026-10-24T18:00:00Z"), true), (utc("2026-10-25T01:30:00Z"), false)]);
    let spring = edges(&evening, utc("2026-03-28T12:00:00Z"));
    assert_eq!(spring, [(utc("2026-03-28T19:00:00Z"), true), (utc("2026-03-29T01:00:00Z"), false)]);
}

#[test]
fn a_window_inside_a_gap_never_opens() {
    let to = Some(time(2, 45, 0, 0));
    let short = Schedule { to, ..berlin(time(2, 15, 0, 0)) };
    assert_eq!(edges(&short, utc("2026-03-28T12:00:00Z")), []);
    assert_eq!(edges(&short, utc("2026-03-27T12:00:00Z")).len(), 2);
}

#[test]
fn an_event_day_opens_on_its_date_only_and_ahead_of_time() {
    let friday = Schedule {
        dates: vec![date(2026, 11, 27)],
        lead: Duration::from_secs(1800),
        ..berlin(Time::midnight())
    };
    let start = Duration::from_secs(90);
    let look = |text: &str| friday.look(at(text), start);
    assert_eq!(
        look("2026-11-26T23:00[Europe/Berlin]"),
        Look { open: false, early: false, next: Some(Duration::from_secs(1710)) }
    );
    assert!(look("2026-11-26T23:28:30[Europe/Berlin]").early);
    assert!(!look("2026-11-26T23:28:29[Europe/Berlin]").early);
    assert!(look("2026-11-27T00:00[Europe/Berlin]").open);
    assert!(look("2026-11-27T23:59:59[Europe/Berlin]").open);
    assert!(!look("2026-11-28T00:00[Europe/Berlin]").open);
    assert!(!look("2027-11-27T12:00[Europe/Berlin]").open);
}

#[test]
fn a_week_long_window_is_open_on_its_last_day() {
    let sale = Schedule {
        dates: vec![date(2026, 11, 23)],
        lasts: Some(7 * DAY),
        ..berlin(Time::midnight())
    };
    assert!(open(&sale, at("2026-11-29T23:59[Europe/Berlin]")));
    assert!(!open(&sale, at("2026-11-30T00:00[Europe/Berlin]")));
}

#[test]
fn a_schedule_that_asks_for_more_than_the_policy_allows_is_refused() {
    let sale = |min| Schedule { min: Some(min), ..Schedule::new("sale") };
    let policy = |min| crate::Policy { max: 80, schedules: vec![sale(min)], ..Default::default() };
    policy(80).validate().expect("valid");
    let error = policy(81).validate().expect_err("never reached").to_string();
    assert_eq!(error, "schedules[0]: min: 81, must be at most max, which is 80");
}

#[test]
fn schedules_that_exclude_each_other_are_refused_by_name() {
    let to = |hour| Some(time(hour, 0, 0, 0));
    let day = Schedule { name: "day".into(), to: to(18), ..berlin(time(8, 0, 0, 0)) };
    let cap = |from, until| Schedule {
        name: "cap".into(),
        to: to(until),
        min: None,
        max: Some(6),
        ..berlin(time(from, 0, 0, 0))
    };
    let error = conflicts(&[day.clone(), cap(17, 20)]).expect_err("they overlap");
    assert_eq!(error.to_string(), "schedules: day asks for at least 10 while cap allows at most 6");
    conflicts(&[day.clone(), cap(18, 20)]).expect("they only touch");
    // 18 to 20 o'clock in New York is night in Berlin; 3 to 5 is not.
    let abroad = |from, until| Schedule {
        zone: "America/New_York".parse().expect("a zone"),
        ..cap(from, until)
    };
    conflicts(&[day.clone(), abroad(18, 20)]).expect("they do not overlap");
    conflicts(&[day.clone(), abroad(3, 5)]).expect_err("they overlap");
    let once = Schedule { dates: vec![date(2031, 5, 5)], days: vec![], ..cap(0, 20) };
    conflicts(&[day.clone(), once.clone()]).expect_err("they overlap on one day");
    let weekend = Schedule { days: vec![Day::Sat, Day::Sun], ..day };
    conflicts(&[weekend, once]).expect("5 May 2031 is a Monday");
}

#[test]
fn wrong_fields_are_named() {
    let wrong = |schedule: Schedule| schedule.validate(100).expect_err("wrong").to_string();
    let both =
        Schedule { to: Some(time(9, 0, 0, 0)), lasts: Some(DAY), ..berlin(Time::midnight()) };
    assert_eq!(wrong(both), "lasts: must not be set together with to");
    let neither = Schedule { min: None, ..berlin(Time::midnight()) };
    assert_eq!(wrong(neither), "min: must be set, or max");
    let long = Schedule { lead: 2 * DAY, ..berlin(Time::midnight()) };
    assert_eq!(wrong(long), "lead: 172800s, must be 0ns to 86400s");
    let zone = "Europe/Atlantis".parse::<Zone>().expect_err("unknown").to_string();
    assert!(zone.starts_with("zone: must be a name"), "{zone}");
}

#[test]
fn any_moment_is_answered() {
    for unix in [i64::MIN, i64::MAX, 0, -1] {
        let _ = berlin(time(2, 30, 0, 0)).look(unix, Duration::MAX);
    }
}
