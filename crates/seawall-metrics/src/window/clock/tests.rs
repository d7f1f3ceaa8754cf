use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ticked(seconds: u32) -> (Clock, Instant) {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    for second in 1..=seconds {
        clock.tick(start + SECOND * second);
    }
    (clock, start + SECOND * seconds)
}

#[test]
fn ticks_closer_than_a_second_are_not_due() {
    let (clock, now) = ticked(3);
    assert!(!clock.is_due(now));
    assert!(!clock.is_due(now + Duration::from_millis(899)));
    assert!(clock.is_due(now + Duration::from_millis(900)));
    assert!(!clock.is_due(now - SECOND));
}

#[test]
fn a_short_window_is_never_rounded_to_a_fold() {
    for seconds in 1..100 {
        let (clock, now) = ticked(seconds);
        let now = now + Duration::from_millis(500);
        let from = clock.from(SECOND * 10, now);
        let expected =
            (Duration::from_millis(500) + SECOND * seconds).min(Duration::from_millis(10_500));
        assert_eq!(clock.span(from, now), expected, "after {seconds} s");
    }
}

#[test]
fn each_tick_is_folded_once_and_none_is_left_out() {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    let mut folded = Vec::new();
    for second in 1..=60 {
        if let Some((first, last)) = clock.tick(start + SECOND * second).fold {
            folded.extend(first..=last);
        }
    }
    assert_eq!(folded, (1..=45).collect::<Vec<_>>());
}

#[test]
fn a_jump_of_the_clock_leaves_only_what_is_inside_the_window() {
    let (mut clock, now) = ticked(100);
    let now = now + SECOND * 3_000;
    let tick = clock.tick(now);
    assert_eq!((tick.index, tick.oldest), (101, 101));
    assert_eq!(clock.from(MAX_WINDOW, now), 101);
    assert_eq!(clock.ends.len(), 2);
}

#[test]
fn the_clock_remembers_no_more_than_the_longest_window() {
    let (clock, _) = ticked(5_000);
    assert!(clock.ends.len() <= 310, "{}", clock.ends.len());
}
