use super::*;
use crate::quota::Quota;

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
