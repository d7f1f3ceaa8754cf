use std::time::Duration;

use tokio::time::Instant;

use super::super::{Condition, Evaluator, Hold};
use super::world::{run, stepper};
use crate::Truth::{False, True, Unknown};
use crate::{Signals, Unit};

#[test]
fn a_hold_is_met_at_exactly_its_length_and_not_before() {
    let steps = [(0, Some(0.9)), (60, Some(0.9)), (119, Some(0.9)), (120, Some(0.9))];
    let got = run("cpu > 80% for 2m", &steps);
    assert_eq!(got, [False, False, False, True]);
}

#[test]
fn one_calm_sample_starts_the_hold_again() {
    let steps =
        [(0, Some(0.9)), (60, Some(0.7)), (61, Some(0.9)), (120, Some(0.9)), (181, Some(0.9))];
    let got = run("cpu > 80% for 2m", &steps);
    assert_eq!(got, [False, False, False, False, True]);
}

#[test]
fn a_missing_sample_breaks_a_pending_hold_but_does_not_clear_a_raised_one() {
    let steps = [
        (0, Some(0.9)),
        (60, None),
        (120, Some(0.9)),
        (240, Some(0.9)),
        (250, None),
        (260, Some(0.75)),
    ];
    let got = run("cpu > 80% for 2m clear < 70%", &steps);
    assert_eq!(got, [False, Unknown, False, True, Unknown, True]);
}

#[test]
fn without_a_hold_the_first_step_answers() {
    assert_eq!(run("cpu > 80%", &[(0, Some(0.9)), (1, Some(0.8))]), [True, False]);
}

#[test]
fn a_raised_condition_clears_at_its_own_threshold() {
    let steps = [
        (0, Some(0.75)),
        (1, Some(0.81)),
        (2, Some(0.75)),
        (3, Some(0.7)),
        (4, Some(0.69)),
        (5, Some(0.75)),
    ];
    let got = run("cpu > 80 clear < 70", &steps);
    assert_eq!(got, [False, True, True, True, False, False]);
    // Without `clear` it lets go at once.
    let got = run("cpu > 80", &steps);
    assert_eq!(got, [False, True, False, False, False, False]);
}

#[test]
fn the_clear_threshold_does_not_help_to_raise() {
    let steps = [(0, Some(0.9)), (60, Some(0.75)), (120, Some(0.9))];
    assert_eq!(run("cpu > 80% clear < 70% for 2m", &steps), [False, False, False]);
}

#[test]
fn clear_belongs_to_its_own_comparison() {
    let mut step = stepper("cpu > 80% clear < 70% and queue > 10 clear < 5");
    assert_eq!(step(0.9, 7.0), False);
    assert_eq!(step(0.9, 11.0), True);
    assert_eq!(step(0.75, 7.0), True);
    assert_eq!(step(0.75, 4.0), False);
}

#[test]
fn a_hold_tells_how_long_it_still_needs() {
    let now = Instant::now();
    let mut signals = Signals::new();
    signals.set("cpu", 0.9, Unit::Ratio, now);
    let mut evaluator = Evaluator::new(Condition::parse("cpu > 80% for 30s").expect("parses"));
    assert_eq!(evaluator.hold().remaining(evaluator.condition(), now), None);
    assert_eq!(evaluator.step(&signals, now), False);
    let later = now + Duration::from_secs(10);
    let remaining = |e: &Evaluator| e.hold().remaining(e.condition(), later);
    assert_eq!(remaining(&evaluator), Some(Duration::from_secs(20)));
    // The clock of one step may lie before that of the last.
    assert_eq!(evaluator.step(&signals, now), False);
    assert_eq!(evaluator.step(&signals, now + Duration::from_secs(30)), True);
    assert!(evaluator.hold().is_raised());
    assert_eq!(remaining(&evaluator), None);
    assert_eq!(evaluator.hold().since(), Some(now));
}

#[test]
fn a_bare_clear_never_reads_as_a_value_that_raises() {
    // Of a ratio 5 is 5 %: were 1 then 100 %, 3 % could neither raise nor stay.
    let steps = [(0, Some(0.06)), (1, Some(0.03)), (2, Some(0.011)), (3, Some(0.009))];
    assert_eq!(run("cpu > 5 clear < 1", &steps), [True, True, True, False]);
    let steps = [(0, Some(0.06)), (1, Some(0.03)), (2, Some(0.0051)), (3, Some(0.004))];
    assert_eq!(run("cpu > 5 clear < 0.5", &steps), [True, True, True, False]);
    let steps = [(0, Some(0.4)), (1, Some(0.45)), (2, Some(1.5)), (3, Some(2.5))];
    assert_eq!(run("cpu < 0.5 clear > 2", &steps), [True, True, True, False]);
    // What lies on its side as it stands is read as it stands.
    let steps = [(0, Some(0.9)), (1, Some(0.75)), (2, Some(0.69))];
    assert_eq!(run("cpu > 80 clear < 0.7", &steps), [True, True, False]);
    let steps = [(0, Some(0.4)), (1, Some(0.6)), (2, Some(0.71))];
    assert_eq!(run("cpu < 0.5 clear > 70", &steps), [True, True, False]);
}

#[test]
fn a_whole_condition_is_raised_and_not_one_of_its_comparisons() {
    let mut step = stepper("cpu > 80% clear < 70% or queue > 5");
    assert_eq!(step(0.75, 1.0), False);
    assert_eq!(step(0.75, 6.0), True);
    assert_eq!(step(0.75, 1.0), True);
    assert_eq!(step(0.69, 1.0), False);
}

#[test]
fn a_memory_that_was_written_down_goes_on_where_it_was() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let text = "cpu > 80% clear < 70% for 2m";
    let new = |hold| Evaluator::new(Condition::parse(text).expect(text)).with_hold(hold);
    let step = |evaluator: &mut Evaluator, seconds, cpu| {
        let mut signals = Signals::new();
        signals.set("cpu", cpu, Unit::Ratio, at(seconds));
        evaluator.step(&signals, at(seconds))
    };
    // All three states, each as one that was never interrupted.
    let mut whole = new(Hold::default());
    for (seconds, cpu) in [(0, 0.9), (60, 0.9), (120, 0.9), (130, 0.75), (140, 0.9), (150, 0.6)] {
        let hold = whole.hold();
        let mut restored = new(match hold.since() {
            None => Hold::default(),
            Some(since) if hold.is_raised() => Hold::raised_since(since),
            Some(since) => Hold::pending_since(since),
        });
        assert_eq!(restored, whole);
        assert_eq!(step(&mut restored, seconds, cpu), step(&mut whole, seconds, cpu), "{seconds}");
        assert_eq!(restored, whole);
    }
    assert_eq!(whole.hold(), Hold::default());
}
