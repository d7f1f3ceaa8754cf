use std::time::Duration;

use crate::heritage::Carry;
use crate::limiter::{Limiter, LimiterBuilder};
use crate::moment::Moment;
use crate::policy::Policy;
use crate::quota::Quota;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

fn with(policies: &[(&'static str, u32)]) -> LimiterBuilder {
    let policy = |(name, limit): &(&'static str, u32)| {
        Policy::new(*name, Quota::per(*limit, MINUTE).unwrap())
    };
    Limiter::builder().policies(policies.iter().map(policy))
}

fn spend(limiter: &Limiter, key: u64, policy: &str, units: u32, now: Instant) {
    let set = limiter.set(&[policy]).unwrap();
    assert!(limiter.check_n(key, &set, units, now).is_allowed());
}

fn left(limiter: &Limiter, key: u64, policy: &str, now: Instant) -> u32 {
    limiter.peek(key, &limiter.set(&[policy]).unwrap(), now).remaining()
}

fn follow(builder: LimiterBuilder, before: &Limiter, now: Instant) -> Limiter {
    let after = builder.after(before.clone(), Carry::Share).build().unwrap();
    after.shared().begin(Moment::from(now).nanos());
    after
}

fn finish(limiter: &Limiter, now: Instant) {
    limiter.shared().finish(Moment::from(now).nanos());
}

#[test]
fn the_share_stays_whether_a_key_comes_before_or_after_all_are_brought_over() {
    let (old, now) =
        (with(&[("a", 100), ("gone", 10), ("b", 50)]).build().unwrap(), Instant::now());
    for key in [1, 2] {
        spend(&old, key, "a", 80, now);
        spend(&old, key, "b", 20, now);
        spend(&old, key, "gone", 10, now);
    }
    let new = follow(with(&[("b", 100), ("a", 50), ("fresh", 5)]), &old, now);
    let expect = |key| {
        let each = ["a", "b", "fresh"].map(|name| left(&new, key, name, now));
        assert_eq!(each, [10, 60, 5], "{key}");
    };
    expect(1);
    spend(&new, 1, "a", 4, now);
    finish(&new, now);
    expect(2);
    assert_eq!(left(&new, 1, "a", now), 6, "what was spent since is not brought over again");
    assert!(new.shared().heritage.past.read().is_none(), "the old table is let go");
    assert!(old.shared().heritage.has_left());
}

#[test]
fn a_chain_of_changes_forgives_nobody() {
    let now = Instant::now();
    let mut limiter = with(&[("a", 7)]).max_keys(1).build().unwrap();
    // More than there are slots: the sketch has to be taken over as well.
    for key in 0..200 {
        let set = limiter.set(&["a"]).unwrap();
        while limiter.check(key, &set, now).is_allowed() {}
    }
    for (round, limit) in [100, 3, 1_000, 7].into_iter().enumerate() {
        limiter = follow(with(&[("a", limit)]).max_keys(1 + round * 50), &limiter, now);
        if round % 2 == 0 {
            finish(&limiter, now);
        }
        let set = limiter.set(&["a"]).unwrap();
        for key in (0..200).filter(|key| key % 4 != round as u64) {
            assert!(!limiter.check(key, &set, now).is_allowed(), "{round}: {key}");
        }
    }
    let set = limiter.set(&["a"]).unwrap();
    let refilled = now + MINUTE;
    assert!((0..200).all(|key| limiter.check(key, &set, refilled).is_allowed()));
    finish(&limiter, now + 2 * MINUTE);
    assert!(limiter.shared().heritage.past.read().is_none());
}

#[test]
fn an_old_table_that_was_too_full_is_let_go_when_it_has_nothing_to_say() {
    let (old, now) = (with(&[("a", 10)]).max_keys(1).build().unwrap(), Instant::now());
    let set = old.set(&["a"]).unwrap();
    for key in 0..100 {
        while old.check(key, &set, now).is_allowed() {}
    }
    let new = follow(with(&[("a", 20)]), &old, now);
    finish(&new, now);
    assert!(new.shared().heritage.past.read().is_some());
    assert!((0..100).all(|key| left(&new, key, "a", now) == 0));
    assert_eq!(left(&new, 1, "a", now + 3 * MINUTE), 20);
    assert!(new.shared().heritage.past.read().is_none());
}

#[test]
fn a_key_that_becomes_an_exception_keeps_its_share() {
    let (old, now) = (with(&[("a", 100)]).build().unwrap(), Instant::now());
    spend(&old, 1, "a", 60, now);
    let vip = Quota::per(1_000, MINUTE).unwrap();
    let new = follow(with(&[("a", 50)]).exception("a", vip, [1_u64]), &old, now);
    assert_eq!(left(&new, 1, "a", now), 400);
    let back = follow(with(&[("a", 10)]), &new, now);
    assert_eq!(left(&back, 1, "a", now), 4);
}
