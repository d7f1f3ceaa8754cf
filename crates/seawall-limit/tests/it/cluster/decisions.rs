use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_limit::Source;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_at_once_on_eight_nodes_are_admitted_to_the_unit() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let admitted = Arc::new(AtomicU32::new(0));
    let mut tasks = Vec::new();
    for number in 0..8 {
        let functions = number % 2 == 1;
        let limiter =
            node(&ClusterConfig { functions, ..config.clone() }, &[policy("a", 100)]).await;
        let set = Arc::new(limiter.set(&["a"]).unwrap());
        for _ in 0..250 {
            let (limiter, set, admitted) =
                (limiter.clone(), Arc::clone(&set), Arc::clone(&admitted));
            tasks.push(tokio::spawn(async move {
                let decision = check(&limiter, "k", &set).await;
                assert!(!decision.is_degraded(), "{decision:?}");
                admitted.fetch_add(u32::from(decision.is_allowed()), Ordering::Relaxed);
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(admitted.load(Ordering::Relaxed), 100);
}

#[tokio::test]
async fn all_policies_of_a_set_are_charged_or_none() {
    let stack = redis().await;
    let all = [policy("narrow", 5), policy("wide", 100)];
    let limiter = node(&exact(stack.redis().unwrap().url()), &all).await;
    let (both, wide) = (limiter.set(&["narrow", "wide"]).unwrap(), limiter.set(&["wide"]).unwrap());
    for left in (0..5).rev() {
        let decision = check(&limiter, "k", &both).await;
        assert_eq!(
            (decision.is_allowed(), decision.policy(), decision.remaining()),
            (true, "narrow", left)
        );
    }
    for _ in 0..20 {
        let decision = check(&limiter, "k", &both).await;
        assert!(!decision.is_allowed());
        assert_eq!(decision.violated().collect::<Vec<_>>(), ["narrow"]);
        let wait = decision.retry_after().unwrap();
        assert!(wait > Duration::from_secs(600) && wait <= Duration::from_secs(720), "{wait:?}");
    }
    assert_eq!(limiter.peek("k", &wide).await.unwrap().remaining(), 95);
}

#[tokio::test]
async fn a_peek_charges_nothing_and_makes_no_key() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 10)]).await;
    let set = limiter.set(&["a"]).unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.peek("k", &set).await.unwrap().remaining(), 10);
    }
    assert!(subjects(stack.redis().unwrap()).await.is_empty());
    assert_eq!(check(&limiter, "k", &set).await.remaining(), 9);
}

#[tokio::test]
async fn a_refund_restores_and_ends_at_full() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 10)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let now = Instant::now;
    assert_eq!(limiter.check_n("k", &set, 7, now()).await.remaining(), 3);
    assert!(!limiter.check_n("k", &set, 4, now()).await.is_allowed());
    assert_eq!(limiter.peek("k", &set).await.unwrap().remaining(), 3);
    limiter.refund("k", &set, 4).await.unwrap();
    // The rejection is not remembered past the refund.
    assert_eq!(limiter.check_n("k", &set, 5, now()).await.remaining(), 2);
    limiter.refund("k", &set, 1_000).await.unwrap();
    assert_eq!(limiter.peek("k", &set).await.unwrap().remaining(), 10);
    // Nothing is left to keep.
    assert!(subjects(stack.redis().unwrap()).await.is_empty());
}

#[tokio::test]
async fn a_cost_above_the_burst_is_rejected_for_good_and_asks_nobody() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 10)]).await;
    let set = limiter.set(&["a"]).unwrap();
    let decision = limiter.check_n("k", &set, 11, Instant::now()).await;
    assert!(decision.is_too_large());
    assert_eq!(decision.retry_after(), None);
    assert!(subjects(stack.redis().unwrap()).await.is_empty());
}

#[tokio::test]
async fn a_remembered_rejection_asks_redis_nothing_and_says_the_same() {
    let stack = redis().await;
    let limiter = node(&exact(stack.redis().unwrap().url()), &[policy("a", 3)]).await;
    let set = limiter.set(&["a"]).unwrap();
    assert!(limiter.check_n("k", &set, 3, Instant::now()).await.is_allowed());
    let other = node(&exact(stack.redis().unwrap().url()), &[policy("a", 3)]).await;
    let told = check(&other, "k", &set).await;
    assert!(!told.is_allowed());
    let before = calls(stack.redis().unwrap(), "get").await;
    for _ in 0..10_000 {
        let decision = check(&limiter, "k", &set).await;
        assert_eq!((decision.is_allowed(), decision.source()), (false, Source::Memory));
        assert_eq!((decision.policy(), decision.remaining()), (told.policy(), told.remaining()));
        let (wait, first) = (decision.retry_after().unwrap(), told.retry_after().unwrap());
        assert!(wait <= first && first - wait < PATIENCE, "{wait:?} {first:?}");
    }
    assert_eq!(calls(stack.redis().unwrap(), "get").await, before);
}

#[tokio::test]
async fn a_wait_is_kept_to_and_no_longer() {
    let stack = redis().await;
    let quick =
        Policy::new("a", Quota::per(20, Duration::from_secs(1)).unwrap().with_burst(1).unwrap());
    let limiter = node(&exact(stack.redis().unwrap().url()), &[quick]).await;
    let set = limiter.set(&["a"]).unwrap();
    for _ in 0..10 {
        assert!(check(&limiter, "k", &set).await.is_allowed());
        let wait = check(&limiter, "k", &set).await.retry_after();
        // A slow machine may have let it refill.
        if let Some(wait) = wait {
            sleep(wait).await;
        } else {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn the_time_that_a_node_goes_by_changes_nothing_in_redis() {
    let stack = redis().await;
    let config = exact(stack.redis().unwrap().url());
    let limiters =
        [node(&config, &[policy("a", 30)]).await, node(&config, &[policy("a", 30)]).await];
    let sets = [limiters[0].set(&["a"]).unwrap(), limiters[1].set(&["a"]).unwrap()];
    let ahead = Duration::from_secs(300);
    let mut admitted = 0;
    for turn in 0..60 {
        let now = Instant::now() + ahead * (turn % 2);
        let turn = turn as usize % 2;
        admitted += u32::from(limiters[turn].check("k", &sets[turn], now).await.is_allowed());
    }
    assert_eq!(admitted, 30);
}
