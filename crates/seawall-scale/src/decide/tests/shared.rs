use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{codes, cpu, measured, seconds, start};
use crate::{Action, Busy, Decision, Dependency, Policy, Scalability, State, decide};

fn rising() -> Policy {
    let busy =
        Busy { waiting: Some("waiting".into()), rising: Some(seconds(60)), ..Busy::at("pool") };
    let postgres = Dependency { busy: Some(busy), ..Dependency::new("postgres", 1000, 10) };
    Policy { dependencies: vec![postgres], ..cpu(0.5) }
}

/// A group that would like to grow, and does not.
struct Line {
    policy: Policy,
    state: State,
    now: Instant,
}

impl Line {
    fn new() -> Self {
        Self { policy: rising(), state: State::new(5), now: start() }
    }

    /// Fifteen seconds later.
    fn step(&mut self, pool: f64, waiting: Option<f64>) -> Decision {
        self.now += seconds(15);
        let mut signals =
            measured(&[("cpu", 0.8, Unit::Ratio), ("pool", pool, Unit::Ratio)], self.now);
        if let Some(waiting) = waiting {
            signals.set("waiting", waiting, Unit::Seconds, self.now);
        }
        let decision = decide(&self.policy, &self.state, &signals, self.now);
        self.state.remember(&decision, self.now);
        decision
    }
}

#[test]
fn a_line_that_grows_before_a_busy_database_stops_growth_until_it_is_back() {
    // Case 23 of the research.
    let mut line = Line::new();
    // Busy, and what waits is what always waits.
    for _ in 0..20 {
        assert_eq!(line.step(0.97, Some(0.2)).target, 8);
    }
    let held = line.step(0.97, Some(0.3));
    assert_eq!((held.action, codes(&held)), (Action::Hold, vec!["target", "downstream_limited"]));
    // It stays so while the line is long, though it grows no more.
    for _ in 0..20 {
        assert_eq!(line.step(0.97, Some(0.3)).target, 5);
    }
    // Back where it began; and with a free database at once.
    assert_eq!(line.step(0.97, Some(0.2)).target, 8);
    assert_eq!(line.step(0.97, Some(0.9)).target, 5);
    assert_eq!(line.step(0.5, Some(0.9)).target, 8);
}

#[test]
fn a_line_that_cannot_be_seen_is_no_reason_to_starve_and_is_not_forgotten() {
    let mut line = Line::new();
    let _ = line.step(0.97, Some(0.2));
    assert_eq!(line.step(0.97, Some(0.5)).target, 5);
    assert_eq!(line.step(0.97, None).target, 8);
    assert_eq!(line.step(0.97, Some(0.5)).target, 5);
}

#[test]
fn a_line_long_ago_says_nothing_of_one_now() {
    let mut line = Line::new();
    let _ = line.step(0.5, Some(0.0));
    line.now += seconds(3600);
    assert_eq!(line.step(0.97, Some(0.5)).target, 8, "that it has grown is not known");
}

#[test]
fn a_line_must_be_named_to_grow() {
    let mut policy = rising();
    let busy = policy.dependencies[0].busy.as_mut().expect("set");
    busy.waiting = None;
    assert_eq!(
        policy.validate().expect_err("nothing to rise").to_string(),
        "dependencies[0]: busy.rising: set, needs busy.waiting too"
    );
}

/// What `size` instances get done, with a peak at 24.
fn done(size: u32) -> f64 {
    let size = f64::from(size);
    100.0 * size / (1.0 + 0.03 * (size - 1.0) + (0.97 / 576.0) * size * (size - 1.0))
}

fn scalable() -> Policy {
    let saturated = "queue > 0".parse().expect("parses");
    Policy { scalability: Some(Scalability::new("done", saturated)), ..cpu(0.5) }
}

fn signals(cpu: f64, done: f64, queue: f64, now: Instant) -> Signals {
    let all =
        [("cpu", cpu, Unit::Ratio), ("done", done, Unit::PerSecond), ("queue", queue, Unit::Count)];
    measured(&all, now)
}

