//! How long entries live.

use tokio::time::Instant;

use super::*;
use crate::builder::Parts;
use crate::local::Clock;
use crate::{CacheConfig, EngineKind, Layer, MAX_TTL};

#[tokio::test(start_paused = true)]
async fn an_entry_expires_in_both_layers() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    load(&cache, 1, 10).await;
    sleep(Duration::from_millis(299_990)).await;
    let got = cached(&cache, 1).await;
    assert_eq!(got.layer, Layer::L1);
    assert_eq!(got.age, Duration::from_millis(299_990));
    sleep(Duration::from_millis(20)).await;
    assert_eq!(value(&load(&cache, 1, 11).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn l1_does_not_outlive_what_is_left_in_l2() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    load(&a, 1, 10).await;
    sleep(Duration::from_millis(299_700)).await;
    let got = cached(&b, 1).await;
    assert_eq!(got.layer, Layer::L2);
    assert_eq!(got.age.as_millis(), 299_700, "since it was loaded, by the clock of L2");
    sleep(Duration::from_millis(299)).await;
    assert_eq!(cached(&b, 1).await.layer, Layer::L1);
    sleep(Duration::from_millis(1)).await;
    assert!(b.get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn time_spent_waiting_for_l2_counts() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    load(&a, 1, 10).await;
    sleep(Duration::from_millis(299_900)).await;
    remote.slow_answer(Duration::from_millis(80));
    cached(&b, 1).await;
    remote.heal();
    sleep(Duration::from_millis(20)).await;
    assert!(b.get(&1).await.expect("in reach").is_none(), "100 ms were left, 80 of them waited");
}

#[tokio::test(start_paused = true)]
async fn l1_may_be_shorter_than_l2() {
    let remote = FakeRemote::default();
    remote.lose_messages();
    let (a, b) = (node_of(builder().l1_ttl(Duration::from_secs(1)), &remote), node(&remote));
    load(&a, 1, 10).await;
    assert_eq!(cached(&a, 1).await.layer, Layer::L1);
    b.set(&1, 11).await;
    assert_eq!(value(&cached(&a, 1).await), Some(10), "the stated bound");
    sleep(Duration::from_secs(1)).await;
    let got = cached(&a, 1).await;
    assert_eq!((value(&got), got.layer), (Some(11), Layer::L2));
}

#[tokio::test(start_paused = true)]
async fn absence_is_kept_for_its_own_ttl() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    assert!(load(&cache, 1, Loaded::absent()).await.is_absent());
    let got = origin.read(&cache, 1, Ok(10), Duration::ZERO).await.expect("cached");
    assert!(got.is_absent() && origin.loads() == 0);
    assert!(cached(&node(&remote), 1).await.is_absent(), "it survives the way through L2");
    sleep(Duration::from_secs(30)).await;
    let got = origin.read(&cache, 1, Ok(10), Duration::ZERO).await.expect("loads");
    assert_eq!((value(&got), origin.loads()), (Some(10), 1));
}

#[tokio::test(start_paused = true)]
async fn absent_unknown_and_failed_are_three_things() {
    let remote = FakeRemote::default();
    let cache: Cache<u64, Option<u64>> =
        Cache::builder("options").remote(remote.clone()).build().expect("valid");
    cache.set(&1, Loaded::new(None)).await;
    cache.set(&2, Loaded::absent()).await;
    let other: Cache<u64, Option<u64>> =
        Cache::builder("options").remote(remote).build().expect("valid");
    let null = other.get(&1).await.expect("in reach").expect("known");
    assert_eq!(null.into_value().as_deref(), Some(&None), "a value that happens to be None");
    assert!(other.get(&2).await.expect("in reach").expect("known").is_absent());
    assert!(other.get(&3).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn no_ttl_is_too_odd() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let nano = Duration::from_nanos(1);
    for (key, ttl) in [(1, Duration::ZERO), (2, nano), (3, Duration::MAX)] {
        assert_eq!(value(&load(&cache, key, Loaded::new(key).ttl(ttl)).await), Some(key));
        cache.set(&(key + 10), Loaded::new(key).ttl(ttl)).await;
    }
    sleep(Duration::from_millis(2)).await;
    for key in [1, 2, 11, 12] {
        assert!(cache.get(&key).await.expect("in reach").is_none(), "{key}");
    }
    sleep(MAX_TTL - Duration::from_secs(1)).await;
    assert_eq!(value(&cached(&cache, 3).await), Some(3));
    sleep(Duration::from_secs(1)).await;
    assert!(cache.get(&3).await.expect("in reach").is_none(), "nothing is for ever");
    assert!(cache.get(&13).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_uncached_answer_is_kept_nowhere() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    assert_eq!(value(&load(&cache, 1, Loaded::new(1).uncached()).await), Some(1));
    assert!(cache.get(&1).await.expect("in reach").is_none());
    cache.set(&2, 2).await;
    cache.set(&2, Loaded::new(3).uncached()).await;
    assert!(cache.get(&2).await.expect("in reach").is_none(), "as a set it removes");
}

#[test]
fn settings_out_of_bounds_are_named() {
    let field = |builder: CacheBuilder<u64, u64>| match builder.build() {
        Err(crate::Error::Config(error)) => error.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(builder().ttl(Duration::ZERO)), "ttl");
    assert_eq!(field(builder().ttl(Duration::MAX)), "ttl");
    assert_eq!(field(builder().l1_ttl(Duration::ZERO)), "l1_ttl");
    assert_eq!(field(builder().capacity(0)), "capacity");
    assert_eq!(field(builder().load_timeout(Duration::from_secs(60))), "tombstone_ttl");
    assert_eq!(field(builder().max_record_bytes(10)), "max_record_bytes");
    assert_eq!(field(Cache::builder("")), "namespace");
    assert_eq!(field(Cache::builder("a:b")), "namespace");
}

#[tokio::test(start_paused = true)]
async fn without_a_remote_there_is_nobody_to_ask_after_the_l1_ttl() {
    let second = Duration::from_secs(1);
    let cache = builder().l1_ttl(second).build().expect("valid");
    load(&cache, 1, 10).await;
    sleep(100 * second).await;
    assert_eq!(value(&cached(&cache, 1).await), Some(10), "for its TTL");
}

/// On real time: a coarse clock knows no other. With TTLs below a tick of the kernel, below what
/// the clock may be ahead, and above both.
#[tokio::test]
async fn with_a_coarse_clock_a_hit_ends_with_its_ttl_not_before_and_not_after() {
    let kinds = [
        EngineKind::Moka,
        #[cfg(feature = "quick")]
        EngineKind::Quick,
    ];
    let each = kinds.map(|kind| [(kind, 1, 30), (kind, 7, 20), (kind, 30, 20)]);
    for (engine, ttl, keys) in each.into_iter().flatten() {
        let ttl = Duration::from_millis(ttl);
        let cache: Cache<u64, u64> = Cache::new(Parts {
            namespace: "coarse".into(),
            config: CacheConfig { ttl, engine, ..CacheConfig::default() },
            remote: None,
            codec: None,
            weigher: None,
            budget: None,
            clock: Clock::coarse(),
        });
        let mut outlived = 0;
        for key in 0..keys {
            let before = Instant::now();
            let _ = cache.set(&key, key).await;
            let after = Instant::now();
            loop {
                let asked = Instant::now();
                let Some(got) = cache.get(&key).await.expect("there is no L2") else {
                    assert!(before.elapsed() >= ttl, "it ended early");
                    break;
                };
                if asked >= after + ttl || got.age >= ttl {
                    outlived += 1;
                    break;
                }
            }
        }
        // Where the kernel is kept from its tick, as on a crowded machine, they do.
        assert!(outlived <= keys / 4, "{outlived} of {keys} lived for longer than {ttl:?}");
    }
}
