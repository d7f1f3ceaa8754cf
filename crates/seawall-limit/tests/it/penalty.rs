//! Clients that keep overrunning, through the layers.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall_limit::{
    Challenge, ChallengeConfig, ChallengeLayer, LimitLayer, Limiter, Penalties, PenaltyConfig,
    PenaltyLayer, Policy, Quota, Rule, Standing, Violation, solve,
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service};

use crate::support::{Answer, get, inner, request, send};

fn config() -> PenaltyConfig {
    PenaltyConfig {
        challenge_after: 3,
        challenge_window: Duration::from_secs(10),
        block_after: 2,
        block_window: Duration::from_secs(20),
        block_for: Duration::from_secs(30),
        calm: Duration::from_secs(60),
        max_keys: 1_000,
    }
}

fn challenge() -> ChallengeLayer {
    let config = ChallengeConfig { difficulty: 4, per_client: None, ..ChallengeConfig::default() };
    ChallengeLayer::new(Challenge::new(&[7; 32], config).unwrap(), "/").unwrap()
}

/// Two a minute, within a challenge and the penalties.
fn limited() -> (
    Penalties,
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<impl http_body::Body<Data = Bytes, Error = impl std::fmt::Debug>>,
        Error = std::convert::Infallible,
    > + Clone,
) {
    let quota = Quota::per(2, Duration::from_secs(60)).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let limits = LimitLayer::new(limiter).rule(Rule::any().policy("p")).build().unwrap();
    let (penalties, challenge) = (Penalties::new(&config()).unwrap(), challenge());
    let layer = PenaltyLayer::new(penalties.clone(), &challenge);
    (penalties, layer.layer(challenge.layer(limits.layer(inner().0))))
}

fn kind(answer: &Answer) -> String {
    let json = answer.json();
    let kind = json["type"].as_str().unwrap();
    kind.rsplit('#').next().unwrap().to_owned()
}

