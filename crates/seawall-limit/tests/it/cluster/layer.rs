use http::{Request, Response, StatusCode};
use seawall_limit::{ClientIp, FailureMode, LimitLayer, Limiter, Rule};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use std::convert::Infallible;

pub(super) type Answer = Response<seawall_limit::LimitBody<String>>;

pub(super) async fn call(layer: &LimitLayer, path: &str) -> Answer {
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::from("done"))));
    let mut service = layer.layer(inner);
    let request =
        Request::get(path).extension(seawall_limit::PeerAddr("192.0.2.1:9".parse().unwrap()));
    service.ready().await.unwrap().call(request.body(()).unwrap()).await.unwrap()
}

fn field<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_rule_may_name_policies_of_both_limiters_and_all_are_charged_or_none() {
    let stack = redis().await;
    let cluster = node(&exact(stack.redis().unwrap().url()), &[policy("shared", 2)]).await;
    let limiter = Limiter::builder().policy(policy("own", 10)).build().unwrap();
    let layer = LimitLayer::new(limiter.clone())
        .cluster(cluster)
        .identify(ClientIp::direct())
        .rule(Rule::any().policy("own").policy("shared"))
        .build()
        .unwrap();
    for left in [1, 0] {
        let answer = call(&layer, "/").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(
            field(&answer, "ratelimit-policy"),
            ["\"own\";q=10;w=3600", "\"shared\";q=2;w=3600"]
        );
        assert!(field(&answer, "ratelimit")[1].starts_with(&format!("\"shared\";r={left}")));
    }
    for _ in 0..3 {
        let answer = call(&layer, "/").await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(field(&answer, "retry-after")[0].parse::<u64>().unwrap() > 600);
    }
    let own = limiter.set(&["own"]).unwrap();
    let key: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(limiter.peek(key, &own, Instant::now()).remaining(), 8);
}

#[tokio::test]
async fn a_closed_policy_answers_503_and_an_open_one_lets_pass_while_redis_is_away() {
    let stack = redis().await;
    let config =
        ClusterConfig { deadline: Duration::from_secs(2), ..exact(stack.redis().unwrap().url()) };
    let cluster = ClusterLimiter::builder(config)
        .policies([policy("login", 5), policy("read", 5)])
        .on_failure("login", FailureMode::Closed)
        .on_failure("read", FailureMode::Open);
    let layer = LimitLayer::cluster(cluster.connect().await.unwrap())
        .rule(Rule::path("/login").policy("login"))
        .rule(Rule::path("/read").policy("read"))
        .build()
        .unwrap();
    assert_eq!(call(&layer, "/login").await.status(), StatusCode::OK);
    stack.redis().unwrap().kill().await.unwrap();
    for _ in 0..10 {
        assert_eq!(call(&layer, "/read").await.status(), StatusCode::OK);
        let answer = call(&layer, "/login").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(field(&answer, "retry-after"), ["1"]);
        assert_eq!(field(&answer, "content-type"), ["application/problem+json"]);
    }
}

#[tokio::test]
async fn a_name_that_two_limiters_have_is_refused() {
    let stack = redis().await;
    let cluster = node(&exact(stack.redis().unwrap().url()), &[policy("a", 2)]).await;
    let limiter = Limiter::builder().policy(policy("a", 10)).build().unwrap();
    let layer = LimitLayer::new(limiter).cluster(cluster).rule(Rule::any().policy("a")).build();
    assert!(matches!(layer, Err(seawall_limit::Error::DuplicatePolicy { .. })));
}

#[tokio::test]
async fn a_dropped_response_keeps_a_charge_that_was_under_way() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let cluster = node(&exact(redis.url()), &[policy("a", 9)]).await;
    let layer = LimitLayer::cluster(cluster.clone()).rule(Rule::any().policy("a")).build().unwrap();
    redis.pause().await.unwrap();
    {
        let call = call(&layer, "/");
        let mut call = std::pin::pin!(call);
        // It is sent, and not answered.
        let sent = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
        assert!(sent.is_err());
    }
    redis.resume().await.unwrap();
    let set = cluster.set(&["a"]).unwrap();
    let key: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    eventually("the charge is there", async || {
        cluster.peek(key, &set).await.is_ok_and(|it| it.remaining() == 8)
    })
    .await;
}
