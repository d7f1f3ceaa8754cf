//! Clears of a namespace, of a prefix, of a pattern.

use parking_lot::Mutex;

use super::*;
use crate::remote::fake::Op;
use crate::{L2Write, Swept};

type Words = Cache<String, u64>;

fn words(remote: &FakeRemote) -> Words {
    let guarded = Guarded::new(remote.clone(), "fake", DEADLINE, &OutageConfig::default());
    Cache::builder("words").remote(guarded).build().expect("valid")
}

async fn has(cache: &Words, key: &str) -> bool {
    cache.get(key).await.expect("in reach").is_some()
}

async fn fill(cache: &Words, keys: &[&str]) {
    for (value, key) in (0_u64..).zip(keys) {
        cache.set(*key, value).await;
    }
}

const BIDS: [&str; 6] =
    ["auction:1:bids", "auction:2:bids", "auction:2:title", "auctions", "auction:", "bid:{a}%[x]"];

#[tokio::test(start_paused = true)]
async fn a_clear_holds_on_every_node_and_spares_other_namespaces() {
    let remote = FakeRemote::default();
    let (a, b) = (words(&remote), words(&remote));
    let other: Words = Cache::builder("words2").remote(remote.clone()).build().expect("valid");
    fill(&a, &BIDS).await;
    fill(&other, &BIDS).await;
    for key in BIDS {
        assert!(has(&b, key).await);
    }
    let before = (remote.calls.of(Op::Advance), remote.calls.total());
    let cleared = a.clear().await;
    assert_eq!((cleared.l1, cleared.l2), (6, L2Write::Done));
    assert_eq!(remote.calls.of(Op::Advance), before.0 + 1, "one command, however many keys");
    assert!(remote.calls.total() <= before.1 + 3, "and a look at the mark by each node");
    for key in BIDS {
        assert!(!has(&a, key).await && !has(&b, key).await && !has(&words(&remote), key).await);
        assert!(has(&other, key).await);
    }
    fill(&b, &BIDS).await;
    assert!(has(&a, BIDS[0]).await, "what comes after is not meant");
}

