//! Source versions: a lagging replica cannot bring an old value back.

use super::*;
use crate::{L2Write, Layer};

/// What a load of `key` is told to reach.
async fn min_source(cache: &Numbers, key: u64) -> Option<u64> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let loader = |load: Load<u64>| async move {
        let _ = tell.send(load.min_source());
        Ok::<_, OriginDown>(Loaded::new(0).uncached())
    };
    cache.get_or_load(&key, loader).await.expect("loads");
    told.await.expect("the loader ran")
}

#[tokio::test(start_paused = true)]
async fn loads_are_told_the_source_of_the_removal_on_every_node() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    assert_eq!(min_source(&a, 1).await, None);
    a.remove_after(&1, 50).await;
    assert_eq!(min_source(&a, 1).await, Some(50));
    assert_eq!(min_source(&b, 1).await, Some(50), "by the tombstone");
    assert_eq!(min_source(&a, 2).await, None);
    b.remove(&1).await;
    assert_eq!(min_source(&b, 1).await, Some(50), "a removal without a source asks no less");
    sleep(Duration::from_secs(61)).await;
    assert_eq!(min_source(&a, 1).await, None, "for the tombstone TTL");
}

#[tokio::test(start_paused = true)]
async fn an_older_source_is_handed_over_but_not_cached() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    a.remove_after(&1, 50).await;
    for (cache, answer) in [
        (&a, Loaded::new(1).source(49)),
        (&b, Loaded::new(1).source(49)),
        (&a, Loaded::new(1)),
        (&b, Loaded::absent().source(49)),
    ] {
        assert!(load(cache, 1, answer).await.degraded);
        assert!(cache.get(&1).await.expect("in reach").is_none());
    }
    assert_eq!(a.stats().refused_fills, 2);
    let good = load(&b, 1, Loaded::new(2).source(50)).await;
    assert!(!good.degraded);
    assert_eq!(value(&cached(&a, 1).await), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_older_source_is_not_cached_without_l2_either() {
    let cache: Numbers = builder().build().expect("valid");
    cache.remove_after(&1, 50).await;
    assert!(load(&cache, 1, Loaded::new(1).source(49)).await.degraded);
    assert!(cache.get(&1).await.expect("no remote").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_set_from_an_older_source_does_not_replace_a_newer_one() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    a.set(&1, Loaded::new(20).source(20)).await;
    let late = b.set(&1, Loaded::new(10).source(10)).await;
    assert_eq!((late.l1, late.l2), (false, L2Write::Superseded));
    assert_eq!(value(&cached(&a, 1).await), Some(20));
    assert_eq!(value(&cached(&b, 1).await), Some(20));
    a.remove_after(&1, 30).await;
    let late = a.set(&1, Loaded::new(25).source(25)).await;
    assert_eq!(late.l2, L2Write::Superseded);
    assert!(a.get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_l2_a_set_from_an_older_source_does_not_replace_a_newer_one() {
    let cache: Numbers = builder().build().expect("valid");
    assert!(cache.set(&1, Loaded::new(20).source(20)).await.l1);
    assert!(!cache.set(&1, Loaded::new(10).source(10)).await.l1);
    assert!(cache.get(&1).await.expect("no remote").is_none_or(|got| value(&got) == Some(20)));
}

#[tokio::test(start_paused = true)]
async fn an_entry_l2_should_have_lost_is_a_miss() {
    // A failover to a lagging Redis replica: the tombstone is gone, the old entry is back.
    let lost = FakeRemote::default();
    node(&lost).set(&1, Loaded::new(1).source(40)).await;
    let failed_over = node(&lost);
    failed_over.inner.sources.raise(1, 50, tokio::time::Instant::now());
    assert_eq!(value(&load(&failed_over, 1, Loaded::new(2).source(50)).await), Some(2));
}

/// Case 41: with what the write returned, another node that was told nothing reads nothing older.
#[tokio::test(start_paused = true)]
async fn who_brings_the_version_of_a_write_reads_nothing_older_on_another_node() {
    let remote = FakeRemote::default();
    let (here, way) = (remote.another(), remote.another());
    let (a, b) = (node(&here), node(&way));
    let first = a.set(&1, 10).await.version.expect("acknowledged");
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    way.lose_messages();
    let second = a.set(&1, 11).await.version.expect("acknowledged");
    assert!(second > first);
    assert_eq!(value(&cached(&b, 1).await), Some(10), "it was told nothing");
    b.told(&1, second);
    assert_eq!(value(&cached(&b, 1).await), Some(11));
    for known in [first, second] {
        b.told(&1, known);
        assert_eq!(cached(&b, 1).await.layer, Layer::L1, "what is as new or newer stays");
    }
    let removal = a.remove(&1).await.version.expect("acknowledged");
    assert_eq!(value(&cached(&b, 1).await), Some(11));
    b.told(&1, removal);
    assert!(b.get(&1).await.expect("in reach").is_none());
    here.freeze();
    for partial in [a.set(&1, 12).await, a.remove(&1).await] {
        assert!(partial.is_partial() && partial.version.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn who_brings_the_version_of_a_removal_does_not_join_a_load_from_before() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let way = remote.another();
    let (a, b) = (node(&remote.another()), node(&way));
    way.lose_messages();
    let takes = Duration::from_millis(50);
    let old = tokio::spawn(origin.read(&b, 1, Ok(10), takes));
    sleep(takes / 2).await;
    let removal = a.remove(&1).await.version.expect("acknowledged");
    b.told(&1, removal);
    let new = origin.read(&b, 1, Ok(11), takes).await.expect("loads");
    assert_eq!(value(&new), Some(11));
    assert_eq!(value(&old.await.expect("no panic").expect("loads")), Some(10), "it came before");
    assert_eq!(value(&cached(&b, 1).await), Some(11));
}
