use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::*;
use crate::limiter::Limiter;
use crate::quota::Quota;

fn policy(name: &'static str, limit: u32, period: Duration) -> Policy {
    Policy::new(name, Quota::per(limit, period).unwrap())
}

fn written(decision: &Decision<'_>, answers: Answers) -> HeaderMap {
    let mut headers = HeaderMap::new();
    Fields::of(decision, answers).write(&mut headers);
    headers
}

fn fields(decision: &Decision<'_>) -> [String; 2] {
    let headers = written(decision, Answers::default());
    ["ratelimit-policy", "ratelimit"].map(|name| headers[name].to_str().unwrap().to_owned())
}

fn lines(decision: &Decision<'_>, fields: RateLimitFields) -> Vec<String> {
    let headers = written(decision, Answers { fields, expose: false });
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn older_forms_say_the_same_in_their_own_words() {
    let limiter = Limiter::builder()
        .policy(policy("bids", 50, Duration::from_secs(60)))
        .policy(policy("api", 5_000, Duration::from_secs(900)))
        .build()
        .unwrap();
    let set = limiter.set(&["bids", "api"]).unwrap();
    let now = Instant::now();
    let admitted = limiter.check_n("a", &set, 40, now);
    assert_eq!(
        lines(&admitted, RateLimitFields::Draft07),
        ["ratelimit-policy: 50;w=60, 5000;w=900", "ratelimit: limit=50, remaining=10, reset=48",]
    );
    let three = ["ratelimit-limit: 50", "ratelimit-remaining: 10", "ratelimit-reset: 48"];
    assert_eq!(lines(&admitted, RateLimitFields::Draft03), three);
    let six = lines(&admitted, RateLimitFields::Draft06);
    assert_eq!(six[0], three[0]);
    assert_eq!(six[1], "ratelimit-policy: 50;w=60, 5000;w=900");
    assert_eq!(
        lines(&admitted, RateLimitFields::XRateLimit),
        three.map(|line| format!("x-{line}"))
    );
    assert!(lines(&admitted, RateLimitFields::None).is_empty());
    let rejected = limiter.check_n("a", &set, 20, now);
    assert_eq!(
        lines(&rejected, RateLimitFields::Draft07)[1],
        format!("ratelimit: limit=50, remaining=10, reset={}", seconds(rejected.ruling().next))
    );
}

#[test]
fn an_epoch_is_later_than_the_time_from_now() {
    let limiter =
        Limiter::builder().policy(policy("p", 1, Duration::from_secs(60))).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let decision = limiter.check("a", &set, Instant::now());
    let since = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let before = since();
    let lines = lines(&decision, RateLimitFields::XRateLimitEpoch);
    let reset: u64 = lines[2].strip_prefix("x-ratelimit-reset: ").unwrap().parse().unwrap();
    assert!((before + 60..=since() + 61).contains(&reset), "{reset}");
}

#[test]
fn fields_that_can_stand_once_are_left_to_the_layer_inside() {
    let limiter =
        Limiter::builder().policy(policy("p", 9, Duration::from_secs(9))).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let decision = limiter.check("a", &set, Instant::now());
    let twice = |fields| {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", HeaderValue::from_static("1"));
        headers.insert("ratelimit", HeaderValue::from_static("inner"));
        Fields::of(&decision, Answers { fields, expose: false }).write(&mut headers);
        let count = |name| headers.get_all(name).iter().count();
        (count("ratelimit-limit"), count("ratelimit"), headers.contains_key("ratelimit-reset"))
    };
    assert_eq!(twice(RateLimitFields::Draft11), (1, 2, false));
    assert_eq!(twice(RateLimitFields::Draft07), (1, 1, false));
    assert_eq!(twice(RateLimitFields::Draft06), (1, 1, false));
}

#[test]
fn every_field_is_exposed_that_is_sent() {
    let limiter =
        Limiter::builder().policy(policy("p", 9, Duration::from_secs(9))).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let decision = limiter.check("a", &set, Instant::now());
    for fields in [
        RateLimitFields::Draft11,
        RateLimitFields::Draft07,
        RateLimitFields::Draft06,
        RateLimitFields::Draft03,
        RateLimitFields::XRateLimit,
        RateLimitFields::XRateLimitEpoch,
        RateLimitFields::None,
    ] {
        let mut headers = written(&decision, Answers { fields, expose: true });
        let exposed = headers.remove("access-control-expose-headers").unwrap();
        let exposed: Vec<_> = exposed.to_str().unwrap().split(", ").collect();
        assert!(exposed.contains(&"retry-after"));
        assert_eq!(exposed.len(), headers.keys_len() + 1, "{fields:?}");
        assert!(headers.keys().all(|name| exposed.contains(&name.as_str())), "{fields:?}");
    }
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
fn an_admitted_requests_field_is_made_once() {
    let limiter =
        Limiter::builder().policy(policy("p", 20_000, Duration::from_secs(60))).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let now = Instant::now();
    let of = |key: &str, cost| {
        written(&limiter.check_n(key, &set, cost, now), Answers::default())
            .remove("ratelimit")
            .unwrap()
    };
    let [one, other] = ["a", "b"].map(|key| of(key, 10_000));
    assert_eq!(one, "\"p\";r=10000;t=30");
    assert_eq!(one.as_bytes().as_ptr(), other.as_bytes().as_ptr(), "the bytes are shared");
    // Above what is kept, and at nothing left, it is made anew and as right.
    assert_eq!(of("c", 1), "\"p\";r=19999;t=60");
    assert_eq!(of("d", 20_000), "\"p\";r=0;t=1");
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
