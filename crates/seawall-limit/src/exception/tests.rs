use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::limiter::{Limiter, LimiterBuilder};
use crate::quota::Mode;

const MINUTE: Duration = Duration::from_secs(60);

fn per(limit: u32) -> Quota {
    Quota::per(limit, MINUTE).unwrap()
}

fn builder() -> LimiterBuilder {
    Limiter::builder()
        .policy(Policy::new("api", per(3)).message("Slowly."))
        .policy(Policy::new("all", per(100)))
}

#[test]
fn an_exception_is_charged_in_every_way_and_to_its_keys_only() {
    let window = Quota::window(6, MINUTE).unwrap();
    let limiter = builder()
        .exception("api", per(10), ["vip"])
        .exception("api", window, [7_u64, 8])
        .build()
        .unwrap();
    let (set, now) = (limiter.set(&["api", "all"]).unwrap(), Instant::now());
    let passed =
        |key: Key<'static>| (0..20).filter(|_| limiter.check(key, &set, now).is_allowed()).count();
    assert_eq!(passed(Key::Text("vip")), 10);
    assert_eq!(passed(Key::Number(7)), 6);
    assert_eq!(passed(Key::Text("7")), 3);
    let rejected = limiter.check("vip", &set, now);
    assert_eq!((rejected.policy(), rejected.message(), rejected.limit()), ("api", "Slowly.", 10));
    assert_eq!(rejected.violated().collect::<Vec<_>>(), ["api"]);

    limiter.refund("vip", &set, 4);
    assert_eq!(limiter.peek("vip", &set, now).remaining(), 4);
    let _ = limiter.charge("vip", &set, 1, now);
    limiter.reserve("vip", &set, 3, now).unwrap().settle(1, now);
    assert_eq!(limiter.peek("vip", &set, now).remaining(), 2);
    limiter.admit("vip", &set, now).unwrap().settle(1, now);
    let joint = limiter.check_joint([("vip".into(), &set)], 1, now);
    assert_eq!(joint.named().map(crate::Decision::remaining), Some(0));
    assert_eq!(limiter.drain(8_u64, &set, now).limit(), 6);
    assert!(!limiter.check(8_u64, &set, now).is_allowed());
    assert_eq!(limiter.policies().len(), 2);
}

#[test]
fn an_exception_in_a_full_table_is_strict_and_never_lax() {
    let quota = Quota::fixed(50, MINUTE).unwrap();
    let limiter =
        builder().exception("api", quota, (0..2_000_u64).collect::<Vec<_>>()).max_keys(1).build();
    let limiter = limiter.unwrap();
    let (set, now) = (limiter.set(&["api"]).unwrap(), Instant::now());
    for key in 0..2_000_u64 {
        let passed = (0..60).filter(|_| limiter.check(key, &set, now).is_allowed()).count();
        assert!(passed <= 50, "{key}: {passed}");
    }
    assert_eq!(limiter.check(5_000_u64, &set, now).limit(), 3);
}

#[test]
fn exceptions_that_cannot_be_kept_are_refused_without_their_keys() {
    let build = |builder: LimiterBuilder| builder.build().map(drop).unwrap_err();
    assert_eq!(
        build(builder().exception("nope", per(1), ["k"])),
        Error::UnknownPolicy { name: "nope".into() }
    );
    assert!(matches!(
        build(builder().exception("api", per(1), [""; 0])),
        Error::Empty { what: "an exception", .. }
    ));
    let twice = builder().exception("api", per(1), ["sesame"]).exception("api", per(2), ["sesame"]);
    assert!(!format!("{twice:?}").contains("sesame"));
    let error = build(twice);
    assert_eq!(error, Error::DuplicateException { policy: "api".into() });
    let one_each = builder().exception("api", per(1), ["k"]).exception("all", per(2), ["k"]);
    assert!(one_each.build().is_ok());
    let many = (0..15_u64).fold(builder(), |builder, key| builder.exception("api", per(1), [key]));
    assert!(matches!(build(many), Error::OutOfRange { field: "policies", value: 17, .. }));
}

#[test]
fn a_set_without_the_policy_has_no_exception() {
    let quota = per(9).in_mode(Mode::Strict).unwrap();
    let limiter = builder().exception("api", quota, ["k"]).build().unwrap();
    let (all, now) = (limiter.set(&["all"]).unwrap(), Instant::now());
    assert_eq!(limiter.check("k", &all, now).limit(), 100);
}
