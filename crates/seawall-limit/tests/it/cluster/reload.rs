//! Other policies while a service runs.

use seawall_limit::{FailureMode, LayerConfig, LimitLayer, PolicyConfig, Rule, RuleConfig};

use super::*;

async fn admitted(limiter: &ClusterLimiter, key: &str, most: usize) -> usize {
    let set = limiter.set(&["a"]).unwrap();
    let mut count = 0;
    while count < most && check(limiter, key, &set).await.is_allowed() {
        count += 1;
    }
    count
}

fn next(limiter: &ClusterLimiter, units: u32) -> ClusterLimiter {
    limiter.successor().policy(policy("a", units)).connect_lazy().unwrap()
}

#[tokio::test]
async fn a_key_keeps_the_share_that_it_has_spent_on_every_node() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let first = node(&config, &[policy("a", 10)]).await;
    assert_eq!(admitted(&first, "k", 6).await, 6);
    assert_eq!(admitted(&first, "spent", 99).await, 10);
    let twice = next(&first, 20);
    assert_eq!(admitted(&twice, "k", 4).await, 4, "12 of 20 were spent");
    // Nodes that have not heard of it yet go on by their own, about the same key.
    assert_eq!(admitted(&first, "k", 99).await, 2, "16 of 20 are 8 of 10");
    assert_eq!(admitted(&twice, "k", 99).await, 0);
    // A node that is started with other policies finds the same.
    let third = node(&config, &[policy("a", 1_000)]).await;
    for limiter in [&twice, &third] {
        assert_eq!(
            admitted(limiter, "spent", 99).await,
            0,
            "who has nothing left has nothing left"
        );
        assert_eq!(admitted(limiter, "fresh", 5).await, 5);
    }
}

#[tokio::test]
async fn a_shorter_period_is_no_amnesty_and_a_longer_one_no_sentence() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let per = |period| Policy::new("a", Quota::per(100, period).unwrap());
    let hourly = node(&config, &[per(HOUR)]).await;
    assert_eq!(admitted(&hourly, "k", 50).await, 50);
    let daily = hourly.successor().policy(per(24 * HOUR)).connect_lazy().unwrap();
    assert_eq!(admitted(&daily, "k", 99).await, 50);
    let hourly = daily.successor().policy(per(HOUR)).connect_lazy().unwrap();
    assert_eq!(admitted(&hourly, "k", 99).await, 0);
    let set = hourly.set(&["a"]).unwrap();
    let wait = check(&hourly, "k", &set).await.retry_after().unwrap();
    assert!(wait <= Duration::from_secs(37), "by the hour again: {wait:?}");
}

#[tokio::test]
async fn what_was_taken_ahead_is_given_back_when_nobody_uses_it_any_more() {
    let stack = redis().await;
    let config = ClusterConfig {
        // It ends by being given back, and not by itself.
        lease_ttl: Duration::from_secs(60),
        ..leased(stack.redis().unwrap().url())
    };
    // And what was taken does not refill meanwhile.
    let slow = || Policy::new("a", Quota::per(10_000, 1_000 * HOUR).unwrap());
    let first = node(&config, &[slow()]).await;
    let mut spent = 0;
    eventually("units are taken ahead", async || {
        spent += admitted(&first, "k", 20).await;
        first.leased_units() > 50
    })
    .await;
    let second = first.successor().policy(slow()).connect_lazy().unwrap();
    assert!(first.leased_units() > 50, "it is in use");
    drop(first);
    let set = second.set(&["a"]).unwrap();
    // Returns are worth a bit less than was taken, what has refilled since: under a unit of each.
    let least = 10_000 - u32::try_from(spent).unwrap() - 20;
    eventually("units are given back", async || {
        second.peek("k", &set).await.is_ok_and(|it| it.remaining() >= least)
    })
    .await;
    assert_eq!(second.leased_units(), 0);
}

#[tokio::test]
async fn what_was_spent_before_a_reload_counts_in_an_outage_after_it() {
    let stack = redis().await;
    let redis = stack.redis().unwrap();
    let config = ClusterConfig { nodes: Some(1), ..exact(redis.url()) };
    let first = node(&config, &[policy("a", 10)]).await;
    assert_eq!(admitted(&first, "k", 8).await, 8);
    let second = next(&first, 100);
    drop(first);
    redis.kill().await.unwrap();
    assert_eq!(admitted(&second, "k", 99).await, 20);
    assert_eq!(admitted(&second, "other", 99).await, 99);
}

#[tokio::test]
async fn orders_are_known_to_all_generations_whoever_gave_them() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let first = node(&config, &[policy("a", 10)]).await;
    first.block("before", HOUR).await.unwrap();
    eventually("it is blocked", async || admitted(&first, "before", 1).await == 0).await;
    let second = next(&first, 10);
    assert_eq!(admitted(&second, "before", 9).await, 0);
    assert_eq!(admitted(&second, "after", 1).await, 1);
    first.block("after", HOUR).await.unwrap();
    eventually("the new one hears of it", async || admitted(&second, "after", 1).await == 0).await;
    drop(first);
    second.unblock("before").await.unwrap();
    eventually("beats go on", async || admitted(&second, "before", 1).await == 1).await;
    assert_eq!(second.live_nodes(), 1, "one node, whatever its generations");
}

#[tokio::test]
async fn a_bad_successor_changes_nothing() {
    let stack = redis().await;
    let first = node(&exact(stack.redis().unwrap().url()), &[policy("a", 10)]).await;
    let twice = first.successor().policies([policy("a", 5), policy("a", 6)]).connect_lazy();
    assert!(twice.is_err());
    let unknown = first.successor().policy(policy("a", 5)).exact("b").connect_lazy();
    assert!(unknown.is_err());
    assert_eq!(admitted(&first, "k", 99).await, 10);
}

#[tokio::test]
async fn a_layer_that_runs_takes_other_cluster_wide_policies_and_keeps_its_rules_about_them() {
    let stack = redis().await;
    let cluster = ClusterLimiter::builder(exact(stack.redis().unwrap().url()))
        .policy(policy("a", 10))
        .on_failure("a", FailureMode::Closed);
    let cluster = cluster.connect().await.unwrap();
    let file = LayerConfig {
        policies: vec![PolicyConfig::from(&policy("own", 1_000))],
        rules: vec![RuleConfig { policies: vec!["own".into()], ..RuleConfig::default() }],
        ..LayerConfig::default()
    };
    let builder = file.builder().unwrap().cluster(cluster.clone());
    let layer = builder.rule(Rule::any().policy("a")).build().unwrap();
    assert_eq!(passes(&layer).await, 10);
    // The file alone: the cluster-wide limiter and the rule about it stay.
    layer.reload(&file, |code| code).unwrap();
    assert_eq!(passes(&layer).await, 0);
    let next = cluster.successor().policy(policy("b", 3)).connect_lazy().unwrap();
    let refused = layer.reload(&file, |code| code.cluster(next.clone()));
    assert!(refused.is_err(), "the rule of code names what is gone");
    assert_eq!(passes(&layer).await, 0);
    layer.reload(&file, |code| code.cluster(next).rule(Rule::any().policy("b"))).unwrap();
    assert_eq!(passes(&layer).await, 3);
}

async fn passes(layer: &LimitLayer) -> usize {
    let mut count = 0;
    while count < 99 && layer::call(layer, "/").await.status() == 200 {
        count += 1;
    }
    count
}
