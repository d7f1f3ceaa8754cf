//! Cluster-wide policies that are tried first.

use seawall_limit::{Difference, LimitLayer, Limiter, Rule, Share, Source};

use super::*;

fn total(limiters: &[&ClusterLimiter]) -> Difference {
    let mut all = Difference::default();
    for limiter in limiters {
        let one = limiter.shadow().unwrap().requests;
        all.both_admit += one.both_admit;
        all.both_refuse += one.both_refuse;
        all.only_live_refuses += one.only_live_refuses;
        all.only_shadow_refuses += one.only_shadow_refuses;
    }
    all
}

fn counted(of: Difference) -> [u64; 4] {
    [of.both_admit, of.both_refuse, of.only_live_refuses, of.only_shadow_refuses]
}

#[tokio::test]
async fn a_shadowed_policy_refuses_nobody_and_counts_for_all_nodes_together() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let policies = [policy("a", 100), policy("new", 4).shadow()];
    let (one, two) = (node(&config, &policies).await, node(&config, &policies).await);
    for limiter in [&one, &two] {
        let set = limiter.set(&["new", "a"]).unwrap();
        for _ in 0..5 {
            let decision = check(limiter, "k", &set).await;
            assert!(decision.is_allowed());
            assert_eq!((decision.policy(), decision.source()), ("a", Source::Redis));
        }
        let left = limiter.peek("k", &set).await.unwrap().remaining();
        assert!([95, 90].contains(&left), "{left}");
    }
    eventually("all are compared", async || counted(total(&[&one, &two])) == [4, 0, 0, 6]).await;
    let policies = two.shadow().unwrap().policies;
    assert_eq!(policies[1].enforced, 0);
    assert_eq!(policies[1].difference.only_shadow_refuses + policies[1].difference.both_admit, 5);
}

#[tokio::test]
async fn a_set_of_shadows_alone_asks_for_nothing_and_obeys_operators() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let limiter = node(&config, &[policy("new", 1).shadow()]).await;
    let set = limiter.set(&["new"]).unwrap();
    for _ in 0..3 {
        let decision = check(&limiter, "k", &set).await;
        assert!(decision.is_allowed() && !decision.is_enforced());
        assert_eq!(decision.source(), Source::Unenforced);
    }
    eventually("all are compared", async || counted(total(&[&limiter])) == [1, 0, 0, 2]).await;
    limiter.block("k", HOUR).await.unwrap();
    eventually("it is blocked", async || !check(&limiter, "k", &set).await.is_allowed()).await;
    let layer = LimitLayer::cluster(limiter).rule(Rule::any().policy("new")).build().unwrap();
    let answer = layer::call(&layer, "/").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().get("ratelimit").is_none(), "clients see nothing of it");
}

#[tokio::test]
async fn a_candidate_is_in_force_for_the_same_keys_everywhere_and_a_shadow_for_the_others() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let candidate = Quota::per(2, HOUR).unwrap();
    let tried = policy("a", 6).candidate(candidate, Share::percent(40).unwrap());
    let build = async || {
        let builder = ClusterLimiter::builder(config.clone()).policy(tried.clone()).share_seed(7);
        builder.connect().await.unwrap()
    };
    let (one, two) = (build().await, build().await);
    let local = Limiter::builder().policy(tried.clone()).share_seed(7).build().unwrap();
    let of_local = local.set(&["a"]).unwrap();
    let sets = [one.set(&["a"]).unwrap(), two.set(&["a"]).unwrap()];
    let mut inside = 0;
    for number in 0..30_u64 {
        let key = format!("k{number}");
        let mut admitted = 0;
        for turn in 0..8 {
            let limiter = [&one, &two][turn % 2];
            let decision = check(limiter, &key, &sets[turn % 2]).await;
            admitted += u32::from(decision.is_allowed());
        }
        let limit = local.peek(key.as_str(), &of_local, Instant::now()).limit();
        assert_eq!(admitted, limit, "{key}");
        inside += u32::from(limit == 2);
    }
    assert!((4..=20).contains(&inside), "{inside}");
    // By whichever quota: two are admitted by both, four by one, and two by none, or six.
    let (inside, outside) = (u64::from(inside), 30 - u64::from(inside));
    let expected = [60, 6 * inside + 2 * outside, 0, 4 * outside];
    eventually("all are compared", async || counted(total(&[&one, &two])) == expected).await;
}

#[tokio::test]
async fn a_candidate_that_is_taken_in_keeps_the_share_that_keys_have_spent() {
    let stack = redis().await;
    let first = node(
        &exact(stack.redis().unwrap().url()),
        &[policy("a", 10).candidate(Quota::per(20, HOUR).unwrap(), Share::NONE)],
    )
    .await;
    let set = first.set(&["a"]).unwrap();
    for _ in 0..5 {
        assert!(check(&first, "k", &set).await.is_allowed());
    }
    let second = first.successor().policy(policy("a", 20)).connect_lazy().unwrap();
    assert!(second.shadow().is_none(), "nothing is on trial any more");
    let set = second.set(&["a"]).unwrap();
    assert_eq!(second.peek("k", &set).await.unwrap().remaining(), 10);
}

#[tokio::test]
async fn leases_are_compared_too_and_hide_nothing_from_the_twin() {
    let stack = redis().await;
    let limiter = node(
        &leased(stack.redis().unwrap().url()),
        &[policy("a", 100_000).candidate(Quota::per(50, HOUR).unwrap(), Share::NONE)],
    )
    .await;
    let set = limiter.set(&["a"]).unwrap();
    let mut sources = 0;
    for _ in 0..500 {
        let decision = check(&limiter, "k", &set).await;
        assert!(decision.is_allowed());
        sources += u64::from(decision.source() == Source::Lease);
    }
    assert!(sources > 0);
    eventually("all are compared", async || counted(total(&[&limiter])).iter().sum::<u64>() == 500)
        .await;
    // The twin takes units ahead too, and is asked much at once: some are on their way back.
    let difference = total(&[&limiter]);
    assert!((1..=50).contains(&difference.both_admit), "{difference:?}");
    assert_eq!(difference.both_admit + difference.only_shadow_refuses, 500);
}
