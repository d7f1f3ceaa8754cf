//! Many keys in one call.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::remote::fake::Op;
use crate::{Freshness, L2Write, Layer, LoadMany};

const TAKES: Duration = Duration::from_millis(50);

/// An origin that is asked for many keys at once, and answers ten times the key.
#[derive(Clone, Default)]
struct Table {
    calls: Arc<Mutex<Vec<Vec<u64>>>>,
}

type Ends = Vec<Result<Got<u64>, LoadError<OriginDown>>>;

impl Table {
    fn read(&self, cache: &Numbers, keys: Vec<u64>) -> impl Future<Output = Ends> + Send + 'static {
        let (calls, cache) = (Arc::clone(&self.calls), cache.clone());
        async move {
            let loader = move |keys: Vec<u64>, _: LoadMany<u64, u64>| {
                calls.lock().push(keys.clone());
                async move {
                    sleep(TAKES).await;
                    Ok(keys.into_iter().map(|key| (key, key * 10)).collect::<HashMap<_, _>>())
                }
            };
            cache.get_many_or_load(&keys, loader).await
        }
    }

    /// The keys of each call, sorted, since the last look.
    fn calls(&self) -> Vec<Vec<u64>> {
        let mut calls = std::mem::take(&mut *self.calls.lock());
        calls.iter_mut().for_each(|keys| keys.sort_unstable());
        calls
    }
}

fn values(ends: &[Result<Got<u64>, LoadError<OriginDown>>]) -> Vec<Option<u64>> {
    ends.iter().map(|end| value(end.as_ref().expect("loads"))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_loader_gets_exactly_the_missing_keys_once() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote.another()), node(&remote.another()));
    let table = Table::default();
    a.set(&1, 100).await;
    b.set(&2, 200).await;
    let got = table.read(&a, vec![5, 1, 2, 5, 3, 1, 4]).await;
    let layers: Vec<_> = got.iter().map(|got| got.as_ref().expect("loads").layer).collect();
    assert_eq!(values(&got), [50, 100, 200, 50, 30, 100, 40].map(Some), "in the order of the keys");
    assert_eq!((layers[1], layers[2], layers[3]), (Layer::L1, Layer::L2, Layer::Loader));
    assert_eq!(table.calls(), [[3, 4, 5]]);
    assert_eq!(values(&table.read(&a, vec![1, 2, 3, 4, 5]).await).len(), 5);
    assert_eq!(values(&table.read(&b, vec![3, 4, 5]).await), [30, 40, 50].map(Some));
    assert_eq!(table.calls().len(), 0, "both layers have them");
    assert!(
        a.get_many_or_load(&[], |_, _| async {
            Ok::<HashMap<u64, u64>, OriginDown>(HashMap::new())
        })
        .await
        .is_empty()
    );
    assert_eq!(a.inner.local.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_keys_are_few_commands() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    let table = Table::default();
    let keys: Vec<u64> = (0..500).collect();
    let asked = Instant::now();
    assert_eq!(values(&table.read(&a, keys.clone()).await).len(), 500);
    assert_eq!(asked.elapsed(), TAKES);
    assert_eq!(table.calls(), std::slice::from_ref(&keys));
    assert_eq!(remote.calls.of(Op::ReadMany), 2, "256 keys a command");
    let got = b.get_many(&keys).await;
    assert!(got.iter().all(|got| got.as_ref().is_ok_and(Option::is_some)));
    assert_eq!((remote.calls.of(Op::ReadMany), remote.calls.of(Op::Read)), (4, 0));
    assert_eq!(b.stats().l2_hits, 500);
}

