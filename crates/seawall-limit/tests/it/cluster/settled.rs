//! Charges that are settled by the response, cluster-wide.

use http::{Response, StatusCode};
use seawall_limit::{Count, FailureMode, LimitLayer, Rule, Source};
use tower::{Layer as _, Service as _, service_fn};

use super::*;

async fn left(limiter: &ClusterLimiter, set: &ClusterSet) -> u32 {
    limiter.peek("k", set).await.unwrap().remaining()
}

async fn ends_at(limiter: &ClusterLimiter, set: &ClusterSet, units: u32) {
    eventually(&format!("{units} are left"), async || {
        limiter.peek("k", set).await.is_ok_and(|it| it.remaining() == units)
    })
    .await;
}

#[tokio::test]
async fn what_is_admitted_charges_nothing_until_it_is_settled_and_then_on_all_nodes() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let (one, two) =
        (node(&config, &[policy("a", 3)]).await, node(&config, &[policy("a", 3)]).await);
    let (set, other) = (one.set(&["a"]).unwrap(), two.set(&["a"]).unwrap());
    let now = Instant::now();
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(one.admit("k", &set, now).await.expect("nothing is charged"));
    }
    assert_eq!(left(&two, &other).await, 3);
    for one in open.drain(1..) {
        one.settle(0);
    }
    assert_eq!(left(&two, &other).await, 3);
    drop(open);
    ends_at(&two, &other, 2).await;
    // More than there is: it is charged as far as that goes.
    two.admit("k", &other, now).await.unwrap().settle(50);
    ends_at(&one, &set, 0).await;
    let refused = one.admit("k", &set, now).await.unwrap_err();
    assert_eq!(refused.policy(), "a");
    assert!(refused.retry_after().unwrap() > Duration::from_secs(600));
    // From here on the node remembers.
    let again = one.admit("k", &set, Instant::now()).await.unwrap_err();
    assert_eq!(again.source(), Source::Memory);
}

#[tokio::test]
async fn an_estimate_is_set_right_in_either_direction() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 100)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let reserve = async |cost| limiter.reserve("k", &set, cost, Instant::now()).await;
    let less = reserve(60).await.unwrap();
    assert_eq!(left(&limiter, &set).await, 40);
    assert!(reserve(60).await.is_err());
    less.settle(10);
    // A moment of what was given back had refilled by itself.
    ends_at(&limiter, &set, 90).await;
    reserve(10).await.unwrap().settle(30);
    ends_at(&limiter, &set, 60).await;
    drop(reserve(5).await.unwrap());
    drop(reserve(5).await.unwrap().dropped_as(0));
    ends_at(&limiter, &set, 55).await;
}

#[tokio::test]
async fn without_redis_failure_modes_decide_and_what_it_came_to_is_told_on_its_return() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let config = ClusterConfig {
        nodes: Some(1),
        deadline: Duration::from_millis(500),
        ..exact(redis.url())
    };
    let limiter = ClusterLimiter::builder(config)
        .policies([policy("a", 10), policy("shut", 10), policy("open", 10)])
        .on_failure("shut", FailureMode::Closed)
        .on_failure("open", FailureMode::Open);
    let limiter = limiter.connect().await.unwrap();
    let set = |name| limiter.set(&[name]).unwrap();
    let (local, shut, open) = (set("a"), set("shut"), set("open"));
    redis.pause().await.unwrap();
    let now = Instant::now();
    let refused = limiter.admit("k", &shut, now).await.unwrap_err();
    assert_eq!(refused.source(), Source::Closed);
    limiter.admit("k", &open, now).await.unwrap().settle(9);
    for _ in 0..2 {
        limiter.admit("k", &local, now).await.expect("a share of it all").settle(5);
    }
    eventually("this node counts on it", async || {
        limiter.admit("k", &local, Instant::now()).await.map(|it| it.settle(0)).is_err()
    })
    .await;
    redis.resume().await.unwrap();
    // A charge whose answer was lost may be made twice; never less than once.
    ends_at(&limiter, &local, 0).await;
}

#[tokio::test]
async fn what_redis_was_not_charged_for_is_not_given_back_to_it() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let config = ClusterConfig {
        nodes: Some(1),
        deadline: Duration::from_millis(500),
        on_failure: FailureMode::Open,
        ..exact(redis.url())
    };
    let limiter = node(&config, &[policy("a", 100)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let reserve = async |cost| limiter.reserve("k", &set, cost, Instant::now()).await;
    reserve(60).await.unwrap().settle(60);
    redis.pause().await.unwrap();
    eventually("it is given up", async || {
        let _ = check(&limiter, "other", &set).await;
        !limiter.is_reachable()
    })
    .await;
    let open = reserve(50).await.expect("nobody counts");
    redis.resume().await.unwrap();
    eventually("it is asked again", async || limiter.is_reachable()).await;
    ends_at(&limiter, &set, 40).await;
    drop(open.dropped_as(0));
    // Sent after it.
    let decision = check(&limiter, "k", &set).await;
    assert_eq!((decision.source(), decision.remaining()), (Source::Redis, 39));
    limiter.admit("k", &set, Instant::now()).await.unwrap().settle(1);
    ends_at(&limiter, &set, 38).await;
}

#[tokio::test]
async fn a_rule_counts_what_responses_tell_for_all_nodes_together() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let policies = [policy("tries", 3), policy("all", 100)];
    let layer = async || {
        let cluster = node(&config, &policies).await;
        let count = Count::statuses([StatusCode::UNAUTHORIZED]);
        let layer = LimitLayer::cluster(cluster.clone())
            .rule(Rule::any().policy("all"))
            .rule(Rule::path("/login").policy("tries").count(count));
        (cluster, layer.build().unwrap())
    };
    let ((one, first), (_, second)) = (layer().await, layer().await);
    let call = async |layer: &LimitLayer, right: bool| {
        let inner = service_fn(move |_: http::Request<()>| {
            let mut response = Response::new(String::from("done"));
            if !right {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        });
        let peer = seawall_limit::PeerAddr("192.0.2.1:9".parse().unwrap());
        let request = http::Request::get("/login").extension(peer).body(()).unwrap();
        layer.layer(inner).call(request).await.unwrap()
    };
    let key: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    let (tries, all) = (one.set(&["tries"]).unwrap(), one.set(&["all"]).unwrap());
    let left = async |set| one.peek(key, set).await.unwrap().remaining();
    for layer in [&first, &second, &first, &second] {
        assert_eq!(call(layer, true).await.status(), StatusCode::OK);
    }
    assert_eq!((left(&tries).await, left(&all).await), (3, 96));
    for (turn, layer) in [(2, &first), (1, &second), (0, &first)] {
        let answer = call(layer, false).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let fields: Vec<_> = answer.headers().get_all("ratelimit").iter().collect();
        assert_eq!(fields.len(), 2, "{fields:?}");
        eventually("it is charged", async || left(&tries).await == turn).await;
    }
    let answer = call(&second, true).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    eventually("who is not let in is charged nothing", async || left(&all).await == 93).await;
}
