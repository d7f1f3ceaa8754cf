use proptest::prelude::{any, proptest};

use super::*;

const SECOND: u64 = 1_000_000_000;
/// A decay of ten seconds.
const PER: f32 = 0.1;

#[test]
fn a_peak_counts_at_once_and_fades() {
    let meter = Meter::default();
    assert_eq!(meter.read(0, false, PER), Reading { latency: None, success: 1.0 });
    meter.success(0.010, SECOND, PER);
    meter.success(0.500, SECOND, PER);
    assert_eq!(meter.read(SECOND, false, PER).latency, Some(0.5));
    // A fast answer right after changes little, one after ten seconds much.
    meter.success(0.010, SECOND + SECOND / 100, PER);
    assert!(meter.read(SECOND, false, PER).latency.unwrap() > 0.49);
    meter.success(0.010, 11 * SECOND, PER);
    let latency = meter.read(11 * SECOND, false, PER).latency.unwrap();
    assert!((0.18..0.20).contains(&latency), "{latency}");
}

#[test]
fn a_node_left_alone_is_forgotten() {
    let meter = Meter::default();
    meter.success(1.0, 0, PER);
    for _ in 0..50 {
        meter.failure(5.0, 0, PER);
    }
    let soon = meter.read(SECOND, false, PER);
    let late = meter.read(100 * SECOND, false, PER);
    assert!(soon.latency.unwrap() > 4.0 && soon.success < 0.05, "{soon:?}");
    assert!(late.latency.unwrap() < 0.001 && late.success > 0.99, "{late:?}");
}

#[test]
fn a_failure_never_makes_a_node_look_faster() {
    let meter = Meter::default();
    meter.success(0.1, 0, PER);
    for turn in 0..100 {
        meter.failure(0.000_1, turn, PER);
    }
    let reading = meter.read(100, false, PER);
    assert!(reading.latency.unwrap() > 0.099);
    assert!(reading.success < 0.03, "{reading:?}");
}

#[test]
fn one_failure_among_many_answers_is_next_to_nothing() {
    let meter = Meter::default();
    for _ in 0..1_000 {
        meter.success(0.01, 0, PER);
    }
    meter.failure(0.01, 0, PER);
    assert!(meter.read(0, false, PER).success > 0.98);
}

#[test]
fn a_node_that_only_failed_has_no_latency_but_a_price() {
    let meter = Meter::default();
    for row in 1..=5 {
        assert_eq!(meter.failure(0.001, 0, PER), row);
    }
    let reading = meter.read(0, false, PER);
    assert_eq!(reading.latency, None);
    assert!(reading.success < 0.17, "{reading:?}");
    meter.clear_row();
    assert_eq!(meter.failure(0.001, 0, PER), 1);
    meter.success(0.001, 0, PER);
    assert_eq!(meter.failure(0.001, 0, PER), 1);
}

#[test]
fn an_abandoned_wait_raises_the_latency_and_fails_nothing() {
    let meter = Meter::default();
    meter.waited(3.0, 0, PER);
    assert_eq!(meter.read(0, false, PER).latency, None);
    meter.success(0.01, 0, PER);
    meter.waited(0.001, 0, PER);
    assert_eq!(meter.read(0, false, PER).latency, Some(0.01));
    meter.waited(3.0, 0, PER);
    assert_eq!(meter.read(0, false, PER), Reading { latency: Some(3.0), success: 1.0 });
    assert_eq!(meter.take_window(), Window { successes: 1, failures: 0 });
    assert_eq!(meter.take_window(), Window::default());
}

#[test]
fn after_days_of_nothing_the_memory_is_gone_and_the_next_answer_counts() {
    const HOUR: u64 = 3_600 * SECOND;
    for hours in [2, 30, 40, 70, 100, 1_000] {
        let meter = Meter::default();
        meter.success(9.0, SECOND, PER);
        let late = SECOND + hours * HOUR;
        assert_eq!(meter.read(late, false, PER).latency, Some(0.0), "{hours}");
        meter.success(1.0, late, PER);
        meter.success(0.5, late + 10 * SECOND, PER);
        let latency = meter.read(late + 10 * SECOND, false, PER).latency.unwrap();
        assert!((0.68..0.69).contains(&latency), "{hours} h: {latency}");
    }
}

#[test]
fn threads_lose_no_count() {
    let meter = Meter::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let meter = &meter;
            scope.spawn(move || {
                for turn in 0..5_000 {
                    if turn % 5 == thread {
                        meter.failure(0.01, turn, PER);
                    } else {
                        meter.success(0.01, turn, PER);
                    }
                }
            });
        }
    });
    assert_eq!(meter.take_window(), Window { successes: 16_000, failures: 4_000 });
    let reading = meter.read(5_000, false, PER);
    assert!((0.5..1.0).contains(&reading.success) && reading.latency == Some(0.01), "{reading:?}");
}

proptest! {
    #[test]
    fn whatever_happens_at_whatever_time_a_reading_is_sane(
        steps in proptest::collection::vec((any::<u8>(), any::<u64>(), 0.0..1e6_f32), 0..50),
        now in any::<u64>(),
    ) {
        let meter = Meter::default();
        for (kind, at, seconds) in steps {
            match kind % 3 {
                0 => meter.success(seconds, at, PER),
                1 => meter.waited(seconds, at, PER),
                _ => { meter.failure(seconds, at, PER); }
            }
        }
        let reading = meter.read(now, false, PER);
        assert!(reading.success > 0.0 && reading.success <= 1.0, "{reading:?}");
        assert!(reading.latency.is_none_or(|latency| latency >= 0.0), "{reading:?}");
    }
}
