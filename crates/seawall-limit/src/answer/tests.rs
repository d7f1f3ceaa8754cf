use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::limiter::Limiter;
use crate::quota::Quota;

fn policy(name: &'static str, limit: u32, period: Duration) -> Policy {
    Policy::new(name, Quota::per(limit, period).unwrap())
}

fn fields(decision: &Decision<'_>) -> [String; 2] {
    let Fields { policies, state } = Fields::of(decision);
    [policies, state].map(|value| value.unwrap().to_str().unwrap().to_owned())
}

#[test]
fn fields_are_the_drafts_lists() {
    let limiter = Limiter::builder()
        .policy(policy("bids", 50, Duration::from_secs(60)))
        .policy(policy("api", 5_000, Duration::from_secs(900)))
        .build()
        .unwrap();
    let set = limiter.set(&["bids", "api"]).unwrap();
    let now = Instant::now();
    let admitted = limiter.check_n("a", &set, 40, now);
    assert_eq!(
        fields(&admitted),
        ["\"bids\";q=50;w=60, \"api\";q=5000;w=900", "\"bids\";r=10;t=12"]
    );
    let last = limiter.check_n("a", &set, 10, now);
    assert_eq!(fields(&last)[1], "\"bids\";r=0;t=2");
    let rejected = limiter.check_n("a", &set, 10, now);
    assert_eq!(fields(&rejected)[1], "\"bids\";r=0;t=12");
}

#[test]
fn a_burst_above_the_limit_is_not_advertised_beyond_it() {
    let quota = Quota::per(5, Duration::from_secs(5)).unwrap().with_burst(100).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    assert_eq!(fields(&limiter.check("a", &set, Instant::now()))[1], "\"p\";r=5;t=5");
}

#[test]
fn a_period_that_is_not_whole_seconds_goes_unsaid() {
    let limiter =
        Limiter::builder().policy(policy("p", 5, Duration::from_millis(1_500))).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    assert_eq!(fields(&limiter.check("a", &set, Instant::now()))[0], "\"p\";q=5");
}

#[test]
fn the_longest_name_and_the_largest_numbers_fit() {
    let name = "n".repeat(64);
    let quota = Quota::per(1, Duration::from_secs(4_000_000_000)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new(name.clone(), quota)).build().unwrap();
    let set = limiter.set(&[name.as_str()]).unwrap();
    let now = Instant::now();
    let _ = limiter.check("a", &set, now);
    let [policies, state] = fields(&limiter.check("a", &set, now));
    assert_eq!(policies, format!("\"{name}\";q=1;w=4000000000"));
    assert_eq!(state, format!("\"{name}\";r=0;t=4000000000"));
}

#[test]
fn seconds_round_up_and_are_never_zero() {
    assert_eq!([0, 1, 999_999_999, 1_000_000_000, 1_000_000_001].map(seconds), [1, 1, 1, 1, 2]);
}

#[test]
fn messages_of_any_kind_stay_json() {
    let text = "a \"quoted\" \\ path\r\n\u{1}\u{7f} \u{2028} \u{1f6d1} é";
    let quota = Quota::per(1, Duration::from_secs(60)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota).message(text)).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let now = Instant::now();
    let _ = limiter.check("a", &set, now);
    let problem = Problem::quota_exceeded(limiter.check("a", &set, now).message(), ["p", "q"]);
    let json: serde_json::Value = serde_json::from_slice(problem.json()).unwrap();
    assert_eq!(json["detail"], text);
    assert_eq!(json["violated-policies"], serde_json::json!(["p", "q"]));
}