fn solved(answer: &Answer) -> String {
    let json = answer.json();
    let challenge = &json["challenge"];
    let bits = u8::try_from(challenge["difficulty"].as_u64().unwrap()).unwrap();
    let puzzle = challenge["puzzle"].as_str().unwrap();
    solve(puzzle, bits).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_overrunning_is_challenged_then_blocked_then_on_probation() {
    let (penalties, service) = limited();
    for _ in 0..2 {
        assert_eq!(get(&service, "/", "1.1.1.1").await.status, StatusCode::OK);
    }
    for _ in 0..3 {
        assert_eq!(kind(&get(&service, "/", "1.1.1.1").await), "quota-exceeded");
    }
    let challenged = get(&service, "/", "1.1.1.1").await;
    assert_eq!(
        (challenged.status, &*kind(&challenged)),
        (StatusCode::TOO_MANY_REQUESTS, "abnormal-usage-detected")
    );
    // A challenge that is not answered is no violation, however often.
    for _ in 0..20 {
        get(&service, "/", "1.1.1.1").await;
    }
    // A solution is redeemed once, though both layers see it, and its pass lifts the challenge.
    let mut bringing = request(Method::GET, "/", "1.1.1.1");
    bringing.headers_mut().insert("challenge-solution", solved(&challenged).parse().unwrap());
    let redeemed = send(&service, bringing).await;
    assert_eq!(kind(&redeemed), "quota-exceeded");
    let pass = redeemed.header("challenge-pass").unwrap().to_owned();
    let mut with_pass = request(Method::GET, "/", "1.1.1.1");
    with_pass.headers_mut().insert("challenge-pass", pass.parse().unwrap());
    // It does not lift the quota: that was the second violation while challenged.
    let rejected = send(&service, with_pass.clone()).await;
    assert_eq!(kind(&rejected), "quota-exceeded");
    assert_eq!(rejected.header("challenge-pass"), None);

    let blocked = send(&service, with_pass.clone()).await;
    assert_eq!(
        (blocked.status, &*kind(&blocked)),
        (StatusCode::TOO_MANY_REQUESTS, "abnormal-usage-detected")
    );
    assert_eq!(blocked.json()["violated-policies"][0], "penalty");
    assert_eq!(blocked.header("retry-after"), Some("30"));
    assert_eq!(blocked.header("cache-control"), Some("no-store"));
    assert_eq!(get(&service, "/", "2.2.2.2").await.status, StatusCode::OK, "another client");

    advance(Duration::from_millis(29_001)).await;
    let blocked = send(&service, with_pass.clone()).await;
    assert_eq!(blocked.header("retry-after"), Some("1"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(penalties.standing(ip("1.1.1.1"), Instant::now()), Standing::Challenge);
    // In the scope of the challenge, with its pass.
    let served = send(&service, with_pass).await;
    assert_eq!(served.status, StatusCode::OK);
    assert!(get(&service, "/", "1.1.1.1").await.json()["challenge"].is_object());
    advance(Duration::from_secs(60)).await;
    assert_eq!(get(&service, "/", "1.1.1.1").await.status, StatusCode::OK);
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_service_calls_a_violation_counts_and_a_forged_solution_does_too() {
    let failing = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.extensions_mut().insert(Violation::default());
        Ok::<_, std::convert::Infallible>(response)
    });
    let penalties = Penalties::new(&config()).unwrap();
    let service = PenaltyLayer::new(penalties.clone(), &challenge()).layer(failing);
    for _ in 0..3 {
        assert_eq!(get(&service, "/", "1.1.1.1").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(penalties.standing(ip("1.1.1.1"), Instant::now()), Standing::Challenge);
    for _ in 0..2 {
        let mut forged = request(Method::GET, "/", "1.1.1.1");
        forged.headers_mut().insert("challenge-solution", "AAAA.1".parse().unwrap());
        assert_eq!(send(&service, forged).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(penalties.standing(ip("1.1.1.1"), Instant::now()), Standing::Blocked);

    let mut grpc = request(Method::POST, "/", "1.1.1.1");
    grpc.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let told = send(&service, grpc).await;
    assert_eq!((told.status, told.header("grpc-status")), (StatusCode::OK, Some("14")));
    assert_eq!(told.header("grpc-retry-pushback-ms"), Some("30000"));
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_is_above_the_count() {
    let (penalties, service) = limited();
    let now = Instant::now();
    let lasts = Duration::from_secs(10);
    assert!(penalties.order(ip("1.1.1.1"), Standing::Blocked, lasts, now));
    assert_eq!(penalties.blocked_for(ip("1.1.1.1"), now), Some(lasts));
    assert_eq!(get(&service, "/", "1.1.1.1").await.header("retry-after"), Some("10"));
    penalties.forget(ip("1.1.1.1"), now);
    assert!(penalties.order(ip("2.2.2.2"), Standing::Ok, lasts, now));
    for client in ["1.1.1.1", "2.2.2.2"] {
        for _ in 0..10 {
            get(&service, "/", client).await;
        }
    }
    assert_eq!(penalties.standing(ip("1.1.1.1"), now), Standing::Challenge);
    assert_eq!(penalties.standing(ip("2.2.2.2"), now), Standing::Ok);
}

#[test]
fn changes_requests_and_lost_violations_are_counted() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let (penalties, service) = limited();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..6 {
                get(&service, "/", "1.1.1.1").await;
            }
            let now = Instant::now();
            let lasts = Duration::from_secs(60);
            for number in 0..100_000_u64 {
                if !penalties.order(number, Standing::Blocked, lasts, now) {
                    break;
                }
            }
            get(&service, "/", "1.1.1.1").await;
        });
    });
    let mut counts = std::collections::HashMap::new();
    for (key, _, description, value) in recorder.snapshotter().snapshot().into_vec() {
        let (_, key) = key.into_parts();
        if let (Some(name), DebugValue::Counter(count)) =
            (key.name().strip_prefix("seawall_limit_penalty_"), value)
        {
            assert!(description.is_some(), "{key}");
            let label = key.labels().next().map_or("", |label| label.value());
            counts.insert(format!("{name}:{label}"), count);
        }
    }
    assert_eq!(counts["requests_total:ok"], 5);
    assert_eq!(counts["requests_total:challenge"], 2);
    assert_eq!(counts["requests_total:blocked"], 0);
    assert_eq!(counts["violations_total:"], 3);
    assert_eq!(counts["changes_total:challenge"], 1);
    assert!(counts["changes_total:blocked"] > 16);
    assert_eq!(counts["unnoted_total:"], 1);
}

#[test]
fn a_bad_number_is_named_with_its_bound() {
    let error = |change: fn(&mut PenaltyConfig)| {
        let mut config = PenaltyConfig::default();
        change(&mut config);
        Penalties::new(&config).unwrap_err().to_string()
    };
    assert_eq!(
        error(|it| it.challenge_after = 0),
        "challenge_after is 0, but must be within 1..=4294967295"
    );
    assert_eq!(
        error(|it| it.block_window = Duration::ZERO),
        "block_window is 0, but must be within 1..=86400000"
    );
    assert_eq!(error(|it| it.max_keys = 1), "max_keys is 1, but must be within 16..=16777216");
    #[cfg(feature = "serde")]
    {
        let config: PenaltyConfig = toml::from_str("block_for = '1h'\nblock_after = 5").unwrap();
        assert_eq!((config.block_for, config.block_after), (Duration::from_secs(3_600), 5));
        assert!(toml::from_str::<PenaltyConfig>("blockfor = '1h'").is_err());
    }
}