/// A state that has seen these sizes for ten minutes each, under a queue so long.
fn seen(policy: &Policy, sizes: &[u32], queue: f64, now: &mut Instant) -> State {
    let mut state = State::new(1);
    for size in sizes {
        state.observe(*size);
        for _ in 0..40 {
            *now += seconds(15);
            let signals = signals(0.5, done(*size), queue, *now);
            let decision = decide(policy, &state, &signals, *now);
            state.remember(&decision, *now);
        }
    }
    state
}

#[test]
fn no_growth_past_the_peak_of_scalability() {
    // Case 24 of the research.
    let (policy, mut now) = (scalable(), start());
    let state = seen(&policy, &[4, 8, 12, 16, 20], 9.0, &mut now);
    let wish = |state: &State, cpu| decide(&policy, state, &signals(cpu, 900.0, 9.0, now), now);
    let held = wish(&state, 1.0);
    assert_eq!((held.target, codes(&held)), (24, vec!["target", "past_scalability_peak"]));
    assert_eq!(
        held.reasons[1].to_string(),
        "24 instances get the most done, by what was measured at 5 sizes: 40 would get less done"
    );
    assert_eq!(wish(&state, 0.55).target, 20);
    assert_eq!(wish(&state, 0.2).target, 8);
    // A group that is larger already is not made smaller for it, and a minimum goes before it.
    let mut larger = state.clone();
    larger.observe(30);
    assert_eq!(wish(&larger, 1.0).target, 30);
    let least = Policy { min: 28, ..scalable() };
    let at = |state: &State| decide(&least, state, &signals(1.0, 900.0, 9.0, now), now).target;
    larger.observe(28);
    assert_eq!(at(&larger), 28);
    assert_eq!(at(&state), 28);
}

#[test]
fn the_peak_is_not_looked_for_at_too_few_sizes_or_without_saturation() {
    let (policy, mut now) = (scalable(), start());
    let few = seen(&policy, &[4, 8, 12, 16], 9.0, &mut now);
    let idle = seen(&policy, &[4, 8, 12, 16, 20], 0.0, &mut now);
    for state in [few, idle] {
        let size = state.current;
        let decision = decide(&policy, &state, &signals(1.0, 900.0, 9.0, now), now);
        assert_eq!(decision.target, 2 * size);
    }
}

#[test]
fn a_size_that_is_just_had_is_not_measured_yet() {
    let (policy, mut now) = (scalable(), start());
    let mut state = seen(&policy, &[4, 8, 12, 16], 9.0, &mut now);
    state.observe(20);
    // The twenty have not done anything yet.
    for _ in 0..4 {
        now += seconds(15);
        let decision = decide(&policy, &state, &signals(0.5, 1.0, 9.0, now), now);
        state.remember(&decision, now);
    }
    assert_eq!(state.throughputs().sizes(), 4);
}

#[test]
fn what_was_measured_long_ago_is_forgotten() {
    let (policy, mut now) = (scalable(), start());
    let mut state = seen(&policy, &[4, 8, 12, 16, 20], 9.0, &mut now);
    now += seconds(86_400);
    state.observe(24);
    for _ in 0..6 {
        now += seconds(15);
        let decision = decide(&policy, &state, &signals(0.5, done(24), 9.0, now), now);
        state.remember(&decision, now);
    }
    assert_eq!(state.throughputs().sizes(), 1);
    assert_eq!(decide(&policy, &state, &signals(1.0, 900.0, 9.0, now), now).target, 48);
}

#[test]
fn what_is_kept_of_throughput_is_bounded() {
    let (policy, mut now) = (scalable(), start());
    let sizes: Vec<u32> = (1..60).collect();
    let state = seen(&policy, &sizes, 9.0, &mut now);
    assert_eq!(state.throughputs().sizes(), 32);
}

#[test]
fn another_throughput_is_another_curve() {
    let (policy, mut now) = (scalable(), start());
    let state = seen(&policy, &[4, 8, 12, 16, 20], 9.0, &mut now);
    let mut other = policy.clone();
    let mut kept = state.clone();
    kept.adopt(&policy, &policy);
    assert_eq!(kept.throughputs(), state.throughputs());
    other.scalability.as_mut().expect("set").throughput = "sales".into();
    kept.adopt(&policy, &other);
    assert_eq!(kept.throughputs().sizes(), 0);
}
