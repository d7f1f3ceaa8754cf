//! Refresh ahead of the TTL.

use super::*;
use crate::Freshness;

const TTL: Duration = Duration::from_secs(300);
const TAKES: Duration = Duration::from_secs(1);

/// Reads until a read begins a refresh: at the very end hardly a draw says no.
async fn read_until_refreshing(cache: &Numbers, origin: &Origin, answer: Result<u64, OriginDown>) {
    sleep(TTL - Duration::from_millis(50)).await;
    while cache.stats().refreshes == 0 {
        let got = origin.read(cache, 1, answer.clone(), TAKES).await.expect("a hit");
        assert_eq!((value(&got), got.freshness), (Some(10), Freshness::Fresh));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_survives_its_caller_and_who_misses_waits_for_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    origin.read(&cache, 1, Ok(10), TAKES).await.expect("loads");
    // The reader that began it is long gone.
    read_until_refreshing(&cache, &origin, Ok(11)).await;
    sleep(Duration::from_millis(100)).await;
    let missed = origin.read(&cache, 1, Ok(12), TAKES).await.expect("loads");
    assert_eq!(value(&missed), Some(11), "that of the refresh");
    assert_eq!(origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_changes_nothing_and_is_not_repeated_at_once() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    origin.read(&cache, 1, Ok(10), TAKES).await.expect("loads");
    sleep(TTL - Duration::from_millis(1_500)).await;
    while cache.stats().refreshes == 0 {
        origin.read(&cache, 1, Err(OriginDown), Duration::ZERO).await.expect("a hit");
    }
    sleep(Duration::from_millis(1_400)).await;
    for _ in 0..1_000 {
        let got = origin.read(&cache, 1, Err(OriginDown), Duration::ZERO).await.expect("a hit");
        assert_eq!((value(&got), got.degraded), (Some(10), false));
    }
    assert_eq!(origin.loads(), 2, "left alone for the throttle");
    sleep(Duration::from_millis(100)).await;
    origin
        .read(&cache, 1, Err(OriginDown), Duration::ZERO)
        .await
        .expect_err("its TTL is as it was");
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_refresh_ahead_voids_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (node(&remote), node(&remote));
    origin.read(&a, 1, Ok(10), TAKES).await.expect("loads");
    read_until_refreshing(&a, &origin, Ok(11)).await;
    b.remove(&1).await;
    let after = origin.read(&a, 1, Ok(12), TAKES).await.expect("loads");
    assert_eq!(value(&after), Some(12), "not that of the refresh");
    sleep(TAKES * 2).await;
    assert_eq!(value(&cached(&a, 1).await), Some(12));
    assert_eq!(value(&cached(&b, 1).await), Some(12));
}

#[tokio::test(start_paused = true)]
async fn never_means_never() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node_of(builder().refresh_beta(0.0), &remote);
    origin.read(&cache, 1, Ok(10), TAKES).await.expect("loads");
    sleep(TTL - Duration::from_millis(1)).await;
    for _ in 0..1_000 {
        origin.read(&cache, 1, Ok(11), TAKES).await.expect("a hit");
    }
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn however_many_nodes_share_a_key_few_loads_a_ttl_refresh_it() {
    const TTLS: u32 = 20;
    for count in [1_u64, 2, 8, 32] {
        let (remote, origin) = (FakeRemote::default(), Origin::default());
        let ttl = Duration::from_secs(20);
        let nodes: Vec<_> =
            (0..count).map(|_| node_of(builder().ttl(ttl), &remote.another())).collect();
        let load_takes = Duration::from_millis(200);
        // Every node reads ten times a second.
        for _ in 0..TTLS * 200 {
            for node in &nodes {
                drop(tokio::spawn(origin.read(node, 1, Ok(10), load_takes)));
            }
            sleep(Duration::from_millis(100)).await;
        }
        let mean = origin.loads() as f64 / f64::from(TTLS);
        assert!((1.0..=3.0).contains(&mean), "{count} nodes: {mean} loads a TTL");
        // With many readers one of them is drawn in time, and nobody waits.
        let waited: u64 = nodes.iter().map(|node| node.stats().misses).sum();
        let all = u64::from(TTLS) * count;
        assert!(count < 8 || waited <= all / 4, "{count} nodes: {waited} of {all} TTLs waited for");
    }
}
