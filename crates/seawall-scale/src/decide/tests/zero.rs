use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{bare, codes, seconds, start};
use crate::{Action, Activation, Decision, Policy, State, Target, Zero, decide};

fn policy() -> Policy {
    Policy {
        min: 0,
        targets: vec![Target::utilisation("cpu", 0.5)],
        zero: Some(Zero { idle: seconds(300), ..Zero::on("requests") }),
        ..bare()
    }
}

struct Run {
    policy: Policy,
    state: State,
    start: Instant,
}

impl Run {
    fn new(policy: Policy, current: u32) -> Self {
        Self { policy, state: State::new(current), start: start() }
    }

    /// The group's use never falls below 3 %: nothing but sleep brings it to 0.
    fn at(&mut self, second: u64, requests: f64) -> Decision {
        let now = self.start + seconds(second);
        let mut signals = Signals::new();
        signals.set("cpu", 0.03, Unit::Ratio, now);
        signals.set("requests", requests, Unit::PerSecond, now);
        let decision = decide(&self.policy, &self.state, &signals, now);
        self.state.apply(&decision, now);
        decision
    }
}

#[test]
fn an_idle_group_sleeps_and_the_first_request_wakes_it() {
    let mut run = Run::new(policy(), 1);
    assert_eq!(run.at(0, 0.0).target, 1);
    let awake = run.at(299, 0.0);
    assert_eq!((awake.target, awake.next_evaluation), (1, seconds(1)));
    let asleep = run.at(300, 0.0);
    assert_eq!((asleep.target, codes(&asleep)), (0, vec!["idle", "target"]));
    assert_eq!(run.at(400, 0.0).action, Action::Hold);
    let woken = run.at(401, 0.2);
    assert_eq!((woken.target, codes(&woken)), (1, vec!["below_minimum", "active"]));
    assert_eq!(woken.trigger.map(|trigger| trigger.metric).as_deref(), Some("requests"));
    assert_eq!(woken.reasons[1].to_string(), "requests is 0.2, above 0: the group is needed");
}

#[test]
fn a_cooldown_does_not_keep_it_asleep() {
    let slow = Policy { cooldown_up: seconds(3600), cooldown_down: seconds(3600), ..policy() };
    let mut run = Run::new(slow, 1);
    assert_eq!(run.at(0, 0.0).target, 1);
    assert_eq!(run.at(300, 0.0).target, 0);
    assert_eq!(run.at(301, 1.0).target, 1);
}

#[test]
fn it_does_not_flap_within_the_idle_time() {
    let mut run = Run::new(policy(), 1);
    for second in 0..3000 {
        let requests = if second % 250 == 0 { 1.0 } else { 0.0 };
        assert_eq!(run.at(second, requests).target, 1, "{second}");
    }
}

#[test]
fn a_threshold_is_strict_and_any_signal_is_enough() {
    let mut policy = policy();
    let zero = policy.zero.as_mut().expect("set");
    zero.activate[0].above = 0.5;
    zero.activate.push(Activation { signal: "cpu".into(), above: 0.02 });
    let mut run = Run::new(policy.clone(), 0);
    assert_eq!(run.at(0, 0.0).target, 1);
    policy.zero.as_mut().expect("set").activate.pop();
    let mut run = Run::new(policy, 0);
    assert_eq!(run.at(0, 0.5).target, 0);
    assert_eq!(run.at(1, 0.51).target, 1);
}

#[test]
fn an_unknown_signal_keeps_it_awake_and_does_not_wake_it() {
    let (policy, now) = (policy(), start());
    let mut signals = Signals::new();
    signals.set("cpu", 0.03, Unit::Ratio, now);
    let mut awake = State::new(1);
    awake.apply(&decide(&policy, &awake, &signals, now), now);
    let later = now + seconds(50);
    assert_eq!(decide(&policy, &awake, &signals, later).target, 1);
    let asleep = decide(&policy, &State::new(0), &signals, now);
    assert_eq!((asleep.target, codes(&asleep)), (0, vec!["idle", "target", "missing"]));
}

#[test]
fn a_minimum_and_sleep_exclude_each_other() {
    let error = Policy { min: 1, ..policy() }.validate().expect_err("excluded");
    assert_eq!(error.to_string(), "zero: min is 1, must be 0");
}
