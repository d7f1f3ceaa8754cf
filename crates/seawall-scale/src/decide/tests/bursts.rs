use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{bare, codes, seconds, start};
use crate::{Burst, Decision, Policy, State, decide};

fn policy() -> Policy {
    Policy { bursts: vec![Burst::new("stable", "short", 10.0)], ..bare() }
}

struct Run {
    policy: Policy,
    state: State,
    start: Instant,
}

impl Run {
    fn new(current: u32) -> Self {
        Self { policy: policy(), state: State::new(current), start: start() }
    }

    fn at(&mut self, second: u64, stable: f64, short: f64) -> Decision {
        let now = self.start + seconds(second);
        let mut signals = Signals::new();
        signals.set("stable", stable, Unit::Count, now);
        if short.is_finite() {
            signals.set("short", short, Unit::Count, now);
        }
        let decision = decide(&self.policy, &self.state, &signals, now);
        self.state.apply(&decision, now);
        decision
    }
}

#[test]
fn the_calm_window_decides_while_it_is_calm() {
    let mut run = Run::new(4);
    assert_eq!(run.at(0, 50.0, 70.0).target, 5);
    assert_eq!(run.at(2, 30.0, 20.0).target, 3);
}

#[test]
fn a_burst_is_answered_at_once_and_nothing_shrinks_in_it() {
    let mut run = Run::new(4);
    let decision = run.at(0, 40.0, 160.0);
    assert_eq!((decision.target, codes(&decision)), (16, vec!["panic"]));
    assert_eq!(decision.next_evaluation, seconds(2));
    assert_eq!(run.at(2, 60.0, 100.0).target, 16);
    assert_eq!(run.at(30, 60.0, 200.0).target, 20);
    assert_eq!(run.at(59, 60.0, 10.0).target, 20);
    // A full calm window after the last time it was over, and not before.
    let over = run.at(60, 90.0, 10.0);
    assert_eq!((over.target, codes(&over)[0]), (9, "target"));
}

#[test]
fn each_moment_over_the_threshold_prolongs_the_burst() {
    let mut run = Run::new(4);
    assert_eq!(run.at(0, 40.0, 160.0).target, 16);
    assert_eq!(run.at(50, 40.0, 400.0).target, 40);
    assert_eq!(run.at(109, 40.0, 40.0).target, 40);
    assert_eq!(run.at(110, 40.0, 40.0).target, 4);
}

#[test]
fn starting_instances_are_not_taken_for_a_lack_of_capacity() {
    // 16 were asked for and none is ready yet: the same burst asks for no more.
    let mut run = Run::new(4);
    assert_eq!(run.at(0, 40.0, 160.0).target, 16);
    for second in 1..10 {
        assert_eq!(run.at(second, 40.0, 160.0).target, 16);
    }
}

#[test]
fn half_the_truth_does_not_shrink() {
    let mut run = Run::new(10);
    assert_eq!(run.at(0, 40.0, f64::NAN).target, 10);
    assert_eq!(run.at(1, 400.0, f64::NAN).target, 40);
    let mut signals = Signals::new();
    let now = run.start + seconds(2);
    signals.set("short", 10.0, Unit::Count, now);
    assert_eq!(decide(&run.policy, &run.state, &signals, now).target, 40);
}
