use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::heritage::Carry;
use crate::key::Key;
use crate::limiter::{Limiter, LimiterBuilder};
use crate::moment::Moment;
use crate::policy::Policy;
use crate::quota::Quota;
use crate::set::PolicySet;
use crate::share::Share;

const MINUTE: Duration = Duration::from_secs(60);

fn quota(limit: u32) -> Quota {
    Quota::per(limit, MINUTE).unwrap()
}

fn percent(percent: u8) -> Share {
    Share::percent(percent).unwrap()
}

fn limiter(policies: impl IntoIterator<Item = Policy>) -> Limiter {
    Limiter::builder().policies(policies).max_keys(2_000).build().unwrap()
}

/// How many of `times` requests at once pass.
fn passes(limiter: &Limiter, set: &PolicySet, key: u64, times: u32, now: Instant) -> u32 {
    (0..times).filter(|_| limiter.check(key, set, now).is_allowed()).count() as u32
}

/// A request of a key, so many milliseconds after the one before, to one of three sets.
fn trace() -> impl Strategy<Value = Vec<(u64, u64, u32, usize)>> {
    prop::collection::vec((0..4_u64, 0..4_000_u64, 0..4_u32, 0..3_usize), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Beside the live one, which decides as if there were no trial, the twin decides as the
    /// limiter would after it: for several policies in one decision, and several subjects.
    #[test]
    fn the_twin_refuses_what_an_enforcing_limiter_would_and_the_live_one_is_as_without_it(
        trace in trace(),
    ) {
        let strict = Quota::strict(6, MINUTE).unwrap();
        let policies = || [Policy::new("a", quota(5)), Policy::new("b", quota(9))];
        let new = Policy::new("new", Quota::window(7, MINUTE).unwrap());
        let [a, b] = policies();
        let tried = limiter([a.clone().candidate(strict, Share::NONE), b.clone(), new.clone().shadow()]);
        let before = limiter(policies());
        let after = limiter([Policy::new("a", strict), b, new]);
        let sets = |limiter: &Limiter, all: &[&[&str]]| -> Vec<PolicySet> {
            all.iter().map(|names| limiter.set(names).unwrap()).collect()
        };
        let with_new: [&[&str]; 3] = [&["a", "b", "new"], &["a"], &["b", "new"]];
        let without: [&[&str]; 3] = [&["a", "b"], &["a"], &["b"]];
        let (tried_sets, before_sets, after_sets) =
            (sets(&tried, &with_new), sets(&before, &without), sets(&after, &with_new));
        let totals = [&tried, &before, &after].map(|limiter| limiter.set(&["b"]).unwrap());

        let mut now = Instant::now();
        let mut expected = [0_u64; 4];
        for (key, pause, cost, which) in trace {
            now += Duration::from_millis(pause);
            let check = |limiter: &Limiter, sets: &[PolicySet], total: &PolicySet| {
                if key == 3 {
                    // Two subjects at once.
                    let subjects = [(Key::Number(0), &sets[which]), (Key::Text("all"), total)];
                    return limiter.check_joint(subjects, cost, now).is_allowed();
                }
                limiter.check_n(key, &sets[which], cost, now).is_allowed()
            };
            let live = check(&tried, &tried_sets, &totals[0]);
            prop_assert_eq!(live, check(&before, &before_sets, &totals[1]));
            let shadow = check(&after, &after_sets, &totals[2]);
            expected[usize::from(!live) * 2 + usize::from(!shadow)] += 1;
            let told = tried.shadow().unwrap().requests;
            let told = [
                told.both_admit, told.only_shadow_refuses, told.only_live_refuses, told.both_refuse,
            ];
            prop_assert_eq!(told, expected);
        }
    }

    /// Refunds, forced charges, penalties and reservations are the twin's as well.
    #[test]
    fn the_twin_spends_in_every_way_that_the_live_one_does(
        trace in prop::collection::vec((0..2_u64, 0..3_000_u64, 1..4_u32, 0..6_u8), 1..60),
    ) {
        let lax = Quota::per(1_000, MINUTE).unwrap();
        let tight = quota(5).with_debt(3).unwrap();
        let tried = limiter([Policy::new("a", lax).candidate(tight, Share::NONE)]);
        let after = limiter([Policy::new("a", tight)]);
        let [tried_set, after_set] = [&tried, &after].map(|limiter| limiter.set(&["a"]).unwrap());
        let mut now = Instant::now();
        for (key, pause, cost, what) in trace {
            now += Duration::from_millis(pause);
            for (limiter, set) in [(&tried, &tried_set), (&after, &after_set)] {
                match what {
                    0 => limiter.refund(key, set, cost),
                    1 => drop(limiter.charge(key, set, cost, now)),
                    2 => drop(limiter.drain(key, set, now)),
                    3 => {
                        if let Ok(it) = limiter.reserve(key, set, cost, now) {
                            it.settle(cost / 2, now);
                        }
                    }
                    4 => {
                        if let Ok(it) = limiter.admit(key, set, now) {
                            it.settle(cost, now);
                        }
                    }
                    _ => drop(limiter.check_or_drain(key, set, cost, now)),
                }
            }
            let twin = tried.inner_twin();
            let twin_set = twin.set(&["a"]).unwrap();
            prop_assert_eq!(
                twin.peek(key, &twin_set, now).reset(),
                after.peek(key, &after_set, now).reset()
            );
        }
    }

    /// One side for each key; a larger share keeps all keys of a smaller one; the share is told.
    #[test]
    fn a_key_is_on_one_side_and_stays_there_as_the_share_grows(
        seed: u64, small in 0..=100_u8, more in 0..=100_u8,
    ) {
        let large = small.saturating_add(more).min(100);
        let enforced = |share: u8| {
            let policy = Policy::new("a", quota(1)).enforced(percent(share));
            let limiter = Limiter::builder().policy(policy).share_seed(seed).max_keys(2_000).build().unwrap();
            let set = limiter.set(&["a"]).unwrap();
            let now = Instant::now();
            (0..500_u64).map(|key| passes(&limiter, &set, key, 2, now) == 1).collect::<Vec<_>>()
        };
        let (few, many) = (enforced(small), enforced(large));
        prop_assert_eq!(&few, &enforced(small));
        prop_assert!(few.iter().zip(&many).all(|(few, many)| !few || *many));
        let share = many.iter().filter(|is| **is).count() as f64 / 500.0 * 100.0;
        // Six standard deviations of 500 fair draws.
        prop_assert!((share - f64::from(large)).abs() <= 13.5, "{share} of {large}");
    }
}

impl Limiter {
    fn inner_twin(&self) -> &Self {
        self.shared().twin.as_ref().unwrap().limiter()
    }
}

#[test]
fn a_shadowed_policy_refuses_nobody_and_says_nothing_of_itself() {
    let limiter = limiter([Policy::new("a", quota(2)).shadow(), Policy::new("b", quota(50))]);
    let (alone, both) = (limiter.set(&["a"]).unwrap(), limiter.set(&["a", "b"]).unwrap());
    let now = Instant::now();
    assert_eq!(passes(&limiter, &alone, 1, 10, now), 10);
    let decision = limiter.check(1, &alone, now);
    assert!(decision.is_allowed() && !decision.is_enforced());
    assert_eq!((decision.policy(), decision.remaining(), decision.limit()), ("a", 2, 2));
    assert_eq!((decision.reset(), decision.violated().count()), (Duration::ZERO, 0));
    let decision = limiter.check(2, &both, now);
    assert!(decision.is_enforced());
    assert_eq!((decision.policy(), decision.remaining()), ("b", 49));
    assert_eq!(both.names().collect::<Vec<_>>(), ["a", "b"]);

    let stats = limiter.shadow().unwrap();
    let of = |index: usize| {
        let it = stats.policies[index].difference;
        [it.both_admit, it.only_shadow_refuses, it.only_live_refuses, it.both_refuse]
    };
    assert_eq!((of(0), of(1)), ([3, 9, 0, 0], [1, 0, 0, 0]));
    assert_eq!((stats.policies[0].enforced, stats.policies[1].enforced), (0, 1));
    assert_eq!(stats.policies[0].share, Share::NONE);
}

#[test]
fn a_laxer_candidate_shows_whom_it_would_let_pass() {
    let limiter = limiter([Policy::new("a", quota(2)).candidate(quota(4), Share::NONE)]);
    let set = limiter.set(&["a"]).unwrap();
    assert_eq!(passes(&limiter, &set, 1, 6, Instant::now()), 2);
    let stats = limiter.shadow().unwrap();
    assert_eq!(stats.policies[0].difference, stats.requests);
    let it = stats.requests;
    assert_eq!(
        [it.both_admit, it.only_shadow_refuses, it.only_live_refuses, it.both_refuse],
        [2, 0, 2, 2]
    );
    assert_eq!(stats.policies[0].candidate, Some(quota(4)));
}

#[test]
fn a_candidate_is_in_force_for_its_share_and_exceptions_keep_their_own() {
    let policy = Policy::new("a", quota(10)).candidate(quota(3), percent(50));
    let limiter =
        Limiter::builder().policy(policy).exception("a", quota(7), [1_u64]).build().unwrap();
    let set = limiter.set(&["a"]).unwrap();
    let now = Instant::now();
    assert_eq!(passes(&limiter, &set, 1, 20, now), 7);
    let admitted: Vec<u32> = (2..202).map(|key| passes(&limiter, &set, key, 20, now)).collect();
    assert!(admitted.iter().all(|count| [3, 10].contains(count)));
    let tried = admitted.iter().filter(|count| **count == 3).count();
    assert!((60..=140).contains(&tried), "{tried}");
    let stats = limiter.shadow().unwrap();
    assert_eq!(stats.policies[0].enforced, 201 * 20);
    // The twin has the candidate for all but the exception.
    assert_eq!(stats.requests.only_shadow_refuses, (200 - tried as u64) * 7);
    assert_eq!(stats.requests.only_live_refuses, 0);
}

#[test]
fn two_policies_do_not_try_themselves_on_the_same_keys_first() {
    let limiter = limiter(["a", "b"].map(|name| Policy::new(name, quota(1)).enforced(percent(30))));
    let now = Instant::now();
    let sides: Vec<[bool; 2]> = (0..1_000_u64)
        .map(|key| {
            ["a", "b"].map(|name| {
                let set = limiter.set(&[name]).unwrap();
                passes(&limiter, &set, key, 2, now) == 1
            })
        })
        .collect();
    let both = sides.iter().filter(|sides| **sides == [true, true]).count();
    // 90 if they are independent, 300 if they are the same.
    assert!((45..=145).contains(&both), "{both}");
}

#[test]
fn what_cannot_be_tried_is_refused_by_name() {
    let refused = |builder: LimiterBuilder| builder.build().unwrap_err().to_string();
    let both = Policy::new("a", quota(1)).candidate(quota(2), Share::NONE).enforced(percent(5));
    assert_eq!(
        refused(Limiter::builder().policy(both)),
        "policy \"a\" has a candidate, so enforced must be 100"
    );
    let partial = |index: u32| Policy::new(format!("p{index}"), quota(1)).enforced(percent(50));
    assert_eq!(
        refused(Limiter::builder().policies((0..5).map(partial))),
        "policies enforced in part is 5, but must be within 0..=4"
    );
    let tried =
        |index: u32| Policy::new(format!("p{index}"), quota(1)).candidate(quota(2), Share::ALL);
    assert_eq!(
        refused(Limiter::builder().policies((0..9).map(tried))),
        "policies is 18, but must be within 1..=16"
    );
}

fn follow(builder: LimiterBuilder, before: &Limiter, now: Instant) -> Limiter {
    let after = builder.after(before.clone(), Carry::Share).build().unwrap();
    let now = Moment::from(now).nanos();
    after.shared().begin(now);
    after.shared().finish(now);
    after
}

#[test]
fn a_share_that_grows_takes_over_what_its_new_keys_spent_in_the_shadow() {
    let now = Instant::now();
    let with =
        |share: u8| Limiter::builder().policy(Policy::new("a", quota(10)).enforced(percent(share)));
    let old = with(30).build().unwrap();
    let set = old.set(&["a"]).unwrap();
    for key in 0..200 {
        assert!(old.check_n(key, &set, 6, now).is_allowed());
    }
    let new = follow(with(70), &old, now);
    let all = follow(with(100), &new, now);
    assert!(new.shadow().is_some() && all.shadow().is_none());
    let set = all.set(&["a"]).unwrap();
    for key in 0..200_u64 {
        assert_eq!(all.peek(key, &set, now).remaining(), 4, "{key}");
    }
    // And back: the twin goes on from what is in force.
    let back = follow(with(0), &all, now);
    let set = back.set(&["a"]).unwrap();
    assert_eq!(passes(&back, &set, 3, 20, now), 20);
    assert_eq!(back.shadow().unwrap().requests.both_admit, 4);
}

#[test]
fn a_candidate_that_grows_or_is_taken_in_keeps_the_share_that_was_spent() {
    let now = Instant::now();
    let with = |share: Share| {
        Limiter::builder().policy(Policy::new("a", quota(10)).candidate(quota(100), share))
    };
    let half = with(percent(50)).build().unwrap();
    let set = half.set(&["a"]).unwrap();
    let spent = |limiter: &Limiter, key: u64| {
        let set = limiter.set(&["a"]).unwrap();
        let decision = limiter.peek(key, &set, now);
        (decision.limit() - decision.remaining()) * 100 / decision.limit()
    };
    for key in 0..100_u64 {
        let limit = half.peek(key, &set, now).limit();
        assert!(half.check_n(key, &set, limit / 2, now).is_allowed());
    }
    let more = follow(with(percent(90)), &half, now);
    let taken = follow(Limiter::builder().policy(Policy::new("a", quota(100))), &more, now);
    for key in 0..100_u64 {
        assert_eq!(spent(&half, key), 50, "{key}");
        assert_eq!(spent(&more, key), 50, "{key}");
        assert_eq!(spent(&taken, key), 50, "{key}");
    }
}
