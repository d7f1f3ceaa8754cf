use tokio::time::Instant;

use super::*;
use crate::window::Clock;

fn rejects() -> Arc<Rejects> {
    let counter = || Arc::new(CounterCell::new());
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
    assert!(histogram.stripes().count() <= 256 + 2);
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
