use tokio::time::Instant;

use super::*;
use crate::window::Clock;

fn rejects() -> Arc<Rejects> {
    let raw = crate::registry::RawName::new("rejected_total");
    let labels = || crate::registry::Labels::new(std::iter::empty(), false);
    let counter = || Line::new(&raw, labels(), CounterCell::new());
    Arc::new(Rejects {
        nan: counter(),
        infinite: counter(),
        negative: counter(),
        exemplar: counter(),
    })
}

fn histogram(durations: bool) -> HistogramCell {
    HistogramCell::new(Arc::new(Layout::new(&[1.0])), rejects(), durations)
}

fn count(histogram: &HistogramCell) -> u64 {
    histogram.totals().cells.iter().map(|(_, n)| n).sum()
}

#[test]
fn values_that_are_no_observations_are_counted_apart_and_leave_the_sum_finite() {
    let seconds = histogram(true);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, 2.0] {
        seconds.record(value);
    }
    seconds.record_many(f64::NAN, 3);
    seconds.record_many(f64::MAX, 2);
    assert_eq!(count(&seconds), 1);
    assert_eq!(seconds.totals().sum, 2.0);
    assert_eq!(seconds.rejects.nan.value(), 4);
    assert_eq!(seconds.rejects.infinite.value(), 4);
    assert_eq!(seconds.rejects.negative.value(), 1);
}

#[test]
fn a_negative_value_that_is_no_duration_falls_into_the_lowest_cell() {
    let change = histogram(false);
    change.record(-3.0);
    let totals = change.totals();
    assert_eq!(totals.cells.iter().collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(totals.sum, -3.0);
}

#[test]
fn recording_a_value_many_times_equals_recording_it_that_often() {
    let (once, often) = (histogram(true), histogram(true));
    often.record_many(0.25, 1000);
    often.record_many(0.5, 0);
    (0..1000).for_each(|_| once.record(0.25));
    let cells = |h: &HistogramCell| h.totals().cells.iter().collect::<Vec<_>>();
    assert_eq!(cells(&once), cells(&often));
    assert_eq!(once.totals().sum, often.totals().sum);
}

#[test]
fn values_of_threads_that_ended_stay_and_their_stripes_do_not_pile_up() {
    let histogram = histogram(true);
    for _ in 0..2_000 {
        std::thread::scope(|scope| {
            scope.spawn(|| histogram.record(0.1));
        });
    }
    assert_eq!(count(&histogram), 2_000);
    // One for each number a thread can have, and the two that all series have; how many of the
    // numbers are free is up to the other tests.
    assert!(histogram.heads().count() <= 256 + 2);
}

#[test]
fn every_value_is_in_the_slots_whichever_thread_records_and_however_large_it_is() {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    let histogram = histogram(true);
    let mut sum = 0.0;
    for second in 1..=9 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                // The first of a second is the largest: the others leave the maximum alone.
                scope.spawn(|| (0..200).for_each(|n| histogram.record(0.25 * f64::from(200 - n))));
            }
        });
        sum += 3.0 * 0.25 * (1..=200).sum::<u32>() as f64;
        histogram.tick(&clock.tick(start + std::time::Duration::from_secs(second)));
    }
    let mut window = WindowSum::new(histogram.layout());
    histogram.add_since(1, &mut window);
    assert_eq!(window.cells.iter().sum::<u64>(), 9 * 600);
    assert_eq!((window.sum, window.max), (sum, Some(50.0)));
    assert_eq!(count(&histogram), 9 * 600);
}

#[test]
fn a_record_that_saw_the_maximum_before_it_was_taken_is_found_at_the_next_tick() {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    let mut tick = |second| clock.tick(start + std::time::Duration::from_secs(second));
    let histogram = histogram(true);
    histogram.record(2.0);
    histogram.tick(&tick(1));
    histogram.record(1.0);
    // As it looks if the record above ran into the first tick.
    assert!(histogram.heads().any(|head| head.take_max().is_some()));
    assert!(!histogram.is_idle(9));
    histogram.tick(&tick(2));
    let mut window = WindowSum::new(histogram.layout());
    histogram.add_since(2, &mut window);
    assert_eq!((window.cells.iter().sum::<u64>(), window.sum), (1, 1.0));
    histogram.tick(&tick(3));
    assert!(histogram.is_idle(9));
}

#[test]
fn an_idle_histogram_keeps_no_slots() {
    let start = Instant::now();
    let mut clock = Clock::new(start);
    let histogram = histogram(true);
    for second in 1..=400 {
        if second < 50 {
            histogram.record(0.1);
        }
        histogram.tick(&clock.tick(start + std::time::Duration::from_secs(second)));
    }
    let past = histogram.past.lock();
    assert_eq!(past.slots.since(0).count(), 0);
}
