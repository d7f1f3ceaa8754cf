use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::gcra::Verdict;
use crate::quota::{Mode, Quota};

const AT: u64 = 1 << 50;

fn spend(quota: Quota, units: u32) -> State {
    quota.law().force(State::default(), AT, units)
}

fn left(from: Quota, spent: u32, to: Quota) -> u32 {
    to.law().remaining(from.law().carry(spend(from, spent), &to.law(), AT, Carry::Share), AT)
}

fn per(limit: u32) -> Quota {
    Quota::per(limit, Duration::from_secs(60)).unwrap()
}

#[test]
fn the_share_stays_when_a_limit_is_halved_or_doubled() {
    assert_eq!(left(per(100), 80, per(50)), 10);
    assert_eq!(left(per(50), 40, per(100)), 20);
    for mode in [Mode::Smooth, Mode::Strict, Mode::Window, Mode::Fixed] {
        let (from, to) = (per(100).in_mode(mode).unwrap(), per(1_000));
        assert_eq!(left(from, from.burst() * 3 / 5, to), 400, "{mode:?}");
        assert_eq!(
            left(per(100), 60, per(1_000).in_mode(mode).unwrap()),
            to.in_mode(mode).unwrap().burst() * 2 / 5
        );
    }
}

#[test]
fn the_units_stay_that_were_spent_if_that_was_asked_for() {
    let left = |from: Quota, spent: u32, to: Quota| {
        let state = from.law().carry(spend(from, spent), &to.law(), AT, Carry::Units);
        (to.law().remaining(state, AT), to.law().standing(state, AT).next)
    };
    for mode in [Mode::Smooth, Mode::Window, Mode::Fixed] {
        let (fifty, hundred) = (per(50).in_mode(mode).unwrap(), per(100).in_mode(mode).unwrap());
        assert_eq!(left(fifty, 40, hundred).0, 60, "{mode:?}");
        assert_eq!(left(fifty, 50, hundred).0, 50, "{mode:?}");
        assert_eq!(left(hundred, 20, fifty).0, 30, "{mode:?}");
        assert_eq!(left(hundred, 80, fifty).0, 0, "{mode:?}");
    }
    // 80 of 50: what is above is debt, as far as there is any, and refills before a unit is left.
    let unit = 60_000_000_000 / 50;
    assert_eq!(left(per(100), 80, per(50).with_debt(30).unwrap()), (0, 31 * unit));
    assert_eq!(left(per(100), 80, per(50)), (0, unit));
}

#[test]
fn debt_stays_in_proportion_as_far_as_there_is_any() {
    let owing = per(100).with_debt(50).unwrap();
    let state = owing.law().carry(
        spend(owing, 150),
        &per(10).with_debt(10).unwrap().law(),
        AT,
        Carry::Share,
    );
    assert_eq!(state.until - AT, 15 * 6_000_000_000);
    let state = owing.law().carry(spend(owing, 150), &per(10).law(), AT, Carry::Share);
    assert_eq!(state.until - AT, 10 * 6_000_000_000);
}

fn quotas() -> impl Strategy<Value = Quota> {
    let mode = prop::sample::select(vec![Mode::Smooth, Mode::Strict, Mode::Window, Mode::Fixed]);
    (1_u32..2_000, 1_u64..100_000, mode).prop_map(|(limit, seconds, mode)| {
        Quota::per(limit, Duration::from_secs(seconds)).unwrap().in_mode(mode).unwrap()
    })
}

proptest! {
    #[test]
    fn no_more_of_the_new_quota_is_free_than_was_of_the_old(
        from in quotas(), to in quotas(), spent in 0_u32..2_100, later in 0_u64..100_000_000_000_000,
    ) {
        let (old, new) = (from.law(), to.law());
        let (at, state) = (AT + later, spend(from, spent));
        let carried = old.carry(state, &new, at, Carry::Share);
        let (free, burst) = (u128::from(old.remaining(state, at)), u128::from(from.burst()));
        let now_free = u128::from(new.remaining(carried, at));
        // A part of a unit that is free counts in the share: less than one unit of the old.
        prop_assert!(now_free * burst < (free + 1) * u128::from(to.burst()) || now_free == 0 || free == burst);
        if free == 0 {
            let waits = matches!(new.check(carried, at, 1), Verdict::Wait { .. });
            prop_assert!(waits);
        }
        if free == burst && state.until <= at {
            prop_assert_eq!(now_free, u128::from(to.burst()));
        }
        // Nobody waits longer than one who has spent all of the new.
        let all = new.drain(State::default(), at);
        prop_assert!(carried.until <= all.until);
        prop_assert_eq!(old.carry(state, &old, at, Carry::Share), state);
    }

    #[test]
    fn who_spent_more_has_no_more_left(
        from in quotas(), to in quotas(), less in 0_u32..2_000, more in 0_u32..2_000,
    ) {
        let (less, more) = (less.min(more), less.max(more));
        prop_assert!(left(from, more, to) <= left(from, less, to));
    }
}
