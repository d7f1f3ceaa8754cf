use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::{Clock, MAX_WINDOW};
use super::*;

proptest! {
    /// The law of windows: what a window holds is exactly what was recorded
    /// since the instant it says it starts at, whatever was folded.
    #[test]
    fn a_window_holds_exactly_what_its_span_covers(
        steps in prop::collection::vec((900_u64..2_500, 0_u64..4), 1..500),
        over in 0_u64..300,
    ) {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        let mut history = History::<u64>::default();
        let mut recorded = Vec::new();
        let mut now = start;
        for (gap, delta) in steps {
            now += Duration::from_millis(gap);
            recorded.push((now, delta));
            history.push(&clock.tick(now), delta);
        }
        let over = Duration::from_secs(over);
        let from = clock.from(over, now);
        let span = clock.span(from, now);
        let begins = now - span;
        let expected: u64 = recorded
            .iter()
            .filter(|(end, _)| *end > begins)
            .map(|(_, delta)| delta)
            .sum();
        prop_assert_eq!(history.since(from).sum::<u64>(), expected);
        // Never shorter than asked, unless the clock is younger.
        prop_assert!(span >= over.min(now - start));
        let slot = if over <= Duration::from_secs(10) { 1 } else { 5 };
        prop_assert!(span <= over + Duration::from_millis(2_500 * slot), "{span:?} for {over:?}");
    }
}

#[test]
fn slots_are_bounded_however_long_a_series_lives() {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    let mut history = History::<u64>::default();
    for second in 1..=10_000 {
        history.push(&clock.tick(start + Duration::from_secs(second)), 1);
        let slots = history.slots.as_ref().map_or(0, |slots| slots.len());
        assert!(slots <= 80, "{slots}");
    }
    let now = start + Duration::from_secs(10_000);
    let from = clock.from(MAX_WINDOW, now);
    assert_eq!(history.since(from).sum::<u64>(), clock.span(from, now).as_secs());
}
