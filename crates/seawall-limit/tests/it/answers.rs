//! How the quota layer tells clients, through the whole layer.

use http::{Method, Request};
use seawall_limit::{Answers, LimitLayer, LimitService, RateLimitFields, Rule};
use tower::Layer as _;

use crate::support::{Inner, get, inner, limiter, request, send};

fn service(answers: Answers) -> LimitService<Inner> {
    let layer = LimitLayer::new(limiter()).rule(Rule::any().policy("slow")).answers(answers);
    layer.build().unwrap().layer(inner().0)
}

fn call<B>(mut request: Request<B>, kind: &'static str) -> Request<B> {
    request.headers_mut().insert("content-type", kind.parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_is_told_in_its_own_words_and_others_are_not() {
    let service = service(Answers::default());
    for _ in 0..2 {
        get(&service, "/", "1.1.1.1").await;
    }
    let post = || request(Method::POST, "/bids.Bids/Place", "1.1.1.1");
    for kind in ["application/grpc", "application/grpc+proto"] {
        let told = send(&service, call(post(), kind)).await;
        assert_eq!((told.status.as_u16(), told.body.len()), (200, 0));
        assert_eq!(told.header("grpc-status"), Some("8"));
        assert_eq!(told.header("grpc-message"), Some("Slowly, please."));
        assert_eq!(told.header("grpc-retry-pushback-ms"), Some("30000"));
        assert_eq!(told.header("retry-after"), Some("30"));
        assert_eq!(told.header("content-type"), Some("application/grpc"));
        assert_eq!(told.header("cache-control"), Some("no-store"));
    }
    for kind in ["application/grpc-web", "application/json", "application/grpcx"] {
        assert_eq!(send(&service, call(post(), kind)).await.status, 429, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_form_chosen_is_sent_with_every_response_and_scripts_may_read_it() {
    let service = service(Answers { fields: RateLimitFields::XRateLimit, expose: true });
    for remaining in ["1", "0", "0"] {
        let answer = get(&service, "/", "1.1.1.1").await;
        assert_eq!(answer.header("x-ratelimit-limit"), Some("2"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        assert_eq!(answer.header("ratelimit"), None);
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-ratelimit-reset") && exposed.contains("retry-after"));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_never_earlier_than_the_reset_in_any_form() {
    for fields in [RateLimitFields::Draft07, RateLimitFields::Draft03, RateLimitFields::XRateLimit]
    {
        let service = service(Answers { fields, expose: false });
        for _ in 0..2 {
            get(&service, "/", "1.1.1.1").await;
        }
        for _ in 0..29 {
            tokio::time::advance(std::time::Duration::from_millis(1_001)).await;
            let answer = get(&service, "/", "1.1.1.1").await;
            assert_eq!(answer.status, 429);
            let number = |name| answer.header(name).map(|text| text.parse::<u64>().unwrap());
            let reset = number("ratelimit-reset")
                .or(number("x-ratelimit-reset"))
                .or_else(|| answer.header("ratelimit")?.rsplit_once("reset=")?.1.parse().ok());
            assert!(number("retry-after") >= reset && reset >= Some(1), "{answer:?}");
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_builder_takes_answers_from_a_file() {
    let answers: Answers = toml::from_str("fields = \"draft07\"\nexpose = true").unwrap();
    assert_eq!(answers, Answers { fields: RateLimitFields::Draft07, expose: true });
    assert!(toml::from_str::<Answers>("field = \"draft07\"").is_err());
}
