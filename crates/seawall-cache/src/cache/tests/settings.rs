//! What a cache is made of.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;
use crate::Layer;

#[tokio::test(start_paused = true)]
async fn a_local_cache_holds_values_that_cannot_be_written() {
    // Neither `Clone` nor serde's.
    let cache: Cache<&'static str, parking_lot::Mutex<u64>> =
        Cache::local("shared").build().expect("valid");
    let loader = |_| async { Ok::<_, OriginDown>(parking_lot::Mutex::new(7)) };
    let got = cache.get_or_load(&"a", loader).await.expect("loads");
    *got.value.expect("there").lock() += 1;
    let got = cache.get(&"a").await.expect("no remote").expect("kept");
    assert_eq!((got.layer, *got.value.expect("there").lock()), (Layer::L1, 8));
    cache.invalidate_tag("none").await;
    cache.clear().await;
    assert!(cache.get(&"a").await.expect("no remote").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_codec_of_ones_own_reaches_l2() {
    struct Reversed;

    impl crate::Codec<String> for Reversed {
        fn id(&self) -> u8 {
            200
        }
        fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), crate::CodecError> {
            out.extend(value.bytes().rev());
            Ok(())
        }
        fn decode(&self, bytes: &[u8]) -> Result<String, crate::CodecError> {
            String::from_utf8(bytes.iter().rev().copied().collect()).map_err(crate::CodecError::new)
        }
    }

    let remote = FakeRemote::default();
    let build = || -> Cache<u64, String> {
        Cache::local("texts").codec(Reversed).remote(remote.clone()).build().expect("valid")
    };
    build().set(&1, "lamp".to_owned()).await;
    let got = build().get(&1).await.expect("in reach").expect("there");
    assert_eq!(got.value.as_deref().map(String::as_str), Some("lamp"));
}

#[tokio::test(start_paused = true)]
async fn a_capacity_in_bytes_is_kept() {
    let weigher = |_: &u64, value: Option<&Vec<u8>>| value.map_or(16, |value| value.len() as u32);
    let cache: Cache<u64, Vec<u8>> =
        Cache::builder("blobs").capacity_bytes(10_000, weigher).build().expect("valid");
    for key in 0..1_000 {
        cache.set(&key, vec![0; 100]).await;
    }
    sleep(Duration::from_secs(2)).await;
    cache.set(&1_000, vec![0; 100]).await;
    let kept = (0..=1_000).filter(|key| cache.peek(key).is_some()).count();
    assert!((1..=130).contains(&kept), "{kept} entries of 100 bytes");
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    fn field<V: Send + Sync + 'static>(builder: CacheBuilder<u64, V>) -> &'static str {
        match builder.build() {
            Err(crate::Error::Config(error)) => error.field,
            other => panic!("{other:?}"),
        }
    }
    let ms = Duration::from_millis(1);
    assert_eq!(field(builder().ttl_jitter(f64::NAN)), "ttl_jitter");
    assert_eq!(field(builder().ttl_jitter(0.91)), "ttl_jitter");
    assert_eq!(field(builder().refresh_beta(-1.0)), "refresh_beta");
    assert_eq!(field(builder().stale_if_error(Duration::MAX)), "stale_if_error");
    assert_eq!(field(builder().error_throttle(Duration::ZERO)), "error_throttle");
    assert_eq!(field(builder().load_soft_timeout(Duration::from_secs(30))), "load_soft_timeout");
    assert_eq!(field(builder().l2_soft_timeout(Duration::ZERO)), "l2_soft_timeout");
    assert_eq!(field(builder().lease_ttl(ms)), "lease_ttl");
    assert_eq!(field(builder().max_staleness(ms)), "max_staleness");
    assert_eq!(field(builder().max_value_bytes(1)), "max_value_bytes");
    assert_eq!(field(builder().capacity_bytes(1, |_, _| 1)), "capacity_bytes");
    let config = crate::CacheConfig { capacity_bytes: Some(4_096), ..Default::default() };
    assert_eq!(field(builder().config(config)), "capacity_bytes");
    let local = Cache::<u64, u64>::local("numbers").remote(FakeRemote::default());
    assert_eq!(field(local), "codec");
}

#[tokio::test(start_paused = true)]
async fn hits_have_their_other_name_only_where_it_is_asked_for() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let (plain, named) = metrics::with_local_recorder(&recorder, || {
        let plain: Numbers = builder().build().expect("valid");
        (plain, Cache::<u64, u64>::builder("named").hits_alias().build().expect("valid"))
    });
    for cache in [&plain, &named] {
        for _ in 0..3 {
            load(cache, 1, 10).await;
        }
    }
    // Hits of the last tenth of a second need not have reached the recorder otherwise.
    assert_eq!((plain.stats().l1_hits, named.stats().l1_hits), (2, 2));
    let hits: Vec<_> = snapshots
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| key.key().name() == "cache_hits_total")
        .filter_map(|(key, _, _, value)| match value {
            DebugValue::Counter(count) if count > 0 => {
                let labels = key.key().labels().map(|label| label.value().to_owned());
                Some((labels.collect::<Vec<_>>().join(" "), count))
            }
            _ => None,
        })
        .collect();
    assert_eq!(hits, [("l1 named".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_peek_sees_l1_only_and_counts_nothing() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    assert!(a.peek(&1).is_none());
    b.set(&1, 10).await;
    assert!(a.peek(&1).is_none());
    cached(&a, 1).await;
    let before = a.stats();
    assert_eq!(a.peek(&1).as_ref().and_then(value), Some(10));
    assert_eq!(a.stats(), before);
}

#[tokio::test(start_paused = true)]
async fn a_large_value_is_compressed_in_l2_and_comes_back_whole() {
    let remote = FakeRemote::default();
    let build = || -> Cache<u64, Vec<u8>> {
        Cache::builder("blobs").remote(remote.clone()).build().expect("valid")
    };
    let value = vec![7_u8; 100_000];
    build().set(&1, value.clone()).await;
    let got = build().get(&1).await.expect("in reach").expect("there");
    assert_eq!(got.value.as_deref(), Some(&value));
    #[cfg(feature = "zstd")]
    {
        let stored = crate::Remote::read(&remote.store, "blobs:1").await.expect("in reach");
        assert!(stored.bytes.expect("there").len() < 1_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_capacity_that_shrinks_lets_entries_go_and_grows_back() {
    let cache: Cache<u64, u64> = Cache::builder("numbers").capacity(1_000).build().expect("valid");
    for key in 0..1_000 {
        let _ = cache.set(&key, key).await;
    }
    assert_eq!((cache.capacity(), cache.stats().entries), (1_000, 1_000));
    cache.set_capacity(100);
    assert_eq!(cache.capacity(), 100);
    sleep(Duration::from_secs(30)).await;
    let stats = cache.stats();
    assert!(stats.entries <= 107 && stats.weight == stats.entries, "{stats:?}");
    assert!(stats.evictions >= 893, "{stats:?}");
    cache.set_capacity(u64::MAX);
    assert_eq!(cache.capacity(), 1_000, "not more than it was built with");
    for key in 0..1_000 {
        let _ = cache.set(&key, key).await;
    }
    assert!(cache.stats().entries > 900);
}
