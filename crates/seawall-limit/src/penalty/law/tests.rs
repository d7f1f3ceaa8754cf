use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// 3 in 10 s, 2 in 20 s, blocked for 30 s, calm after 60 s.
fn law() -> Law {
    Law::new(&PenaltyConfig {
        challenge_after: 3,
        challenge_window: Duration::from_secs(10),
        block_after: 2,
        block_window: Duration::from_secs(20),
        block_for: Duration::from_secs(30),
        calm: Duration::from_secs(60),
        ..PenaltyConfig::default()
    })
}

/// The states after violations at these times, in nanoseconds.
fn after(times: impl IntoIterator<Item = u64>) -> State {
    let violated = |state, now| law().next(state, Event::Violation, now);
    times.into_iter().fold(State::default(), violated)
}

fn standing(state: State, now: u64) -> Standing {
    law().next(state, Event::Nothing, now).standing
}

const T: u64 = 1_000 * SECOND;

#[test]
fn the_last_violation_within_the_window_challenges_and_one_less_does_not() {
    assert_eq!(after([T, T]).standing, Standing::Ok);
    assert_eq!(after([T, T, T]).standing, Standing::Challenge);
    assert_eq!(after([T, T + 1, T + 10 * SECOND - 1]).standing, Standing::Challenge);
    assert_eq!(after([T, T + 1, T + 10 * SECOND]).standing, Standing::Ok);
    assert_eq!(after([T, T, T + 20 * SECOND]).standing, Standing::Ok);
}

#[test]
fn violations_on_both_sides_of_a_turn_are_counted_together() {
    // Two at the end of a window and two right after its turn: a fixed window would see 2 and 2.
    let late = T + 10 * SECOND - 1;
    assert_eq!(after([T, late, late + 2]).standing, Standing::Ok);
    assert_eq!(after([T, late, late + 2, late + 3]).standing, Standing::Challenge);
}

#[test]
fn a_rate_below_the_threshold_is_never_challenged() {
    let slow = (0..1_000).map(|turn| T + turn * 5 * SECOND);
    assert_eq!(after(slow).standing, Standing::Ok);
}

#[test]
fn challenged_ends_with_calm_and_begins_anew_with_each_violation() {
    let challenged = after([T; 3]);
    let calm = T + 60 * SECOND;
    assert_eq!(standing(challenged, calm - 1), Standing::Challenge);
    assert_eq!(law().next(challenged, Event::Nothing, calm), State::default());
    let again = law().next(challenged, Event::Violation, T + 59 * SECOND);
    assert_eq!(standing(again, calm + 58 * SECOND), Standing::Challenge);
    assert_eq!(standing(again, calm + 59 * SECOND), Standing::Ok);
}

#[test]
fn who_goes_on_while_challenged_is_blocked() {
    let challenged = after([T; 3]);
    assert_eq!(after([T; 4]).standing, Standing::Challenge);
    assert_eq!(after([T; 5]).standing, Standing::Blocked);
    let spread = |gap| {
        let once = law().next(challenged, Event::Violation, T + SECOND);
        law().next(once, Event::Violation, T + SECOND + gap).standing
    };
    // Counted from when it was challenged, at T.
    assert_eq!(spread(18 * SECOND), Standing::Blocked);
    assert_eq!(spread(19 * SECOND - 1), Standing::Blocked);
    assert_eq!(spread(19 * SECOND), Standing::Challenge);
}

#[test]
fn a_block_ends_on_time_and_leaves_the_client_challenged() {
    let blocked = after([T; 5]);
    let end = T + 30 * SECOND;
    assert_eq!(blocked.until, end);
    assert_eq!(standing(blocked, end - 1), Standing::Blocked);
    assert_eq!(standing(blocked, end), Standing::Challenge);
    assert_eq!(standing(blocked, end + 60 * SECOND - 1), Standing::Challenge);
    assert_eq!(standing(blocked, end + 60 * SECOND), Standing::Ok);
    assert_eq!(law().next(blocked, Event::Nothing, blocked.ends(&law())), State::default());
    // What was under way makes it no longer.
    assert_eq!(law().next(blocked, Event::Violation, end - 1), blocked);
    // After it, two more block again.
    let again = [end + SECOND, end + 2 * SECOND];
    let again = again.into_iter().fold(blocked, |it, now| law().next(it, Event::Violation, now));
    assert_eq!(again.until, end + 32 * SECOND);
}

