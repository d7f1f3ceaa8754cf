use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::quota::{Mode, Quota};

const MINUTE: Duration = Duration::from_secs(60);

fn limiter() -> (Limiter, PolicySet, Instant) {
    let limiter = Limiter::builder()
        .policy(Policy::new("short", Quota::per(5, Duration::from_secs(5)).unwrap()))
        .policy(Policy::new("long", Quota::per(8, MINUTE).unwrap()))
        .build()
        .unwrap();
    let set = limiter.set(&["short", "long"]).unwrap();
    (limiter, set, Instant::now())
}

#[test]
fn looking_twice_and_checking_see_the_same_quota() {
    let (limiter, set, now) = limiter();
    let _ = limiter.check("a", &set, now);
    assert_eq!(limiter.peek("a", &set, now).remaining(), 4);
    assert_eq!(limiter.peek("a", &set, now).remaining(), 4);
    assert_eq!(limiter.check("a", &set, now).remaining(), 3);
}

#[test]
fn looking_makes_no_entry() {
    let (limiter, set, now) = limiter();
    assert!(limiter.peek("a", &set, now).is_allowed());
    assert_eq!(limiter.live_keys(now), 0);
    let _ = limiter.check("a", &set, now);
    assert_eq!(limiter.live_keys(now), 1);
    assert_eq!(limiter.live_keys(now + MINUTE), 0);
}

