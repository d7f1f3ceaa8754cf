//! Tags: what carries one is gone once it is invalidated, whatever was in flight.

use super::*;
use crate::remote::fake::{Fault, Op};
use crate::{Freshness, L2Write, Layer};

const TAKES: Duration = Duration::from_millis(50);

fn tagged(value: u64) -> Loaded<u64> {
    Loaded::new(value).tags(["lamps"])
}

/// A read whose loader takes a while and then answers a tagged value.
fn slowly(
    cache: &Numbers,
    value: u64,
) -> impl Future<Output = Result<Got<u64>, LoadError<OriginDown>>> + Send + 'static {
    let cache = cache.clone();
    async move {
        let loader = move |_| async move {
            sleep(TAKES).await;
            Ok(tagged(value))
        };
        cache.get_or_load(&1, loader).await
    }
}

async fn kept(cache: &Numbers) -> Option<u64> {
    cache.get(&1).await.expect("in reach").and_then(|got| value(&got))
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_tag_takes_its_entries_on_every_node() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    load(&a, 1, tagged(10)).await;
    load(&a, 2, Loaded::new(20).tags(["lamps", "chairs"])).await;
    load(&a, 3, Loaded::new(30).tags(["chairs"])).await;
    for key in 1..=3 {
        assert_eq!(cached(&b, key).await.layer, Layer::L2);
    }
    assert_eq!(b.invalidate_tag("lamps").await.l2, L2Write::Done);
    for cache in [&a, &b, &node(&remote)] {
        for key in 1..=2 {
            assert!(cache.get(&key).await.expect("in reach").is_none());
        }
        assert_eq!(value(&cached(cache, 3).await), Some(30), "its tag was not meant");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_hold_without_l2_too() {
    let cache: Numbers = builder().build().expect("valid");
    load(&cache, 1, tagged(10)).await;
    load(&cache, 2, 20).await;
    let load = tokio::spawn(slowly(&cache, 10));
    assert_eq!(cache.invalidate_tag("lamps").await.l2, L2Write::NotConfigured);
    load.await.expect("no panic").expect("hit or loaded");
    assert_eq!(kept(&cache).await, None);
    assert_eq!(value(&cached(&cache, 2).await), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_never_seen_an_entry_does_not_serve_it_after_its_tag() {
    let remote = FakeRemote::default();
    let a = node(&remote);
    load(&a, 1, tagged(10)).await;
    // Its messages come to nobody: the entry itself must say it.
    remote.lose_messages();
    a.invalidate_tag("lamps").await;
    assert_eq!(kept(&node(&remote)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_during_a_load_keeps_its_value_out() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    for invalidating in [&a, &b] {
        let load = tokio::spawn(slowly(&a, 10));
        sleep(TAKES / 2).await;
        invalidating.invalidate_tag("lamps").await;
        assert_eq!(value(&load.await.expect("no panic").expect("loads")), Some(10));
        assert_eq!(kept(&a).await, None);
        assert_eq!(kept(&b).await, None);
    }
    assert_eq!(a.stats().refused_fills, 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_an_invalidation_does_not_join_the_load_from_before() {
    let remote = FakeRemote::default();
    for cache in [node(&remote), builder().build().expect("valid")] {
        let before = tokio::spawn(slowly(&cache, 10));
        sleep(TAKES / 2).await;
        cache.invalidate_tag("lamps").await;
        let after = slowly(&cache, 11).await.expect("loads");
        assert_eq!(value(&after), Some(11));
        before.await.expect("no panic").expect("loads");
        assert_eq!(kept(&cache).await, Some(11), "and what it loaded stays");
    }
}

/// A cache with an entry that is stale, and one that is served while it is refreshed.
async fn stale_one(remote: &FakeRemote) -> Numbers {
    let cache = node_of(builder().stale_while_revalidate(Duration::from_secs(60)), remote);
    load(&cache, 1, tagged(10)).await;
    sleep(Duration::from_secs(301)).await;
    cache
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_during_a_background_refresh_keeps_its_value_out() {
    let remote = FakeRemote::default();
    let cache = stale_one(&remote).await;
    let got = slowly(&cache, 11).await.expect("stale");
    assert_eq!((value(&got), got.freshness), (Some(10), Freshness::Stale));
    sleep(TAKES / 2).await;
    cache.invalidate_tag("lamps").await;
    assert_eq!(kept(&cache).await, None, "nor is the stale one served");
    sleep(TAKES).await;
    assert_eq!(kept(&cache).await, None);
    assert_eq!(kept(&node(&remote)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_during_a_refresh_ahead_keeps_its_value_out() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    slowly(&cache, 10).await.expect("loads");
    // So near the end that hardly a draw says no.
    sleep(Duration::from_millis(299_995)).await;
    while cache.stats().refreshes == 0 {
        slowly(&cache, 11).await.expect("a hit");
    }
    sleep(TAKES / 2).await;
    cache.invalidate_tag("lamps").await;
    sleep(TAKES).await;
    assert_eq!((cache.stats().loads, cache.stats().refused_fills), (2, 1));
    assert_eq!(kept(&cache).await, None);
    assert_eq!(kept(&node(&remote)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_after_a_soft_timeout_keeps_its_value_out() {
    let remote = FakeRemote::default();
    let build = builder().stale_if_error(Duration::from_secs(60)).load_soft_timeout(TAKES / 4);
    let cache = node_of(build, &remote);
    load(&cache, 1, tagged(10)).await;
    sleep(Duration::from_secs(301)).await;
    let got = slowly(&cache, 11).await.expect("stale");
    assert_eq!((value(&got), got.freshness, got.degraded), (Some(10), Freshness::Stale, true));
    cache.invalidate_tag("lamps").await;
    sleep(TAKES).await;
    assert_eq!(kept(&cache).await, None);
    assert_eq!(kept(&node(&remote)).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_made_in_the_microsecond_of_the_invalidation_is_valid() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    // Paused time: all of it happens in one microsecond.
    for round in 0..50 {
        a.set(&1, tagged(round)).await;
        assert_eq!(kept(&b).await, Some(round));
        b.invalidate_tag("lamps").await;
        assert_eq!(kept(&a).await, None);
        assert_eq!(kept(&b).await, None);
        b.set(&1, tagged(round + 100)).await;
        assert_eq!(kept(&a).await, Some(round + 100));
        a.invalidate_tag("lamps").await;
        assert_eq!(kept(&b).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_invalidation_keeps_what_a_failing_loader_falls_back_to() {
    let remote = FakeRemote::default();
    let cache = node_of(builder().stale_if_error(Duration::from_secs(60)), &remote);
    let failing = |cache: &Numbers| {
        let cache = cache.clone();
        async move { cache.get_or_load(&1, |_| async { Err::<u64, _>(OriginDown) }).await }
    };
    load(&cache, 1, tagged(10)).await;
    cache.expire_tag("lamps").await;
    let got = failing(&cache).await.expect("stale");
    assert_eq!((value(&got), got.freshness, got.degraded), (Some(10), Freshness::Stale, true));
    let other = node_of(builder().stale_if_error(Duration::from_secs(60)), &remote);
    assert_eq!(value(&failing(&other).await.expect("stale, from L2")), Some(10));
    cache.invalidate_tag("lamps").await;
    failing(&cache).await.expect_err("not after a hard one");
    failing(&other).await.expect_err("nowhere");
}

#[tokio::test(start_paused = true)]
async fn a_soft_invalidation_makes_the_next_read_load() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    load(&a, 1, tagged(10)).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    a.expire_tag("lamps").await;
    assert_eq!(value(&load(&b, 1, tagged(11)).await), Some(11));
    assert_eq!(value(&cached(&a, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_during_an_outage_holds_here_and_is_made_when_l2_is_back() {
    let remote = FakeRemote::default();
    let elsewhere = remote.another();
    let (a, b) = (node(&remote), node(&elsewhere));
    load(&a, 1, tagged(10)).await;
    assert_eq!(kept(&b).await, Some(10));
    remote.disconnect();
    assert!(a.invalidate_tag("lamps").await.is_partial());
    assert!(a.peek(&1).is_none());
    assert_eq!(kept(&b).await, Some(10), "it cannot know yet");
    let got = load(&a, 1, tagged(11)).await;
    assert_eq!((value(&got), got.degraded), (Some(11), true));
    remote.heal();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(kept(&b).await, None);
    assert_ne!(kept(&a).await, Some(10));
    assert!(!load(&a, 1, tagged(12)).await.degraded);
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_during_a_load_that_then_cannot_ask_l2_keeps_its_value_out() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let loading = tokio::spawn(slowly(&cache, 10));
    sleep(TAKES / 2).await;
    assert!(!cache.invalidate_tag("lamps").await.is_partial());
    remote.fail(Op::Marks, Fault::Refusing);
    loading.await.expect("no panic").expect("loads");
    assert!(cache.peek(&1).is_none());
    // This node knows what it did itself, so one that begins after it may stay.
    load(&cache, 1, tagged(11)).await;
    assert_eq!(value(&cached(&cache, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn tags_that_are_not_valid_are_refused_and_said_so() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let many = (0..33).map(|tag| tag.to_string());
    for bad in [
        Loaded::new(1).tags([""]),
        Loaded::new(1).tags(["x".repeat(256)]),
        Loaded::new(1).tags(many),
    ] {
        assert!(load(&cache, 1, bad.clone()).await.degraded);
        assert_eq!(kept(&cache).await, None);
        cache.set(&1, 5).await;
        let written = cache.set(&1, bad).await;
        assert_eq!((written.l1, written.l2), (false, L2Write::Unstorable));
        assert_eq!(kept(&cache).await, None, "as a set it removes");
    }
    let good = (0..32).map(|tag| "x".repeat(255 - tag));
    load(&cache, 1, Loaded::new(1).tags(good)).await;
    assert_eq!(kept(&node(&remote)).await, Some(1));
}
