use seawall_signal::Unit;

use super::{codes, cpu, measured, ruled, seconds, start};
use crate::{Action, Decision, Policy, Reason, State, decide};

/// Applies one decision per `(second, cpu)`.
fn run(policy: &Policy, state: &mut State, steps: &[(u64, f64)]) -> Vec<Decision> {
    let start = start();
    steps
        .iter()
        .map(|&(second, use_)| {
            let now = start + seconds(second);
            let signals = measured(&[("cpu", use_, Unit::Ratio)], now);
            let decision = decide(policy, state, &signals, now);
            state.apply(&decision, now);
            decision
        })
        .collect()
}

fn sizes(decisions: &[Decision]) -> Vec<u32> {
    decisions.iter().map(|decision| decision.target).collect()
}

#[test]
fn the_down_window_holds_the_largest_wish_until_it_is_out() {
    // Wishes 10, 8, 9, 4 at a level of 0.5 and ten instances, as in case 7 of
    // the research: a wish counts while strictly younger than the window.
    let policy = Policy { window_down: seconds(300), tolerance: 0.0, ..cpu(0.5) };
    let mut state = State::new(10);
    let steps = [(0, 0.5), (100, 0.4), (200, 0.45), (299, 0.2), (300, 0.2), (400, 0.2)];
    let decisions = run(&policy, &mut state, &steps);
    assert_eq!(sizes(&decisions), [10, 10, 10, 10, 9, 9]);
    let held = Reason::Stabilising { wish: 4, allowed: 10, remaining: seconds(1) };
    assert!(decisions[3].reasons.contains(&held), "{:?}", decisions[3]);
    assert_eq!(decisions[3].next_evaluation, seconds(1));
}

#[test]
fn a_wish_larger_than_its_window_counts_itself() {
    let policy = Policy { window_down: seconds(300), ..cpu(0.5) };
    let mut state = State::new(10);
    let decisions = run(&policy, &mut state, &[(0, 0.2), (299, 0.2), (300, 0.4)]);
    assert_eq!(sizes(&decisions), [10, 10, 8]);
    assert_eq!(codes(&decisions[2]), ["target"]);
}

#[test]
fn an_engine_without_history_does_not_rush_a_scale_down() {
    let policy = Policy { window_down: seconds(300), ..cpu(0.5) };
    let mut state = State::new(10);
    let decisions = run(&policy, &mut state, &[(0, 0.1), (150, 0.1), (299, 0.1), (300, 0.1)]);
    assert_eq!(sizes(&decisions), [10, 10, 10, 2]);
    assert_eq!(codes(&decisions[0]), ["target", "stabilising"]);
}

#[test]
fn the_up_window_waits_for_all_its_wishes() {
    let policy = Policy { window_up: seconds(60), ..cpu(0.5) };
    let mut state = State::new(10);
    let steps = [(0, 0.5), (30, 0.8), (59, 1.0), (60, 1.0), (89, 0.55), (91, 1.0)];
    let decisions = run(&policy, &mut state, &steps);
    assert_eq!(sizes(&decisions), [10, 10, 10, 16, 16, 16]);
    // Shrinking is not its business.
    let decisions = run(&policy, &mut State::new(10), &[(0, 0.5), (1, 0.2)]);
    assert_eq!(sizes(&decisions), [10, 4]);
}

#[test]
fn a_cooldown_holds_its_direction_and_says_how_long() {
    let policy = Policy { cooldown_up: seconds(300), cooldown_down: seconds(600), ..cpu(0.5) };
    let mut state = State::new(4);
    let steps = [(0, 1.0), (299, 1.0), (300, 1.0), (310, 0.1), (900, 0.1), (910, 0.1)];
    let decisions = run(&policy, &mut state, &steps);
    assert_eq!(sizes(&decisions), [8, 8, 16, 4, 4, 1]);
    let wait = Reason::Cooldown { wish: 16, current: 8, settling: 4, remaining: seconds(1) };
    assert!(decisions[1].reasons.contains(&wait));
    assert_eq!(wait.to_string(), "cooldown: 1 s left for the last 4 to take effect");
    assert_eq!(decisions[1].next_evaluation, seconds(1));
    assert_eq!(
        decisions[4].reasons[1].to_string(),
        "cooldown: 10 s left before scaling down again"
    );
}

#[test]
fn a_down_cooldown_never_blocks_an_up_and_an_up_ends_it() {
    let policy = Policy { cooldown_down: seconds(600), ..cpu(0.5) };
    let mut state = State::new(10);
    let steps = [(0, 0.25), (10, 1.5), (20, 0.25)];
    let decisions = run(&policy, &mut state, &steps);
    assert_eq!(sizes(&decisions), [5, 15, 8]);
}

#[test]
fn a_growing_load_is_answered_within_the_cooldown_but_never_twice() {
    let policy = Policy { cooldown_up: seconds(300), ..cpu(0.5) };
    let mut state = State::new(4);
    // The new instances do not carry the load yet: the first four do.
    let steps = [(0, 0.75), (15, 0.75), (30, 1.0), (45, 1.0), (300, 0.6), (330, 0.6)];
    let decisions = run(&policy, &mut state, &steps);
    assert_eq!(sizes(&decisions), [6, 6, 8, 8, 8, 10]);
    // At 300 s the first two count, at 330 s the next two.
    let waits: Vec<_> = decisions.iter().map(|d| d.next_evaluation).collect();
    assert_eq!(waits[4], seconds(15));
    assert!(decisions[4].reasons.contains(&Reason::Cooldown {
        wish: 10,
        current: 8,
        settling: 2,
        remaining: seconds(30),
    }));
}