#[tokio::test(start_paused = true)]
async fn batches_and_single_reads_share_one_load() {
    let remote = FakeRemote::default();
    for cache in [node(&remote), Cache::local("numbers").build().expect("valid")] {
        let (table, origin) = (Table::default(), Origin::default());
        let single = tokio::spawn(origin.read(&cache, 1, Ok(11), TAKES));
        yield_all().await;
        let first = tokio::spawn(table.read(&cache, vec![1, 2, 3]));
        yield_all().await;
        let second = tokio::spawn(table.read(&cache, vec![3, 4]));
        let other = cache.get_or_load(&2, |_| async { Err::<u64, _>(std::fmt::Error) });
        assert_eq!(value(&other.await.expect("joins the batch")), Some(20));
        assert_eq!(values(&first.await.expect("no panic")), [11, 20, 30].map(Some));
        assert_eq!(values(&second.await.expect("no panic")), [30, 40].map(Some));
        single.await.expect("no panic").expect("loads");
        assert_eq!(table.calls(), [vec![2, 3], vec![4]]);
        assert_eq!(origin.loads(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_another_node_loads_are_waited_for() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote.another()), node(&remote.another()));
    let (table, origin) = (Table::default(), Origin::default());
    let there = tokio::spawn(origin.read(&b, 2, Ok(22), TAKES));
    let fails_there = tokio::spawn(origin.read(&b, 3, Err(OriginDown), TAKES));
    yield_all().await;
    assert_eq!(values(&table.read(&a, vec![1, 2, 3]).await), [10, 22, 30].map(Some));
    assert_eq!(table.calls(), [vec![1], vec![3]], "once more for what the other did not bring");
    there.await.expect("no panic").expect("loads");
    fails_there.await.expect("no panic").expect_err("its own failure");
}

#[tokio::test(start_paused = true)]
async fn keys_fail_one_by_one_or_all_together() {
    let cache: Numbers = builder().build().expect("valid");
    let partly = |keys: Vec<u64>, _| async move {
        let answer = |key: u64| match key {
            1 => Some((key, Ok(Loaded::new(10)))),
            2 => Some((key, Err(OriginDown))),
            _ => None,
        };
        Ok(keys.into_iter().filter_map(answer).collect::<Vec<_>>())
    };
    let got = cache.get_many_or_load(&[1, 2, 3], partly).await;
    assert_eq!(value(got[0].as_ref().expect("loads")), Some(10));
    assert_eq!(got[1].as_ref().expect_err("its own").loader_error(), Some(&OriginDown));
    assert!(got[2].as_ref().expect("left out").is_absent());
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_errors), (1, 0));

    let whole = |_, _| async { Err::<HashMap<u64, u64>, _>(OriginDown) };
    let got = cache.get_many_or_load(&[1, 2, 3, 4], whole).await;
    assert!(got[0].is_ok() && got[2].is_ok(), "cached");
    for failed in [1, 3] {
        assert_eq!(got[failed].as_ref().expect_err("all").loader_error(), Some(&OriginDown));
    }
    let panics = |_: Vec<u64>,
                  _: LoadMany<u64, u64>|
     -> std::future::Ready<Result<HashMap<u64, u64>, OriginDown>> {
        panic!("its own bug")
    };
    let got = cache.get_many_or_load(&[5, 6], panics).await;
    assert!(got.iter().all(|got| matches!(got, Err(LoadError::Panicked))));
    assert_eq!(cache.inner.local.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_batch_voids_its_key_and_no_other() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    let table = Table::default();
    let batch = tokio::spawn(table.read(&a, vec![1, 2, 3]));
    sleep(TAKES / 2).await;
    a.remove(&1).await;
    b.remove(&2).await;
    let after = load(&a, 1, 99).await;
    assert_eq!(value(&after), Some(99), "did not join the batch");
    assert_eq!(values(&batch.await.expect("no panic")), [10, 20, 30].map(Some));
    assert_eq!(value(&cached(&a, 1).await), Some(99));
    assert!(a.get(&2).await.expect("in reach").is_none());
    assert_eq!(value(&cached(&b, 3).await), Some(30));
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_caller_left_still_fills_the_cache() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let table = Table::default();
    let caller = tokio::spawn(table.read(&cache, vec![1, 2]));
    sleep(TAKES / 2).await;
    caller.abort();
    cache.shutdown().await;
    assert_eq!(value(&cached(&cache, 2).await), Some(20));
    assert_eq!(cache.inner.local.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_serves_stale_values_and_refreshes_them_together() {
    let remote = FakeRemote::default();
    let cache = node_of(builder().stale_while_revalidate(Duration::from_secs(60)), &remote);
    let table = Table::default();
    for key in 1..=3 {
        load(&cache, key, key).await;
    }
    sleep(Duration::from_secs(301)).await;
    let asked = Instant::now();
    let got = table.read(&cache, vec![1, 2, 3]).await;
    assert!(got.iter().flatten().all(|got| got.freshness == Freshness::Stale));
    assert_eq!(values(&got), [1, 2, 3].map(Some));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sleep(TAKES * 2).await;
    assert_eq!(table.calls(), [[1, 2, 3]]);
    assert_eq!(value(&cached(&cache, 2).await), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_falls_back_to_what_is_stale() {
    let remote = FakeRemote::default();
    let build = builder().stale_if_error(Duration::from_secs(60)).load_soft_timeout(TAKES / 2);
    let cache = node_of(build, &remote);
    load(&cache, 1, 10).await;
    sleep(Duration::from_secs(301)).await;
    let failing = |_, _| async { Err::<HashMap<u64, u64>, _>(OriginDown) };
    let got = cache.get_many_or_load(&[1, 2], failing).await;
    assert!(got[0].as_ref().is_ok_and(|got| got.is_stale() && got.degraded));
    assert!(got[1].is_err());
    sleep(Duration::from_secs(11)).await;
    let asked = Instant::now();
    let got = Table::default().read(&cache, vec![1]).await;
    assert!(got[0].as_ref().is_ok_and(|got| got.is_stale() && got.degraded));
    assert_eq!(asked.elapsed(), TAKES / 2);
    sleep(TAKES).await;
    assert!(!cached(&cache, 1).await.is_stale());
}

#[tokio::test(start_paused = true)]
async fn batches_go_on_without_l2() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    cache.set(&1, 100).await;
    remote.disconnect();
    let table = Table::default();
    let got = table.read(&cache, vec![1, 2, 3]).await;
    assert!(got[1..].iter().flatten().all(|got| got.degraded));
    assert_eq!(values(&got), [100, 20, 30].map(Some));
    let got = cache.get_many(&[1, 7, 7]).await;
    assert!(got[0].is_ok() && got[1].is_err() && got[2].is_err(), "none is not unknown");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_told_what_removals_ask_for_and_what_there_was() {
    let remote = FakeRemote::default();
    let cache = node_of(builder().stale_if_error(Duration::from_secs(600)), &remote);
    cache.set(&1, 10).await;
    sleep(Duration::from_secs(301)).await;
    cache.remove_after(&2, 50).await;
    let loader = |keys: Vec<u64>, load: LoadMany<u64, u64>| async move {
        assert_eq!(load.min_source(), Some(50));
        assert_eq!(load.previous(&1).map(|value| **value), Some(10));
        assert!(load.previous(&2).is_none());
        let answer = |key| match key {
            1 => Loaded::not_modified(),
            _ => Loaded::new(20).source(49),
        };
        Ok::<_, OriginDown>(keys.into_iter().map(|key| (key, answer(key))).collect::<Vec<_>>())
    };
    let got = cache.get_many_or_load(&[1, 2], loader).await;
    assert_eq!(value(got[0].as_ref().expect("kept")), Some(10));
    assert!(got[1].as_ref().expect("loads").degraded, "an older source");
    assert!(!cached(&cache, 1).await.is_stale());
    assert!(cache.get(&2).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn many_tags_of_a_batch_are_one_command() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    let loader = |keys: Vec<u64>, _| async move {
        let tagged = |key: u64| (key, Loaded::new(key).tags([format!("row:{key}"), "all".into()]));
        Ok::<_, OriginDown>(keys.into_iter().map(tagged).collect::<Vec<_>>())
    };
    let keys: Vec<u64> = (0..100).collect();
    let got = a.get_many_or_load(&keys, loader).await;
    assert!(got.iter().all(Result::is_ok));
    assert_eq!(remote.calls.of(Op::Marks), 2, "the namespace, then the tags");
    assert_eq!(b.get_many(&keys).await.iter().flatten().flatten().count(), 100);
    assert!(remote.calls.of(Op::Marks) <= 4);
    b.invalidate_tag("row:7").await;
    let left = a.get_many(&keys).await;
    assert_eq!(left.iter().flatten().flatten().count(), 99);
    b.invalidate_tag("all").await;
    assert_eq!(a.get_many(&keys).await.iter().flatten().flatten().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn writes_of_many_keys_are_answered_in_order() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    let written = a.set_many((0..300).map(|key| (key % 299, key))).await;
    assert_eq!(written.len(), 300);
    assert!(written.iter().all(|written| written.l2 == L2Write::Done));
    assert_eq!(value(&cached(&b, 0).await), Some(299), "the later of two is the last");
    assert_eq!(value(&cached(&a, 0).await), Some(299));
    let removed = b.remove_many(&(0..200).collect::<Vec<_>>()).await;
    assert!(removed.iter().all(|removed| removed.l1 && removed.l2 == L2Write::Done));
    assert!(a.get(&199).await.expect("in reach").is_none());
    assert_eq!(value(&cached(&a, 200).await), Some(200));
    remote.disconnect();
    let written = a.set_many([(1, 1), (2, 2)]).await;
    assert!(written.iter().all(|written| written.l1 && written.is_partial()));
    assert!(a.remove_many(&[200]).await[0].is_partial());
    assert!(a.set_many(Vec::<(u64, u64)>::new()).await.is_empty());
}
