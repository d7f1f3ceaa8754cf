//! L2 out of reach: reads go on, removals are not forgotten.

use tokio::time::Instant;

use super::*;
use crate::remote::fake::Op;
use crate::{Error, L2Write, Layer};

#[tokio::test(start_paused = true)]
async fn reads_go_on_through_the_loader_when_l2_is_frozen() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    load(&cache, 0, 10).await;
    remote.freeze();
    let asked = Instant::now();
    let got = load(&cache, 1, 11).await;
    assert_eq!((value(&got), got.degraded), (Some(11), true));
    assert_eq!(asked.elapsed(), DEADLINE, "the first pays one deadline");
    for key in 2..4 {
        load(&cache, key, key).await;
    }
    let asked = Instant::now();
    for key in 4..100 {
        assert!(load(&cache, key, key).await.degraded);
    }
    assert_eq!(asked.elapsed(), Duration::ZERO, "the breaker is open");
    assert_eq!(cached(&cache, 0).await.layer, Layer::L1, "L1 is as it was");
    assert_eq!(cached(&cache, 1).await.layer, Layer::L1, "and keeps what was loaded");
    assert_eq!(cache.stats().l2_errors, 99);
}

#[tokio::test(start_paused = true)]
async fn l2_is_used_again_when_it_is_back() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.disconnect();
    for key in 0..10 {
        load(&cache, key, key).await;
    }
    remote.heal();
    sleep(Duration::from_secs(1)).await;
    assert!(!load(&cache, 10, 10).await.degraded);
    assert_eq!(value(&cached(&node(&remote), 10).await), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_read_without_loader_says_that_it_could_not_look() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.disconnect();
    assert!(matches!(cache.get(&1).await, Err(Error::Remote(_))));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_l2_did_not_take_stays_in_l1() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    let loader_then_outage = {
        let remote = remote.clone();
        move |_: Load<u64>| async move {
            remote.freeze();
            Ok::<_, OriginDown>(10)
        }
    };
    let got = cache.get_or_load(&1, loader_then_outage).await.expect("loads");
    assert!(got.degraded);
    assert_eq!(value(&cached(&cache, 1).await), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_an_outage_is_partial_and_wins_when_l2_is_back() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    a.set(&1, 10).await;
    remote.freeze();
    let written = a.remove(&1).await;
    assert!(written.l1 && written.is_partial());
    remote.heal();
    // L2 still has the old entry; this node does not read it.
    let got = load(&a, 1, 11).await;
    assert_eq!((value(&got), got.degraded), (Some(11), true));
    sleep(Duration::from_secs(2)).await;
    assert!(b.get(&1).await.expect("in reach").is_none(), "the old value is gone for all");
    // What was loaded meanwhile had no version: the removal may have been meant for it, too.
    assert_eq!(value(&load(&a, 1, 12).await), Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_set_during_an_outage_is_partial_and_the_old_value_goes_when_l2_is_back() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    a.set(&1, 10).await;
    remote.disconnect();
    let written = a.set(&1, 11).await;
    assert!(written.l1);
    assert_eq!(written.l2, L2Write::Pending);
    assert_eq!(value(&cached(&a, 1).await), Some(11));
    remote.heal();
    sleep(Duration::from_secs(2)).await;
    assert!(b.get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_l2_that_refuses_writes_does_not_fail_reads() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.refuse();
    for key in 0..10 {
        assert!(load(&cache, key, key).await.degraded);
    }
    assert_eq!(value(&cached(&cache, 3).await), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_surge_onto_a_frozen_l2_waits_for_one_deadline() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.freeze();
    let asked = Instant::now();
    let callers: Vec<_> = (0..200)
        .map(|key| {
            let cache = cache.clone();
            tokio::spawn(async move { load(&cache, key, key).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.expect("no panic").degraded);
    }
    assert!(asked.elapsed() <= DEADLINE, "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_surge_onto_a_cold_node_reads_the_namespaces_mark_once() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.slow_answer(Duration::from_millis(20));
    let written = cache.set_many((0..200).map(|key| (key, key))).await;
    assert!(written.iter().all(|written| written.l2 == L2Write::Done));
    assert_eq!(remote.calls.of(Op::Marks), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_read_of_a_cold_node_onto_a_frozen_l2_waits_for_one_deadline() {
    let remote = FakeRemote::default();
    remote.freeze();
    let asked = Instant::now();
    let answer = Loaded::new(1).tags(["lamps"]);
    assert!(load(&node(&remote), 1, answer.clone()).await.degraded);
    assert_eq!(asked.elapsed(), DEADLINE);
    let loader = move |keys: Vec<u64>, _| {
        let answer = answer.clone();
        async move { Ok::<_, OriginDown>(keys.into_iter().map(move |key| (key, answer.clone()))) }
    };
    let asked = Instant::now();
    let got = node(&remote).get_many_or_load(&[1, 2], loader).await;
    assert!(got.iter().flatten().all(|got| got.degraded));
    assert_eq!(asked.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_without_l2s_word_says_so() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    cache.set(&1, 10).await;
    assert!(!cached(&cache, 1).await.degraded);
    remote.fail(Op::Put, crate::remote::fake::Fault::Refusing);
    assert!(cache.set(&1, 11).await.is_partial());
    let got = cached(&cache, 1).await;
    assert_eq!((value(&got), got.degraded), (Some(11), true));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_invalidations_that_l2_has_not_heard_of_wait_on_one_task_and_all_hold() {
    let remote = FakeRemote::default();
    let (one, other) = (node(&remote), node(&remote));
    for key in 0..1_000_u64 {
        let value = Loaded::new(key).tags([format!("tag{key}")]);
        let _ = one.set(&key, value).await;
        other.get(&key).await.expect("in reach");
    }
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    remote.disconnect();
    for key in 0..1_000 {
        assert!(one.invalidate_tag(&format!("tag{key}")).await.is_partial());
    }
    // One that waits, one that repeats.
    assert!(tasks() <= before + 2, "{} tasks", tasks());
    for key in 0..1_000 {
        assert!(one.peek(&key).is_none());
    }
    remote.heal();
    let calls = remote.calls.of(Op::Marks);
    while one.status().remote.expect("one").pending > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(remote.calls.of(Op::Marks) <= calls + 100, "asked for in batches");
    assert!(tasks() <= before, "{} tasks", tasks());
    for key in 0..1_000 {
        assert!(other.get(&key).await.expect("in reach").is_none(), "{key}");
    }
}