#[tokio::test(start_paused = true)]
async fn a_prefix_takes_what_begins_with_it_and_nothing_else() {
    let remote = FakeRemote::default();
    for cache in [words(&remote), Cache::local("words").build().expect("valid")] {
        fill(&cache, &BIDS).await;
        cache.remove_prefix("auction:").await;
        for key in BIDS {
            assert_eq!(has(&cache, key).await, !key.starts_with("auction:"), "{key}");
        }
        cache.remove_prefix("bid:{a}%[").await;
        assert!(!has(&cache, BIDS[5]).await, "what is special in a pattern is plain in a prefix");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pattern_takes_what_matches_on_every_node() {
    let remote = FakeRemote::default();
    let (a, b) = (words(&remote), words(&remote));
    fill(&a, &BIDS).await;
    for key in BIDS {
        assert!(has(&b, key).await);
    }
    a.remove_matching("auction:*:bids").await;
    for cache in [&a, &b, &words(&remote)] {
        for key in BIDS {
            assert_eq!(has(cache, key).await, !key.ends_with(":bids"), "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn more_patterns_than_a_mark_holds_clear_more_never_less() {
    let remote = FakeRemote::default();
    let (a, b) = (words(&remote), words(&remote));
    fill(&a, &["first"]).await;
    assert!(has(&b, "first").await);
    a.remove_matching("first").await;
    for other in 0..100 {
        a.remove_matching(&format!("other{other}")).await;
    }
    assert!(!has(&b, "first").await);
    fill(&a, &["second"]).await;
    assert!(has(&b, "second").await);
    a.remove_matching(&"?".repeat(2_000)).await;
    assert!(!has(&b, "second").await, "too long to be remembered: all");
}

#[tokio::test(start_paused = true)]
async fn what_was_expired_is_served_stale_and_what_was_cleared_is_not() {
    let remote = FakeRemote::default();
    let build = || builder().stale_if_error(Duration::from_secs(60));
    let (a, b) = (node_of(build(), &remote), node_of(build(), &remote));
    let failing = |cache: &Numbers, key: u64| {
        let cache = cache.clone();
        async move { cache.get_or_load(&key, |_| async { Err::<u64, _>(OriginDown) }).await }
    };
    for (key, value) in [(1, 10), (12, 20), (3, 30)] {
        a.set(&key, value).await;
        assert!(b.get(&key).await.expect("in reach").is_some());
    }
    a.expire_prefix("1").await;
    for cache in [&a, &b] {
        assert!(failing(cache, 1).await.expect("stale").is_stale());
        assert!(failing(cache, 12).await.expect("stale").is_stale());
        assert!(!failing(cache, 3).await.expect("not meant").is_stale());
    }
    b.expire_all().await;
    assert!(failing(&a, 3).await.expect("stale").is_stale());
    b.remove_prefix("12").await;
    failing(&a, 12).await.expect_err("gone");
    assert!(failing(&a, 1).await.expect("stale").is_stale());
    b.clear().await;
    for key in [1, 3] {
        failing(&a, key).await.expect_err("gone");
        failing(&b, key).await.expect_err("gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clear_during_a_load_keeps_its_value_out() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let takes = Duration::from_millis(50);
    let (a, b) = (node(&remote), node(&remote));
    for clearing in [&a, &b] {
        let old = tokio::spawn(origin.read(&a, 1, Ok(10), takes));
        sleep(takes / 2).await;
        clearing.clear().await;
        let new = tokio::spawn(origin.read(clearing, 1, Ok(11), takes));
        old.await.expect("no panic").expect("loads");
        assert_eq!(value(&new.await.expect("no panic").expect("loads")), Some(11));
        assert_eq!(value(&cached(&a, 1).await), Some(11));
        assert_eq!(value(&cached(&b, 1).await), Some(11));
        clearing.clear().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_does_not_match_spares_the_load_in_flight() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let takes = Duration::from_millis(50);
    let a = node(&remote);
    let load = tokio::spawn(origin.read(&a, 1, Ok(10), takes));
    sleep(takes / 2).await;
    a.remove_prefix("2").await;
    load.await.expect("no panic").expect("loads");
    assert_eq!(value(&cached(&a, 1).await), Some(10));
    assert_eq!(value(&cached(&node(&remote), 1).await), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_clear_during_an_outage_holds_here_and_is_made_when_l2_is_back() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote.another()));
    a.set(&1, 10).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    remote.freeze();
    assert!(a.clear().await.is_partial());
    assert!(a.peek(&1).is_none());
    remote.heal();
    let got = a.get(&1).await;
    assert!(got.is_err() || got.is_ok_and(|got| got.is_none()), "whatever L2 still has");
    sleep(Duration::from_secs(3)).await;
    assert!(b.get(&1).await.expect("in reach").is_none());
    assert!(a.get(&1).await.expect("in reach").is_none());
    assert!(!load(&a, 1, 11).await.degraded);
    assert_eq!(value(&cached(&b, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reclaims_l2_and_says_how_far_it_is() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    for key in 0..1_500 {
        a.set(&key, key).await;
    }
    assert_eq!(value(&cached(&b, 1).await), Some(1));
    let steps = Mutex::new(Vec::new());
    let swept = a.sweep_matching("1*", |swept| steps.lock().push(swept)).await.expect("in reach");
    assert_eq!((swept.nodes_done, swept.nodes, swept.removed), (1, 1, 611));
    let steps = steps.into_inner();
    assert!(steps.windows(2).all(|pair: &[Swept]| pair[0].removed <= pair[1].removed));
    assert_eq!(steps.last().map(|last| last.removed), Some(611));
    assert!(b.get(&1).await.expect("in reach").is_none());
    assert_eq!(value(&cached(&b, 2).await), Some(2));
    remote.disconnect();
    a.sweep_matching("2*", |_| ()).await.expect_err("L2 could not be asked");
    assert!(a.peek(&2).is_none(), "but the removal holds here");
}

#[tokio::test(start_paused = true)]
async fn a_large_l1_is_given_up_whole_and_holds_nobody_up() {
    let cache: Cache<u64, u64> = Cache::local("large").capacity(100_000).build().expect("valid");
    for key in 0..30_000 {
        let _ = cache.set(&key, key).await;
    }
    // On one thread: were the pass made on it, this could not turn meanwhile.
    let turns = Arc::new(AtomicUsize::new(0));
    let turning = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let cleared = cache.clear().await;
    turning.abort();
    assert_eq!(cleared.l1, 30_000);
    assert!(turns.load(Ordering::Relaxed) > 0);
    assert!((0..30_000).all(|key| cache.peek(&key).is_none()));
}