#[test]
fn a_step_asks_only_for_what_is_not_on_the_way() {
    // +2 on the way when a +3 step fires: one more, as in case 12.
    let mut policy = ruled(&["cpu > 80", "cpu > 90"], &[]);
    policy.cooldown_up = seconds(300);
    policy.rules[0].by = crate::Step::Instances(2);
    policy.rules[1].by = crate::Step::Instances(3);
    let decisions = run(&policy, &mut State::new(10), &[(0, 0.85), (15, 0.95), (30, 0.95)]);
    assert_eq!(sizes(&decisions), [12, 13, 13]);
}

#[test]
fn a_total_needs_no_cooldown_to_be_answered_once() {
    let policy = Policy {
        cooldown_up: seconds(300),
        targets: vec![crate::Target::per_instance("cpu", 1.0)],
        ..cpu(0.5)
    };
    let decisions = run(&policy, &mut State::new(4), &[(0, 6.0), (15, 6.0), (30, 9.0)]);
    assert_eq!(sizes(&decisions), [6, 6, 9]);
}

#[test]
fn instances_that_failed_to_start_are_asked_for_again() {
    let policy = Policy { cooldown_up: seconds(300), ..cpu(0.5) };
    let mut state = State::new(4);
    assert_eq!(sizes(&run(&policy, &mut state, &[(0, 1.0)])), [8]);
    state.observe(5);
    assert_eq!(sizes(&run(&policy, &mut state, &[(15, 1.0)])), [8]);
    // All that was added is gone, and one more.
    state.observe(3);
    assert_eq!(sizes(&run(&policy, &mut state, &[(30, 1.0)])), [6]);
}

#[test]
fn each_rule_may_have_its_own_cooldown() {
    let mut policy = ruled(&["cpu > 80", "cpu > 90"], &["cpu < 30"]);
    policy.rules[0].cooldown = Some(seconds(30));
    policy.rules[1].cooldown = Some(seconds(300));
    policy.rules[1].by = crate::Step::Instances(5);
    let mut state = State::new(10);
    let decisions = run(&policy, &mut state, &[(0, 0.95), (29, 0.95), (30, 0.95), (330, 0.95)]);
    // The large step waits while the small one goes on.
    assert_eq!(sizes(&decisions), [15, 15, 16, 21]);
    assert_eq!(codes(&decisions[1]), ["rule", "rule", "cooldown"]);
    assert_eq!(decisions[2].trigger.as_ref().map(|t| t.threshold), Some(0.8));
}

#[test]
fn a_cooldown_that_changes_nothing_is_not_mentioned() {
    let policy = Policy { cooldown_down: seconds(600), ..ruled(&["cpu > 5"], &["cpu < 30"]) };
    let mut state = State::new(10);
    state.last_down = Some(start());
    let decisions = run(&policy, &mut state, &[(1, 0.1)]);
    assert_eq!(codes(&decisions[0]), ["rule", "rule"]);
    assert_eq!(decisions[0].action, Action::Up);
}

#[test]
fn a_correction_to_the_minimum_does_not_delay_the_surge_after_it() {
    let policy = Policy { min: 3, cooldown_up: seconds(300), ..cpu(0.5) };
    let mut state = State::new(0);
    let decisions = run(&policy, &mut state, &[(0, 0.1), (15, 1.0)]);
    assert_eq!(sizes(&decisions), [3, 6]);
}

#[test]
fn a_clock_that_steps_back_neither_panics_nor_shortens_a_wait() {
    let policy = Policy { cooldown_up: seconds(300), window_down: seconds(300), ..cpu(0.5) };
    let mut state = State::new(4);
    let decisions = run(&policy, &mut state, &[(1000, 1.0), (10, 1.0), (20, 0.1)]);
    assert_eq!(sizes(&decisions), [8, 8, 8]);
}

#[test]
fn history_is_bounded_and_forgets_on_the_careful_side() {
    let policy = Policy { window_down: seconds(86_400), window_up: seconds(86_400), ..cpu(0.5) };
    let mut state = State::new(50);
    let steps: Vec<_> = (0..5000_u64).map(|second| (second, 0.1)).collect();
    let decisions = run(&policy, &mut state, &steps);
    assert!(state.wishes().count() <= 1024);
    // The first wish, to stay, still binds although its entry was merged away.
    assert_eq!(decisions.last().map(|d| d.target), Some(50));
}

#[test]
fn a_window_of_more_decisions_than_are_remembered_ends_too() {
    // Looked at every 2 s for the sake of bursts: 1 800 decisions in the hour.
    let policy = Policy { window_down: seconds(3600), ..cpu(0.5) };
    let (mut state, start) = (State::new(40), start());
    let mut shrunk = None;
    for second in (0..10_800).step_by(2) {
        let now = start + seconds(second);
        let used = if second == 0 { 0.5 } else { 0.05 };
        let decision = decide(&policy, &state, &measured(&[("cpu", used, Unit::Ratio)], now), now);
        state.apply(&decision, now);
        if decision.target < 40 {
            shrunk = shrunk.or(Some(second));
        }
    }
    let shrunk = shrunk.expect("the peak of the first decision left the window");
    assert!((3600..=3612).contains(&shrunk), "{shrunk}");
}