#[test]
fn a_cost_above_what_is_left_takes_nothing() {
    let (limiter, set, now) = limiter();
    assert!(limiter.check_n("a", &set, 2, now).is_allowed());
    let rejected = limiter.check_n("a", &set, 4, now);
    assert!(!rejected.is_allowed());
    assert_eq!((rejected.policy(), rejected.remaining()), ("short", 3));
    assert_eq!(rejected.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(limiter.peek("a", &set, now).remaining(), 3);
}

#[test]
fn a_cost_above_the_burst_is_told_apart_and_takes_nothing() {
    let (limiter, set, now) = limiter();
    let decision = limiter.check_n("a", &set, 6, now);
    assert!(decision.is_too_large() && !decision.is_allowed());
    assert_eq!(decision.retry_after(), None);
    assert_eq!(limiter.live_keys(now), 0);
}

#[test]
fn a_cost_of_nothing_passes_even_when_spent() {
    let (limiter, set, now) = limiter();
    assert!(limiter.check_n("a", &set, 5, now).is_allowed());
    assert!(limiter.check_n("a", &set, 0, now).is_allowed());
    assert!(limiter.check_n("b", &set, 0, now).is_allowed());
    assert_eq!(limiter.live_keys(now), 1);
}

#[test]
fn a_refund_restores_and_never_overfills() {
    let (limiter, set, now) = limiter();
    let _ = limiter.check_n("a", &set, 3, now);
    limiter.refund("a", &set, 2);
    assert_eq!(limiter.peek("a", &set, now).remaining(), 4);
    limiter.refund("a", &set, 100);
    limiter.refund("nobody", &set, 100);
    assert_eq!(limiter.peek("a", &set, now).remaining(), 5);
    let passed = (0..20).filter(|_| limiter.check("a", &set, now).is_allowed()).count();
    assert_eq!(passed, 5);
}

#[test]
fn a_refund_after_the_window_passed_gives_nothing() {
    let (limiter, set, now) = limiter();
    let _ = limiter.check_n("a", &set, 5, now);
    let later = now + 2 * MINUTE;
    limiter.refund("a", &set, 5);
    let passed = (0..20).filter(|_| limiter.check("a", &set, later).is_allowed()).count();
    assert_eq!(passed, 5);
}

#[test]
fn keys_and_kinds_of_keys_do_not_share() {
    let (limiter, set, now) = limiter();
    let bytes: &[u8] = b"7";
    let seven: std::net::IpAddr = "0.0.0.7".parse().unwrap();
    for key in [Key::Text("7"), Key::Number(7), Key::Bytes(bytes), Key::Ip(seven), Key::Unknown] {
        assert_eq!(limiter.check(key, &set, now).remaining(), 4, "{key:?}");
    }
}

#[test]
fn a_clock_set_forward_and_back_blocks_no_longer_than_a_refill() {
    let (limiter, set, now) = limiter();
    let year = now + Duration::from_secs(365 * 24 * 3_600);
    assert!(limiter.check_n("a", &set, 5, year).is_allowed());
    assert!(!limiter.check("a", &set, now).is_allowed());
    assert!(limiter.check_n("a", &set, 5, now + MINUTE).is_allowed());
    let before = now.checked_sub(Duration::from_secs(600)).unwrap_or(now);
    let _ = limiter.check("a", &set, before);
}

#[test]
fn a_set_decides_where_it_was_made() {
    let (one, set, now) = limiter();
    let (other, _, _) = limiter();
    let _ = other.check_n("a", &set, 5, now);
    assert!(!one.check("a", &set, now).is_allowed());
}

#[test]
fn the_same_key_lands_elsewhere_in_another_limiter() {
    let (one, _, _) = limiter();
    let (other, _, _) = limiter();
    let hash = |limiter: &Limiter, number: u64| limiter.inner.hash(Key::Number(number));
    assert_eq!(hash(&one, 1), hash(&one.clone(), 1));
    assert!((0..100).all(|number| hash(&one, number) != hash(&other, number)));
}

#[test]
fn names_are_checked_when_they_are_looked_up() {
    let (limiter, _, _) = limiter();
    assert_eq!(
        limiter.set(&["short", "nope"]).unwrap_err(),
        Error::UnknownPolicy { name: "nope".into() }
    );
    assert!(matches!(limiter.set::<&str>(&[]).unwrap_err(), Error::Empty { .. }));
    let set = limiter.set(&["long", "short", "long"]).unwrap();
    assert_eq!(set.names().collect::<Vec<_>>(), ["long", "short"]);
}

#[test]
fn a_builder_refuses_what_it_cannot_keep() {
    let quota = Quota::per(1, MINUTE).unwrap();
    let build = |names: &[&'static str]| {
        Limiter::builder()
            .policies(names.iter().map(|name| Policy::new(*name, quota)))
            .build()
            .map(|_| ())
    };
    assert_eq!(build(&["a", "b"]), Ok(()));
    assert!(matches!(build(&[]), Err(Error::Empty { .. })));
    assert!(matches!(build(&["a", "a"]), Err(Error::DuplicatePolicy { .. })));
    assert!(matches!(build(&["a\"b"]), Err(Error::PolicyName { .. })));
    assert!(matches!(build(&[""]), Err(Error::PolicyName { .. })));
    let many: Vec<String> = (0..17).map(|number| format!("p{number}")).collect();
    let many =
        Limiter::builder().policies(many.into_iter().map(|name| Policy::new(name, quota))).build();
    assert_eq!(
        many.unwrap_err(),
        Error::OutOfRange { field: "policies", value: 17, min: 1, max: 16 }
    );
    let empty = Limiter::builder().policy(Policy::new("a", quota)).max_keys(0).build();
    assert!(matches!(empty, Err(Error::OutOfRange { field: "max_keys", .. })));
}

#[test]
fn quotas_past_what_can_be_counted_are_refused() {
    assert!(matches!(Quota::per(0, MINUTE), Err(Error::OutOfRange { field: "limit", .. })));
    assert!(matches!(Quota::per(1, Duration::ZERO), Err(Error::TooFast { .. })));
    assert!(matches!(Quota::per(1_001, Duration::from_micros(1)), Err(Error::TooFast { .. })));
    assert!(matches!(Quota::per(1, Duration::MAX), Err(Error::TooSlow { .. })));
    let month = Quota::per(1, Duration::from_secs(30 * 86_400)).unwrap();
    assert!(matches!(month.with_burst(1 << 31), Err(Error::TooSlow { .. })));
    assert!(matches!(month.with_burst(0), Err(Error::OutOfRange { field: "burst", .. })));
    assert!(month.with_burst(1_000).is_ok());
}

#[test]
fn asking_for_more_than_is_left_leaves_nothing_if_told_to() {
    let (limiter, set, now) = limiter();
    assert!(limiter.check_or_drain("a", &set, 2, now).is_allowed());
    let rejected = limiter.check_or_drain("a", &set, 5, now);
    assert_eq!((rejected.is_allowed(), rejected.remaining()), (false, 0));
    assert_eq!(limiter.peek("a", &set, now).remaining(), 0);
    assert_eq!(rejected.retry_after(), Some(Duration::from_millis(37_500)), "for five");
}

#[test]
fn a_drained_key_is_empty_in_every_policy_and_no_other_key_is() {
    let (limiter, set, now) = limiter();
    let drained = limiter.drain("a", &set, now);
    assert_eq!(drained.violated().collect::<Vec<_>>(), ["short", "long"]);
    assert_eq!(drained.retry_after(), Some(Duration::from_millis(7_500)));
    assert_eq!(limiter.drain("a", &set, now).retry_after(), drained.retry_after());
    assert_eq!(limiter.peek("b", &set, now).remaining(), 5);
    assert!(limiter.check("a", &set, now + Duration::from_millis(7_500)).is_allowed());
}

#[test]
fn a_charge_after_the_fact_goes_into_debt_as_far_as_that_goes() {
    let quota = Quota::per(60, MINUTE).unwrap().with_debt(30).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let (set, now) = (limiter.set(&["p"]).unwrap(), Instant::now());
    assert!(limiter.charge("a", &set, 40, now).is_allowed());
    let owing = limiter.charge("a", &set, 40, now);
    assert_eq!((owing.is_allowed(), owing.remaining()), (false, 0));
    assert_eq!(owing.retry_after(), Some(Duration::from_secs(21)));
    assert_eq!(limiter.charge("a", &set, u32::MAX, now).reset(), Duration::from_secs(90));
    let later = now + Duration::from_secs(30);
    assert!(!limiter.check("a", &set, later).is_allowed());
    assert!(limiter.check("a", &set, later + Duration::from_secs(1)).is_allowed());
    assert!(matches!(quota.in_mode(Mode::Fixed), Err(Error::OutOfRange { field: "debt", .. })));
}

#[test]
fn a_key_in_the_overflow_is_told_so() {
    let quota = Quota::fixed(2, MINUTE).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).max_keys(1).build().unwrap();
    let (set, now) = (limiter.set(&["p"]).unwrap(), Instant::now());
    let saturated =
        (0..1_000_u64).find(|key| limiter.check(*key, &set, now).is_saturated()).unwrap();
    assert!(limiter.peek(saturated, &set, now).is_saturated());
    assert!(!limiter.peek(0_u64, &set, now).is_saturated());
    let load = limiter.table_load(now);
    assert!(load.live <= load.slots && load.live >= 8 && load.collision > 0.0, "{load:?}");
    // It is strict there, and kept strict when it finds a slot of its own.
    let _ = limiter.check_n(saturated, &set, 1, now);
    assert!(!limiter.check(saturated, &set, now).is_allowed());
    assert!(limiter.check(saturated, &set, now + MINUTE).is_allowed());
}

