use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 7;
const PERIOD: u64 = 100;

fn laws() -> [Law; 2] {
    [
        Law::Window(Window { limit: LIMIT, period: PERIOD }),
        Law::Fixed(Fixed { limit: LIMIT, period: PERIOD }),
    ]
}

fn admit(law: Law, state: &mut State, now: u64, cost: u32) -> Verdict<State> {
    let verdict = law.check(*state, now, cost);
    if let Verdict::Admit(next) = verdict {
        *state = next;
    }
    verdict
}

#[test]
fn a_fixed_window_begins_with_the_first_unit_and_not_with_the_clock() {
    let law = laws()[1];
    let mut state = State::default();
    assert!(matches!(admit(law, &mut state, 1_030, 5), Verdict::Admit(_)));
    assert_eq!(law.check(state, 1_129, 3), Verdict::Wait { nanos: 1 });
    assert!(matches!(admit(law, &mut state, 1_130, 7), Verdict::Admit(_)));
    assert_eq!(state, State { until: 1_230, count: 7 });
}

#[test]
fn a_sliding_window_weighs_what_is_left_of_the_one_before() {
    let law = laws()[0];
    let mut state = State::default();
    assert!(matches!(admit(law, &mut state, 1_000, 7), Verdict::Admit(_)));
    // At 1 114, 7 x 86 / 100 = 6.02 are in use: not one is left. 0.3 ns later, one is.
    assert_eq!(law.remaining(state, 1_114), 0);
    assert_eq!(law.check(state, 1_114, 1), Verdict::Wait { nanos: 1 });
    assert_eq!(law.remaining(state, 1_115), 1);
    assert!(matches!(admit(law, &mut state, 1_150, 3), Verdict::Admit(_)));
    assert_eq!(law.check(state, 1_150, 1), Verdict::Wait { nanos: 8 });
    assert_eq!(law.standing(state, 1_150), Standing { remaining: 0, next: 8, reset: 150 });
}

#[test]
fn more_than_the_limit_never_passes_and_nothing_always_does() {
    for law in laws() {
        assert_eq!(law.check(State::default(), 5, LIMIT + 1), Verdict::Never);
        let full = law.drain(State::default(), 5);
        assert_eq!(law.remaining(full, 5), 0);
        assert!(matches!(law.check(full, 5, 0), Verdict::Admit(_)));
    }
}

#[test]
fn limits_at_the_end_of_the_numbers_do_not_wrap() {
    let (limit, period) = (u32::MAX, crate::gcra::MAX_CAPACITY / 2);
    for law in [Law::Window(Window { limit, period }), Law::Fixed(Fixed { limit, period })] {
        let mut state = State::default();
        assert!(matches!(admit(law, &mut state, 1, limit), Verdict::Admit(_)));
        assert!(matches!(law.check(state, 2, limit), Verdict::Wait { .. }));
        assert_eq!(law.standing(state, 2).remaining, 0);
        assert_eq!(law.drain(state, 3), state);
    }
}

fn any_law() -> impl Strategy<Value = Law> {
    (0..3_u8, 1..40_u32, 1..5_000_u64, 1..40_u32, 0..40_u32).prop_map(
        |(kind, limit, period, burst, debt)| match kind {
            0 => {
                let gcra = Gcra::new(period, period * u64::from(burst));
                Law::Bucket(gcra.with_debt(period * u64::from(debt)))
            }
            1 => Law::Window(Window { limit, period }),
            _ => Law::Fixed(Fixed { limit, period }),
        },
    )
}

/// States as sequences of charges leave them.
fn any_state() -> impl Strategy<Value = (Law, State, u64)> {
    let steps = prop::collection::vec((0..3_000_u64, 0..9_u32, 0..4_u8), 0..30);
    (any_law(), steps, 0..20_000_u64).prop_map(|(law, steps, later)| {
        let (mut state, mut now) = (State::default(), 1);
        for (gap, cost, what) in steps {
            now += gap;
            match what {
                0 => state = law.force(state, now, cost),
                1 => state = law.refund(state, cost),
                _ => {
                    admit(law, &mut state, now, cost);
                }
            }
        }
        (law, state, now + later)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_every_mode_the_promised_wait_is_exact((law, state, now) in any_state(), cost in 1..45_u32) {
        match law.check(state, now, cost) {
            Verdict::Wait { nanos } => {
                let early = law.check(state, now + nanos - 1, cost);
                prop_assert!(matches!(early, Verdict::Wait { nanos: 1 }), "{early:?}");
                prop_assert!(matches!(law.check(state, now + nanos, cost), Verdict::Admit(_)));
            }
            Verdict::Admit(next) => {
                prop_assert_eq!(law.remaining(next, now) + cost, law.remaining(state, now));
            }
            Verdict::Never => {}
        }
    }

    #[test]
    fn in_every_mode_what_remains_is_what_is_admitted((law, state, now) in any_state()) {
        let Standing { remaining, next, reset } = law.standing(state, now);
        prop_assert_eq!(remaining, law.remaining(state, now));
        prop_assert!(matches!(law.check(state, now, remaining), Verdict::Admit(_)));
        prop_assert!(!matches!(law.check(state, now, remaining + 1), Verdict::Admit(_)));
        prop_assert_eq!(law.standing(state, now + reset), law.standing(State::default(), 0));
        if let Verdict::Wait { nanos } = law.check(state, now, remaining + 1) {
            prop_assert_eq!(next, nanos);
        }
    }

    #[test]
    fn a_state_whose_time_has_passed_says_nothing((law, state, now) in any_state(), cost in 0..45_u32) {
        let later = state.until.max(now);
        let fresh = match law.check(State::default(), later, cost) {
            Verdict::Admit(fresh) => Some(fresh),
            _ => None,
        };
        let old = match law.check(state, later, cost) {
            Verdict::Admit(old) => Some(old),
            _ => None,
        };
        prop_assert_eq!(fresh, old);
    }

    #[test]
    fn undoing_at_once_restores_what_was((law, state, now) in any_state(), cost in 1..45_u32) {
        if let Verdict::Admit(charged) = law.check(state, now, cost) {
            let undone = law.undo(charged, now, now, cost);
            prop_assert_eq!(law.standing(undone, now).remaining, law.remaining(state, now));
        }
    }

    #[test]
    fn draining_leaves_nothing_and_force_stops_at_the_debt((law, state, now) in any_state(), cost in 0..90_u32) {
        prop_assert_eq!(law.remaining(law.drain(state, now), now), 0);
        let forced = law.force(state, now, cost);
        prop_assert!(law.remaining(forced, now) <= law.remaining(state, now));
        if let Law::Bucket(gcra) = law {
            prop_assert!(forced.until <= now + gcra.ceiling());
        }
    }

    #[test]
    fn whatever_the_words_say_nobody_waits_longer_than_two_periods(
        law in any_law(), until in any::<u64>(), count in any::<u64>(), now in any::<u64>(), cost in any::<u32>(),
    ) {
        let state = State { until, count };
        if let Verdict::Wait { nanos } = law.check(state, now, cost) {
            prop_assert!(nanos > 0);
        }
        let _ = (law.standing(state, now), law.drain(state, now), law.force(state, now, cost));
        let healed = law.heal(state, now);
        let longest = match law {
            Law::Bucket(gcra) => gcra.ceiling(),
            Law::Window(window) => 2 * window.period,
            Law::Fixed(fixed) => fixed.period,
        };
        prop_assert!(healed.until.saturating_sub(now) <= longest);
    }
}
