//! What stands in L2, and what happens when it is not ours.

use super::*;
use crate::record::tests::plain;
use crate::remote::Remote;
use crate::{CacheKey, L2Write, Layer};

async fn plant(remote: &FakeRemote, key: &str, bytes: Vec<u8>) {
    remote.put(key, bytes.into(), Duration::from_secs(60), Duration::ZERO).await.expect("stored");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_ours_are_a_counted_miss_and_get_replaced() {
    let good = plain("numbers:1", 0, &7_u64);
    let wrong_key = plain("numbers:2", 0, &7_u64).to_vec();
    let truncated = good[..good.len() - 1].to_vec();
    let huge = plain("numbers:1", 0, &vec![7_u8; 1 << 20]).to_vec();
    let planted = [b"plain text".to_vec(), vec![0; 64], truncated, wrong_key, huge];
    for bytes in planted {
        let remote = FakeRemote::default();
        let cache = node(&remote);
        plant(&remote, "numbers:1", bytes).await;
        assert!(cache.get(&1).await.expect("a miss, not an error").is_none());
        let got = load(&cache, 1, 8).await;
        assert_eq!((value(&got), got.degraded), (Some(8), false));
        assert_eq!(cache.stats().corrupt, 2);
        assert_eq!(value(&cached(&node(&remote), 1).await), Some(8), "replaced");
    }
}

#[tokio::test(start_paused = true)]
async fn values_of_another_type_or_codec_are_a_counted_miss() {
    let remote = FakeRemote::default();
    let words: Cache<u64, String> =
        Cache::builder("numbers").remote(remote.clone()).build().expect("valid");
    words.set(&1, "text".to_owned()).await;
    let cache = node(&remote);
    assert!(cache.get(&1).await.expect("a miss, not an error").is_none());
    assert_eq!(cache.stats().corrupt, 1);
    #[cfg(feature = "json")]
    {
        let json = node_of(builder().codec(crate::Json), &remote);
        load(&cache, 2, 7).await;
        assert_eq!(value(&load(&json, 2, 8).await), Some(8));
        assert_eq!(json.stats().corrupt, 1);
        assert_eq!(
            value(&load(&node_of(builder().codec(crate::Json), &remote), 2, 9).await),
            Some(8)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_the_first_format_is_still_read_until_it_is_cleared() {
    type Auctions = Cache<u64, (String, u64, Vec<u32>)>;
    let remote = FakeRemote::default();
    let node = || -> Auctions {
        Cache::builder("auction").schema(3).remote(remote.clone()).build().expect("valid")
    };
    let bytes = include_bytes!("../../../tests/fixtures/format_1_value.bin");
    plant(&remote, "auction:42", bytes.to_vec()).await;
    let got = node().get(&42).await.expect("in reach").expect("there");
    assert_eq!(got.value.as_deref().map(|auction| &*auction.0), Some("a lamp"));
    let (here, there) = (node(), node());
    assert!(here.get(&42).await.expect("in reach").is_some());
    sleep(Duration::from_millis(1)).await;
    there.clear().await;
    assert!(here.get(&42).await.expect("in reach").is_none());
    assert!(node().get(&42).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn another_schema_is_a_miss() {
    let remote = FakeRemote::default();
    let (old, new) = (node(&remote), node_of(builder().schema(1), &remote));
    load(&old, 1, 10).await;
    assert_eq!(value(&load(&new, 1, 11).await), Some(11));
    assert_eq!(new.stats().corrupt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_too_large_for_l2_lives_in_l1_and_removes_the_old_one() {
    let remote = FakeRemote::default();
    let build = || {
        let builder = Cache::<u64, Vec<u8>>::builder("blobs").max_record_bytes(1 << 10);
        builder.remote(remote.clone()).build().expect("valid")
    };
    let cache = build();
    cache.set(&1, vec![1; 10]).await;
    let written = cache.set(&1, vec![2; 2_000]).await;
    assert!(written.l1);
    assert_eq!(written.l2, L2Write::Unstorable);
    assert_eq!(cache.get(&1).await.expect("in reach").expect("in L1").layer, Layer::L1);
    assert!(build().get(&1).await.expect("in reach").is_none(), "the old one is gone");
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_start_alike_share_nothing() {
    let remote = FakeRemote::default();
    let cache = |namespace: &str| {
        let cache: Cache<String, u64> =
            Cache::builder(namespace).remote(remote.clone()).build().expect("valid");
        cache
    };
    cache("users").set("Abc:1", 1).await;
    assert!(cache("usersAbc").get("1").await.expect("in reach").is_none());
    assert!(cache("users").get("Abc:1").await.expect("in reach").is_some());
}

#[tokio::test]
async fn text_keys_are_looked_up_without_owning_them() {
    let cache: Cache<String, u64> = Cache::builder("texts").build().expect("valid");
    cache.set("a", 1).await;
    assert_eq!(value(&cache.get("a").await.expect("no remote").expect("set")), Some(1));
    let owned = "a".to_owned();
    assert_eq!(value(&cache.get(&owned).await.expect("no remote").expect("set")), Some(1));
    let statics: Cache<&'static str, u64> = Cache::builder("statics").build().expect("valid");
    statics.set(&"a", 1).await;
    assert!(statics.get(&"a").await.expect("no remote").is_some());
}

#[test]
fn integers_write_themselves() {
    let mut text = String::new();
    u64::MAX.write_key(&mut text);
    (-7_i32).write_key(&mut text);
    assert_eq!(text, "18446744073709551615-7");
}