#[test]
fn an_operators_order_is_not_overruled_and_ends() {
    let law = law();
    let pardoned = law.next(after([T; 5]), Event::Order(Standing::Ok, 10 * SECOND), T);
    let still = (0..100).fold(pardoned, |state, _| law.next(state, Event::Violation, T + SECOND));
    assert_eq!(still, pardoned);
    assert_eq!(law.next(pardoned, Event::Nothing, T + 10 * SECOND), State::default());

    let blocked = law.next(State::default(), Event::Order(Standing::Blocked, SECOND), T);
    assert_eq!(standing(blocked, T + SECOND - 1), Standing::Blocked);
    // Nothing is left of it: no probation.
    assert_eq!(law.next(blocked, Event::Nothing, T + SECOND), State::default());
    // The last order holds; and it may be longer than any penalty.
    let year = 365 * 86_400 * SECOND;
    let long = law.next(pardoned, Event::Order(Standing::Blocked, year), T);
    assert_eq!(standing(long, T + year - 1), Standing::Blocked);
    assert_eq!(law.next(long, Event::Forget, T), State::default());
}

#[test]
fn a_clock_that_was_set_back_holds_nobody_longer_than_configured() {
    let blocked = after([T + 1_000 * SECOND; 5]);
    let seen = law().next(blocked, Event::Nothing, T);
    assert_eq!(seen.standing, Standing::Blocked);
    assert!(seen.until <= T + 60 * SECOND);
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Nothing),
        4 => Just(Event::Violation),
        1 => Just(Event::Forget),
        1 => (0..3_u8, any::<u64>()).prop_map(|(standing, lasts)| {
            let all = [Standing::Ok, Standing::Challenge, Standing::Blocked];
            Event::Order(all[usize::from(standing)], lasts)
        }),
    ]
}

proptest! {
    #[test]
    fn any_state_at_any_time_is_answered_and_ends(
        level in 0..3_usize, ordered: bool, count: u32, before: u32, began: u64, until: u64,
        event in events(), now in 0..u64::MAX / 2,
    ) {
        let standing = [Standing::Ok, Standing::Challenge, Standing::Blocked][level];
        let state = State { standing, ordered, count, before, began, until };
        let next = law().next(state, event, now);
        if !next.ordered {
            prop_assert!(next.until <= now.saturating_add(60 * SECOND));
            prop_assert!(next == State::default() || next.until >= now);
        }
        // Looking changes nothing that looking again does not.
        prop_assert_eq!(law().next(next, Event::Nothing, now), next);
    }

    #[test]
    fn only_violations_and_orders_move_a_client_up_and_by_one_step(
        times in prop::collection::vec(0..40 * SECOND, 1..60),
    ) {
        let (mut now, mut state) = (T, State::default());
        let mut recent: Vec<u64> = Vec::new();
        for gap in times {
            now += gap;
            let passed = law().next(state, Event::Nothing, now);
            prop_assert!(passed.standing <= state.standing);
            let next = law().next(passed, Event::Violation, now);
            recent.push(now);
            if next.standing > passed.standing {
                prop_assert!(next.standing as u8 == passed.standing as u8 + 1);
                // Never for less than half of what is asked for in two windows.
                let window = if next.standing == Standing::Challenge { 10 } else { 20 } * SECOND;
                let within = recent.iter().filter(|at| now - **at < 2 * window).count();
                let least = if next.standing == Standing::Challenge { 3 } else { 2 };
                prop_assert!(within >= least);
            }
            state = next;
        }
    }
}