#[test]
fn a_charge_of_one_mode_does_not_touch_the_counts_of_another() {
    let modes = [Mode::Fixed, Mode::Smooth, Mode::Window, Mode::Strict];
    let quota = |mode| Quota::per(10, MINUTE).unwrap().in_mode(mode).unwrap();
    let names = ["fixed", "smooth", "window", "strict"];
    let policies = names.iter().zip(modes).map(|(name, mode)| Policy::new(*name, quota(mode)));
    let limiter = Limiter::builder().policies(policies).build().unwrap();
    let now = Instant::now();
    for (name, cost) in names.iter().zip(1..) {
        let set = limiter.set(&[name]).unwrap();
        let before = limiter.peek("a", &set, now).remaining();
        let _ = limiter.check_n("a", &set, cost.min(2), now);
        assert_eq!(limiter.peek("a", &set, now).remaining(), before - cost.min(2), "{name}");
    }
    let all = limiter.set(&names).unwrap();
    assert_eq!((limiter.peek("a", &all, now).policy(), limiter.live_keys(now)), ("strict", 1));
}

#[test]
fn keys_that_differ_in_a_few_bits_do_not_crowd_a_bucket() {
    let quota = Quota::per(1, MINUTE).unwrap();
    let crafted: [fn(u64) -> u64; 3] =
        [|number| number << 48, |number| number << 24, |number| number.swap_bytes()];
    for craft in crafted {
        let limiter =
            Limiter::builder().policy(Policy::new("p", quota)).max_keys(20_000).build().unwrap();
        let (set, now) = (limiter.set(&["p"]).unwrap(), Instant::now());
        let shared =
            (0..20_000).filter(|key| limiter.check(craft(*key), &set, now).is_saturated()).count();
        assert!(shared <= 20, "{shared} of 20000 share");
        assert!((0..20_000).all(|key| !limiter.check(craft(key), &set, now).is_allowed()));
    }
}
