//! Values past their TTL: served where that is allowed, never where it is not.

use tokio::time::Instant;

use super::*;
use crate::remote::fake::{Fault, Op};
use crate::{Freshness, Layer};

const TTL: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const TAKES: Duration = Duration::from_millis(50);

fn failing(
    cache: &Numbers,
    origin: &Origin,
) -> impl Future<Output = Result<Got<u64>, LoadError<OriginDown>>> + Send + 'static {
    origin.read(cache, 1, Err(OriginDown), Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_at_once_while_one_load_refreshes_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_while_revalidate(60 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    let asked = Instant::now();
    for _ in 0..100 {
        let got = origin.read(&cache, 1, Ok(11), TAKES).await.expect("stale");
        assert_eq!((value(&got), got.freshness), (Some(10), Freshness::Stale));
        assert_eq!((got.layer, got.degraded, got.age), (Layer::L1, false, TTL));
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sleep(TAKES * 2).await;
    let got = cached(&cache, 1).await;
    assert_eq!((value(&got), got.freshness), (Some(11), Freshness::Fresh));
    assert_eq!(origin.loads(), 1);
    let stats = cache.stats();
    assert_eq!((stats.stale, stats.refreshes), (100, 1));
}

#[tokio::test(start_paused = true)]
async fn past_its_window_a_stale_value_is_waited_for() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_while_revalidate(60 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL + 60 * SECOND).await;
    let got = origin.read(&cache, 1, Ok(11), TAKES).await.expect("loads");
    assert_eq!((value(&got), got.freshness), (Some(11), Freshness::Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_node_without_the_value_serves_the_stale_one_of_l2() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let build = || builder().stale_while_revalidate(60 * SECOND);
    let (a, b) = (node_of(build(), &remote), node_of(build(), &remote));
    load(&a, 1, 10).await;
    sleep(TTL + SECOND).await;
    let got = origin.read(&b, 1, Ok(11), TAKES).await.expect("stale");
    assert_eq!((value(&got), got.freshness, got.layer), (Some(10), Freshness::Stale, Layer::L2));
    assert_eq!(got.age, TTL + SECOND);
    sleep(TAKES * 2).await;
    assert_eq!(value(&cached(&b, 1).await), Some(11));
    assert_eq!(value(&cached(&a, 1).await), Some(11), "it was told");
}

#[tokio::test(start_paused = true)]
async fn a_get_returns_what_is_stale_only_within_its_window() {
    let remote = FakeRemote::default();
    let cache = node_of(builder().stale_while_revalidate(SECOND).stale_if_error(TTL), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    assert!(cache.get(&1).await.expect("in reach").is_some_and(|got| got.is_stale()));
    assert!(cache.peek(&1).is_some_and(|got| got.is_stale()));
    sleep(SECOND).await;
    assert!(cache.get(&1).await.expect("in reach").is_none());
    assert!(cache.peek(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_refresh_leaves_nothing_and_serves_nothing_stale() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let build = || builder().stale_while_revalidate(60 * SECOND).stale_if_error(60 * SECOND);
    let (a, b) = (node_of(build(), &remote), node_of(build(), &remote));
    load(&a, 1, 10).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    sleep(TTL + SECOND).await;
    origin.read(&a, 1, Ok(11), TAKES).await.expect("stale");
    sleep(TAKES / 2).await;
    b.remove(&1).await;
    for cache in [&a, &b] {
        failing(cache, &origin).await.expect_err("no stale value after a removal");
    }
    sleep(TAKES).await;
    assert!(a.get(&1).await.expect("in reach").is_none(), "the refresh was refused");
    assert!(b.get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failing_loader_is_tried_once_a_throttle_and_hidden_by_the_stale_value() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(60 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    for second in 0..60 {
        let got = failing(&cache, &origin).await.expect("stale");
        assert_eq!((value(&got), got.freshness, got.degraded), (Some(10), Freshness::Stale, true));
        assert_eq!(origin.loads(), 1 + second / 10, "second {second}");
        sleep(SECOND).await;
    }
    failing(&cache, &origin).await.expect_err("the limit is absolute");
    assert_eq!(cache.stats().stale, 60);
}

#[tokio::test(start_paused = true)]
async fn the_absolute_limit_holds_within_a_throttle_too() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(5 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL + 4 * SECOND).await;
    failing(&cache, &origin).await.expect("stale");
    sleep(SECOND).await;
    failing(&cache, &origin).await.expect_err("past the limit");
    assert_eq!(origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_works_again_is_used_after_the_throttle() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(60 * SECOND).error_throttle(SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    failing(&cache, &origin).await.expect("stale");
    assert_eq!(value(&load(&cache, 1, 11).await), Some(10), "left alone");
    sleep(SECOND).await;
    let got = load(&cache, 1, 11).await;
    assert_eq!((value(&got), got.freshness, got.degraded), (Some(11), Freshness::Fresh, false));
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_the_throttle() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(60 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    failing(&cache, &origin).await.expect("stale");
    cache.remove(&1).await;
    failing(&cache, &origin).await.expect_err("nothing to fall back to");
    assert_eq!(value(&load(&cache, 1, 12).await), Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_or_slow_loader_falls_back_as_well() {
    let remote = FakeRemote::default();
    let build = builder().stale_if_error(60 * SECOND).load_timeout(SECOND);
    let cache = node_of(build, &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    let panicking = |_: Load<u64>| -> std::future::Ready<Result<u64, OriginDown>> { panic!() };
    let got = cache.get_or_load(&1, panicking).await.expect("stale");
    assert_eq!(value(&got), Some(10));
    sleep(20 * SECOND).await;
    let hanging = |_: Load<u64>| std::future::pending::<Result<u64, OriginDown>>();
    let got = cache.get_or_load(&1, hanging).await.expect("stale");
    assert_eq!(value(&got), Some(10));
    assert_eq!(cache.stats().load_errors, 2);
}

#[tokio::test(start_paused = true)]
async fn a_soft_timeout_answers_with_the_stale_value_and_keeps_one_load() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let soft = Duration::from_millis(20);
    let build = || builder().stale_if_error(60 * SECOND).load_soft_timeout(soft);
    let cache = node_of(build(), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    for _ in 0..2 {
        let asked = Instant::now();
        let wave: Vec<_> =
            (0..100).map(|_| tokio::spawn(origin.read(&cache, 1, Ok(11), SECOND))).collect();
        for caller in wave {
            let got = caller.await.expect("no panic").expect("stale");
            assert_eq!((value(&got), got.freshness), (Some(10), Freshness::Stale));
            assert!(got.degraded);
        }
        assert!(asked.elapsed() <= soft, "{:?}", asked.elapsed());
    }
    sleep(SECOND).await;
    assert_eq!(value(&cached(&cache, 1).await), Some(11), "the load went on");
    assert_eq!(origin.loads(), 1);
    // Nothing stale to serve: the caller waits.
    let got = origin.read(&cache, 2, Ok(12), SECOND).await.expect("loads");
    assert_eq!(value(&got), Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_slow_l2_answers_with_the_stale_value_in_its_soft_timeout() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let soft = Duration::from_millis(5);
    let build = builder().stale_if_error(60 * SECOND).l2_soft_timeout(soft);
    let cache = node_of(build, &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    remote.slow_answer(2 * SECOND);
    let asked = Instant::now();
    let got = origin.read(&cache, 1, Ok(11), TAKES).await.expect("stale");
    assert_eq!((value(&got), got.freshness, got.degraded), (Some(10), Freshness::Stale, true));
    assert_eq!(asked.elapsed(), soft);
    // Without a stale value the loader runs at the deadline of L2.
    let asked = Instant::now();
    let got = origin.read(&cache, 2, Ok(12), TAKES).await.expect("loads");
    assert_eq!((value(&got), got.degraded), (Some(12), true));
    assert!(asked.elapsed() <= DEADLINE + TAKES, "{:?}", asked.elapsed());
    sleep(SECOND).await;
    remote.heal();
    assert_eq!(value(&cached(&cache, 2).await), Some(12), "no late answer replaced it");
}

#[tokio::test(start_paused = true)]
async fn a_hard_timeout_without_a_stale_value_is_an_error_at_the_bound() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let build = builder().load_timeout(SECOND).load_soft_timeout(SECOND / 2);
    let cache = node_of(build, &remote);
    let asked = Instant::now();
    let error = origin.read(&cache, 1, Ok(10), 60 * SECOND).await.expect_err("too slow");
    assert!(matches!(error, LoadError::TimedOut { after } if after == SECOND));
    assert_eq!(asked.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_an_entry_may_be_served_stale_is_cut_by_its_loader() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(60 * SECOND), &remote);
    load(&cache, 1, Loaded::new(10).stale_for(Duration::ZERO)).await;
    load(&cache, 2, Loaded::new(20).stale_for(100 * TTL)).await;
    load(&cache, 3, Loaded::absent()).await;
    sleep(TTL).await;
    failing(&cache, &origin).await.expect_err("not for a moment");
    let two = || origin.read(&cache, 2, Err(OriginDown), Duration::ZERO);
    two().await.expect("the cache's window");
    sleep(60 * SECOND).await;
    two().await.expect_err("not wider");
    let three = origin.read(&cache, 3, Err(OriginDown), Duration::ZERO).await;
    three.expect_err("absence is never served stale");
}

#[tokio::test(start_paused = true)]
async fn not_modified_keeps_the_value_for_another_ttl() {
    let remote = FakeRemote::default();
    let build = || builder().stale_if_error(600 * SECOND);
    let (a, b) = (node_of(build(), &remote), node_of(build(), &remote));
    load(&a, 1, 10).await;
    sleep(TTL).await;
    let revalidate = |load: Load<u64>| async move {
        assert_eq!(load.previous().map(|value| **value), Some(10));
        Ok::<_, OriginDown>(Loaded::not_modified())
    };
    // The other node has it from L2 only.
    let got = b.get_or_load(&1, revalidate).await.expect("kept");
    assert_eq!(
        (value(&got), got.freshness, got.layer),
        (Some(10), Freshness::Fresh, Layer::Loader)
    );
    sleep(TTL - SECOND).await;
    assert_eq!(cached(&b, 1).await.freshness, Freshness::Fresh);
    assert_eq!(value(&cached(&a, 1).await), Some(10), "L2 has it, too");
}

#[tokio::test(start_paused = true)]
async fn not_modified_without_a_value_is_an_error() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let keep = |_| async { Ok::<_, OriginDown>(Loaded::<u64>::not_modified()) };
    let error = cache.get_or_load(&1, keep).await.expect_err("nothing to keep");
    assert!(matches!(error, LoadError::NothingToKeep) && !error.is_retryable());
    load(&cache, 1, 10).await;
    cache.remove(&1).await;
    let error = cache.get_or_load(&1, keep).await.expect_err("it was removed");
    assert!(matches!(error, LoadError::NothingToKeep));
    let written = cache.set(&1, Loaded::not_modified()).await;
    assert_eq!((written.l1, written.l2), (false, crate::L2Write::Skipped));
    assert_eq!(value(&load(&cache, 1, 11).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_stays_when_l2_has_evicted_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().stale_if_error(60 * SECOND), &remote);
    load(&cache, 1, 10).await;
    sleep(TTL).await;
    // As after a restart of an L2 that keeps nothing.
    let empty = FakeRemote::default();
    let other = node_of(builder().stale_if_error(60 * SECOND), &empty);
    load(&other, 1, 10).await;
    sleep(TTL).await;
    remote.fail(Op::Read, Fault::Gone);
    let got = failing(&cache, &origin).await;
    got.expect_err("past its window");
    failing(&other, &origin).await.expect("within it");
}

#[tokio::test(start_paused = true)]
async fn jitter_cuts_each_ttl_once_for_all_nodes() {
    let remote = FakeRemote::default();
    let build = || builder().ttl_jitter(0.5);
    let (a, b) = (node_of(build(), &remote), node_of(build(), &remote));
    for key in 0..200 {
        load(&a, key, key).await;
        cached(&b, key).await;
    }
    let lives =
        |cache: &Numbers| -> Vec<bool> { (0..200).map(|key| cache.peek(&key).is_some()).collect() };
    sleep(TTL / 2 - SECOND).await;
    assert!(lives(&a).iter().all(|lives| *lives), "not before the fraction");
    sleep(TTL / 4 + SECOND).await;
    let left = lives(&a).iter().filter(|lives| **lives).count();
    assert!((60..=140).contains(&left), "{left} of 200 at three quarters");
    assert_eq!(lives(&a), lives(&b), "an entry has one end");
    sleep(TTL / 4).await;
    assert!(lives(&a).iter().all(|lives| !lives), "never longer than the TTL");
}
