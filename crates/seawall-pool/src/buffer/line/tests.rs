use std::time::Duration;

use tokio::time::Instant;

use super::{Entry, Line};

const SECOND: Duration = Duration::from_secs(1);
const BOUNDS: (usize, Duration) = (2, SECOND);

fn come(line: &mut Line<()>, open: bool, now: Instant) -> Entry {
    line.enter(None, open, now, BOUNDS, || ())
}

fn number(entry: Entry) -> u64 {
    match entry {
        Entry::Wait { number, .. } => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_a_primary_and_nobody_in_front_there_is_no_wait() {
    assert_eq!(come(&mut Line::default(), true, Instant::now()), Entry::Go);
}

#[test]
fn they_go_one_by_one_in_the_order_in_which_they_came() {
    let (mut line, now) = (Line::default(), Instant::now());
    let (one, two) = (number(come(&mut line, false, now)), number(come(&mut line, false, now)));
    assert_eq!(line.pop(false), None, "no primary");
    assert_eq!(line.pop(true), Some((one, ())));
    assert_eq!(line.pop(true), None, "the first has the turn");
    // Who comes now is behind them, though there is a primary.
    let three = number(come(&mut line, true, now));
    line.turn_over();
    assert_eq!(line.pop(true), Some((two, ())));
    line.turn_over();
    assert_eq!(line.pop(true), Some((three, ())));
    line.turn_over();
    assert!(!line.is_busy());
}

#[test]
fn one_whose_turn_came_to_nothing_keeps_its_place() {
    let (mut line, now) = (Line::default(), Instant::now());
    let one = number(come(&mut line, false, now));
    number(come(&mut line, false, now));
    line.pop(true);
    line.turn_over();
    let back = line.enter(Some(one), false, now, BOUNDS, || ());
    assert_eq!(number(back), one);
    assert_eq!(line.pop(true), Some((one, ())));
}

#[test]
fn one_too_many_is_refused_and_goes_if_there_is_a_primary() {
    let (mut line, now) = (Line::default(), Instant::now());
    come(&mut line, false, now);
    come(&mut line, false, now);
    assert_eq!(come(&mut line, false, now), Entry::Full { waiting: 2 });
    assert_eq!(come(&mut line, true, now), Entry::Go);
}

#[test]
fn the_time_is_that_of_the_outage_and_starts_anew_after_it() {
    let (mut line, start) = (Line::default(), Instant::now());
    let first = number(come(&mut line, false, start));
    let later = start + SECOND / 2;
    assert!(
        matches!(come(&mut line, false, later), Entry::Wait { until, .. } if until == start + SECOND)
    );
    assert_eq!(come(&mut line, false, start + SECOND), Entry::Late);
    line.leave(first);
    line.pop(true);
    line.turn_over();
    assert_eq!(line.pop(true), None, "all gone");
    assert!(matches!(come(&mut line, false, start + SECOND), Entry::Wait { .. }));
}

#[test]
fn after_the_end_nobody_waits() {
    let (mut line, now) = (Line::default(), Instant::now());
    come(&mut line, false, now);
    assert_eq!(line.close().len(), 1);
    assert_eq!(come(&mut line, false, now), Entry::Closed);
}
